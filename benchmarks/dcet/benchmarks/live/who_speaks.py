"""How often the right person is said to speak, in clips of people side by side."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcet.benchmarks.live.side_by_side import SideBySide, Spoken, side_by_side
from dcet.benchmarks.live.talking_heads import at_16_khz, read_head
from dcet.live.events import UNKNOWN
from dcet.live.hearing.turn_cutter import HANGOVER_MS
from dcet.live.media.media_file import MediaFile, Sound
from dcet.live.people.attribution import Attributed, Attribution
from dcet.live.people.face_tracker import FaceTracker, TrackedFace
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.errors import ConfigError
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.runtime.senses.speech import hear_voice

# Talking heads, and when their mouths are shut; people made of them speak and look otherwise.
HEADS = {"latentsync_demo1.mp4": 4.08, "latentsync_demo2.mp4": 2.2}
OTHERS = ((1.12, (0.7, 0.85, 1.1)), (0.9, (1.1, 0.8, 0.65)))  # speed; gains of red, green and blue
STRANGERS = ("whisper_jfk.flac", "pyannote_sample_2spk.wav")
FRAME_RATES = (3, 10, 30)
AT_ONCE_US = 1_000_000
HANGOVER_US = round(HANGOVER_MS * 1000)
AT_ONCE, AT_THE_END = "at once", "at the end"


@dataclass(frozen=True, kw_only=True)
class WhoSpeaks:
    """Shares of the voiced time."""

    frame_rate: float
    seconds: float  # voiced
    right: float
    wrong: float  # another person, or a voice without a face; the rest is `unknown`
    right_at_once: float  # the same when asked after the first second of each turn
    wrong_at_once: float
    crossed: int  # ids that faces of two people had
    renewed: int  # ids that people had beyond their first


def people_side_by_side(
    media: Path, finder: FaceFinder, seconds: float = 40
) -> Mapping[str, Sequence[SideBySide]]:
    """Make the clips to judge by, from the talking heads of the folder `media`: two people; four;
    two while others speak out of the picture; and two of whom one chews all the time.

    Nobody's lips were recorded with the voice that is heard with them: the clips were made to be
    dubbed. So they show whether mouths move while a voice sounds, and not to which syllables.
    """
    heads = [read_head(media / name, shut_s, finder) for name, shut_s in HEADS.items()]
    other = [
        head.another(speed=speed, gains=gains)
        for head, (speed, gains) in zip(heads, OTHERS, strict=True)
    ]
    strangers = [
        at_16_khz([block for block in MediaFile(media / name) if isinstance(block, Sound)])
        for name in STRANGERS
    ]
    four = [*heads, *other]
    return {
        "two people": [side_by_side(heads, seconds, seed=1), side_by_side(other, seconds, seed=2)],
        "four people": [side_by_side(four, seconds, seed=3)],
        "voices out of the picture": [
            side_by_side(heads, seconds, seed=4, strangers=strangers),
            side_by_side(heads[1:] + other[:1], seconds, seed=6, strangers=strangers),
        ],
        "one chews": [side_by_side(heads, seconds, seed=5, restless=[0])],
    }


def measure_who_speaks(
    bundle: Bundle, finder: FaceFinder, clips: Sequence[SideBySide], frame_rate: float
) -> WhoSpeaks:
    """Watch and listen to each clip from its start, and ask at the end of each turn who spoke."""
    seconds: dict[str, float] = defaultdict(float)
    crossed = renewed = 0
    for clip in clips:
        people: dict[int, set[int]] = defaultdict(set)  # of each track
        for turn, when, answer in _answers(bundle, finder, clip, frame_rate, people):
            lasted_s = (turn.end_us - turn.start_us) / 1e6
            seconds[f"{_judged(turn, answer, people)} {when}"] += lasted_s
            seconds[when] += lasted_s
        crossed += sum(len(seen) > 1 for seen in people.values())
        renewed += max(0, len(people) - len(clip.heads))
    whole = max(seconds[AT_THE_END], 1e-9)
    return WhoSpeaks(
        frame_rate=frame_rate,
        seconds=whole,
        right=seconds[f"right {AT_THE_END}"] / whole,
        wrong=seconds[f"wrong {AT_THE_END}"] / whole,
        right_at_once=seconds[f"right {AT_ONCE}"] / whole,
        wrong_at_once=seconds[f"wrong {AT_ONCE}"] / whole,
        crossed=crossed,
        renewed=renewed,
    )


def _answers(
    bundle: Bundle,
    finder: FaceFinder,
    clip: SideBySide,
    frame_rate: float,
    people: dict[int, set[int]],
) -> Iterator[tuple[Spoken, str, Attributed]]:
    """Watch and listen, and ask after the first second of each turn, and when its end is known.
    `people` is told whose faces each track had."""
    tracker, attribution = FaceTracker(), Attribution()
    hop_us, voice = _voice(bundle, clip.sound)
    ends = [(turn.end_us + HANGOVER_US, turn.end_us, turn, AT_THE_END) for turn in clip.turns]
    after = [turn.start_us + AT_ONCE_US for turn in clip.turns]
    soon = [(us, us, turn, AT_ONCE) for us, turn in zip(after, clip.turns, strict=True)]
    questions = sorted([*ends, *soon], key=lambda question: question[0])
    heard = 0
    for at_us, frame in clip.frames(frame_rate):
        tracked = tracker.update(at_us, finder.find_all(frame), frame)
        attribution.see(at_us, tracked, frame)
        for face in tracked:
            people[face.track_id].add(_person(clip, face))
        hops = max(heard, at_us // hop_us)
        attribution.hear(heard * hop_us, hop_us, voice[heard:hops])
        heard = hops
        while questions and questions[0][0] <= at_us:
            _, end_us, turn, when = questions.pop(0)
            yield turn, when, attribution.who(turn.start_us, end_us)


def _voice(bundle: Bundle, sound: Floats) -> tuple[int, Floats]:
    manifest = bundle.manifest
    if manifest.speech is None:
        raise ConfigError(
            "expected a bundle with the graph `speech`, which hears a voice; export one of now"
        )
    hop = manifest.speech.hop_samples
    return hop * 1_000_000 // SAMPLE_RATE_HZ, hear_voice(bundle.engine(), manifest, sound)


def _person(clip: SideBySide, face: TrackedFace) -> int:
    left, top, width, height = (float(side) for side in face.found.box)
    return clip.person_at(left + width / 2, top + height / 2)


def _judged(turn: Spoken, answer: Attributed, people: dict[int, set[int]]) -> str:
    if answer.speaker == UNKNOWN:
        return UNKNOWN
    if answer.track_id is None:
        return "right" if turn.person is None else "wrong"
    return "right" if people[answer.track_id] == {turn.person} else "wrong"
