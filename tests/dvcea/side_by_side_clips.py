"""Videos of people side by side, one of whom speaks at a time, and how often a set of them shows
the right one.

    python -m tests.dvcea.side_by_side_clips write $DCET_DATA/media FOLDER
    dcet-dvcea build --input FOLDER --annotations FOLDER/turns.csv --output told.dvcea
    dcet-dvcea build --input FOLDER --output cut.dvcea
    python -m tests.dvcea.side_by_side_clips judge FOLDER told.dvcea cut.dvcea
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from dcet.benchmarks.live.side_by_side import SideBySide, side_by_side
from dcet.benchmarks.live.talking_heads import TILE_PIXELS, read_head
from dcet.benchmarks.live.who_speaks import HEADS, OTHERS
from dcet.data.dvcea import Dvcea, DvceaUtterance
from dcet.data.tables import read_csv
from dcet.dvcea.clip_media import ClipMedia
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.speaker import find_speaker
from dcet.live.people.face_tracker import TrackedFace
from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.runtime.senses.face import Pixels
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.training.settings import settings_from
from tests.dvcea.test_annotations import PARTS, table

MICROSECONDS = Fraction(1, 1_000_000)
RIGHT, WRONG, NOBODY = "right", "wrong", "nobody"
Truth = Mapping[str, Sequence[tuple[int, int, int]]]  # of each video: start, end, person


def write_video(path: Path, clip: SideBySide, frame_rate: float = 12) -> None:
    """Write a clip with its sound as H.264 and AAC."""
    with av.open(str(path), "w") as container:
        pictures: Any = container.add_stream("libx264", rate=round(frame_rate))
        pictures.codec_context.time_base = MICROSECONDS
        pictures.height, pictures.width = clip.frame(0).shape[:2]
        pictures.pix_fmt = "yuv420p"
        sound: Any = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        for at_us, pixels in clip.frames(frame_rate):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = at_us, MICROSECONDS
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        for first in range(0, len(clip.sound), 1024):
            block = av.AudioFrame.from_ndarray(
                clip.sound[None, first : first + 1024], format="fltp", layout="mono"
            )
            block.sample_rate, block.pts = SAMPLE_RATE_HZ, first
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))


def write_clips(folder: Path, clips: Mapping[str, SideBySide], frame_rate: float = 12) -> Path:
    """Write clips as videos, and the turns of them as annotations; return those."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, clip in clips.items():
        write_video(folder / f"{name}.mp4", clip, frame_rate)
        for number, turn in enumerate(clip.turns):
            times = (turn.start_us / 1e6, turn.end_us / 1e6)
            rows.append(("", turn.person, "", "", name, number, f"{name}.mp4", *times))
    return table(folder / "turns.csv", PARTS, *rows)


def read_truth(turns: Path) -> Truth:
    """Read who speaks when."""
    truth = defaultdict(list)
    for row in read_csv(turns, PARTS, what="turns"):
        start, end = (round(float(row.text(name)) * 1e6) for name in ("Start_s", "End_s"))
        truth[row.text("File")].append((start, end, int(row.text("Speaker"))))
    return truth


def judge(dvcea: Dvcea, videos: Path, truth: Truth) -> dict[str, Counter[str]]:
    """Return of each video how many microseconds of the voiced time show the right person, the
    wrong one, or nobody."""
    judged: dict[str, Counter[str]] = defaultdict(Counter)
    config = settings_from(BuildConfig, dvcea.manifest.value["settings"], "settings")
    for said in dvcea:
        assert said.start_us is not None
        assert said.end_us is not None
        person = _shown(said, videos, config)
        for start_us, end_us, speaker in truth[said.source]:
            both_us = min(end_us, said.end_us) - max(start_us, said.start_us)
            verdict = NOBODY if person is None else RIGHT if person == speaker else WRONG
            judged[said.source][verdict] += max(0, both_us)
    for source, turns in truth.items():
        voiced_us = sum(end_us - start_us for start_us, end_us, _ in turns)
        judged[source][NOBODY] += voiced_us - sum(judged[source].values())
    return judged


def _shown(said: DvceaUtterance, videos: Path, config: BuildConfig) -> int | None:
    """Return whose face an utterance shows: the faces are followed again, as the build did."""
    if said.track is None:
        return None
    people: Counter[int] = Counter()

    def look(_at_us: int, frame: Pixels, faces: Sequence[TrackedFace]) -> None:
        columns = frame.shape[1] // TILE_PIXELS
        for face in faces:
            left, top, width, height = face.found.box.tolist()
            if face.track_id == said.track:
                row = int((top + height / 2) // TILE_PIXELS)
                people[row * columns + int((left + width / 2) // TILE_PIXELS)] += 1

    pictures = ClipMedia(videos / said.source, said.part_us).pictures(
        config.step_us // config.looks_per_step
    )
    find_speaker(pictures, None, 1, config, FaceFinder(), on_faces=look)
    return people.most_common(1)[0][0]


def main(command: str, *paths: str) -> None:
    first, *others = map(Path, paths)
    if command == "write":
        finder = FaceFinder()
        heads = [read_head(first / name, shut_s, finder) for name, shut_s in HEADS.items()]
        other = [
            head.another(speed=speed, gains=gains)
            for head, (speed, gains) in zip(heads, OTHERS, strict=True)
        ]
        clips = {
            "two": side_by_side(heads, 30, seed=1),
            "two others": side_by_side(other, 30, seed=2),
            "four": side_by_side([*heads, *other], 30, seed=3),
        }
        write_clips(others[0], clips)
        return
    for path in others:
        judged = judge(Dvcea.open(path), first, read_truth(first / "turns.csv"))
        for source, times in sorted(judged.items()):
            whole = sum(times.values())
            shares = ", ".join(
                f"{verdict} {times[verdict] / whole:.3f}" for verdict in (RIGHT, WRONG, NOBODY)
            )
            print(f"{path.name} {source}: {shares} of {whole / 1e6:.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
