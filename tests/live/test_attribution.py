"""Who speaks: the mouth that moves with the voice, a voice without a face, or nobody for sure."""

from collections.abc import Callable

import numpy as np
import pytest

from dcet.live.events import UNKNOWN
from dcet.live.people.attribution import Attribution
from dcet.live.people.face_tracker import FaceTracker
from dcet.live.people.history import HISTORY_US, History, mean_between
from dcet.live.people.voices import Voices
from dcet.runtime.arrays import Floats
from tests.live.drawn_people import Person, draw

KNOWN = {number: Person.drawn(number) for number in range(4)}
HOP_US = 32_000
Talks = Callable[[float], int | None]  # second -> who opens and closes their mouth


def watch(
    talks: Talks,
    voiced: Callable[[float], bool],
    seconds: float,
    rate: float,
    chews: int | None = None,
) -> Attribution:
    """Return what has watched and heard people side by side; person n has track n + 1."""
    tracker, attribution = FaceTracker(), Attribution()
    places = {person: (80.0 + 150 * person, 80.0) for person in range(2)}
    for number in range(int(seconds * rate)):
        second = number / rate
        at_us = round(second * 1e6)
        mouths = dict.fromkeys(places, 0.0)
        for moving in (talks(second), chews):
            if moving is not None:
                mouths[moving] = abs(np.sin(second * (9.1 + moving)))
        frame, found = draw(places, KNOWN, mouths)
        attribution.see(at_us, tracker.update(at_us, found, frame), frame)
    hops = np.arange(int(seconds * 1e6 / HOP_US)) * HOP_US / 1e6
    attribution.hear(0, HOP_US, np.array([voiced(hop) for hop in hops], np.float32))
    return attribution


@pytest.mark.parametrize("rate", [3, 10, 30, 60])
def test_the_mouth_that_moves_with_the_voice_speaks(rate: float) -> None:
    attribution = watch(
        lambda at: int(at < 4) if at % 4 > 0.8 else None, lambda at: at % 4 > 0.8, 8, rate
    )
    first, second = attribution.who(1_000_000, 4_000_000), attribution.who(5_000_000, 8_000_000)
    assert (first.speaker, first.track_id) == ("person 1", 2)
    assert (second.speaker, second.track_id) == ("person 2", 1)
    assert min(first.confidence, second.confidence) > 0.85
    assert attribution.name_of(2) == "person 1"
    assert attribution.name_of(3) is None


def test_the_microphone_that_hears_a_voice_counts() -> None:
    attribution = watch(lambda at: 0 if at > 1 else None, lambda at: at > 1, 4, 10)
    for hop in range(0, 4_000_000, HOP_US):
        attribution.hear(hop - 50_000, HOP_US, np.zeros(1, np.float32), microphone="far away")
    assert attribution.who(1_000_000, 4_000_000).speaker == "person 1"


@pytest.mark.parametrize("rate", [3, 10, 30])
def test_a_voice_while_no_mouth_moves_is_a_person_without_a_face(rate: float) -> None:
    attribution = watch(lambda at: None, lambda at: at > 1, 5, rate)
    answer = attribution.who(1_000_000, 5_000_000)
    assert (answer.speaker, answer.track_id) == ("voice 1", None)
    assert answer.reason == "no mouth moved with the voice"


def test_a_mouth_that_never_rests_is_not_taken_for_the_one_who_speaks() -> None:
    """Person 0 chews all the time; person 1 speaks from the sixth second on."""
    attribution = watch(lambda at: 1 if at > 6 else None, lambda at: at > 6, 10, 10, chews=0)
    assert attribution.who(6_500_000, 10_000_000).track_id in (2, None)


def test_a_face_that_came_at_the_end_leaves_it_unknown() -> None:
    attribution = watch(lambda at: 0, lambda at: False, 1, 10)
    answer = attribution.who(-4_000_000, 1_000_000)
    assert (answer.speaker, answer.track_id) == (UNKNOWN, None)
    assert answer.reason == "no face was seen for long enough"


def test_a_change_of_speaker_within_a_turn_is_found_soon() -> None:
    attribution = watch(lambda at: int(at >= 3) if at > 1 else None, lambda at: at > 1, 6, 10)
    assert attribution.change(1_000_000, 3_000_000) is None
    assert attribution.change(1_000_000, 4_300_000) == pytest.approx(3_000_000, abs=400_000)
    assert attribution.change(3_000_000, 6_000_000) is None


def test_who_is_forgotten_is_a_new_person_and_no_name_is_given_twice() -> None:
    attribution = watch(lambda at: 0 if at > 1 else None, lambda at: at > 1, 4, 10)
    assert attribution.who(1_000_000, 4_000_000).speaker == "person 1"
    attribution.forget("person 1")
    assert attribution.name_of(1) is None
    again = watch(lambda at: 0 if at > 1 else None, lambda at: at > 1, 4, 10)
    attribution._faces = again._faces
    assert attribution.who(1_000_000, 4_000_000).speaker == "person 2"
    attribution.reset()
    assert attribution.who(1_000_000, 4_000_000).reason == "no face was seen"


def hear(attribution: Attribution, start_s: float, embedding: list[float]) -> None:
    """Let it hear a second and a half of a voice with this embedding."""
    start_us = round(start_s * 1e6)
    attribution.listen(start_us, start_us + 1_500_000, np.array(embedding, np.float32))


def stand_in(pcm: Floats) -> Floats:
    return pcm[::12_000]


def test_voices_without_faces_are_told_apart_by_their_embedding() -> None:
    attribution = Attribution(Voices(stand_in))
    said = [(1.0, 0.0), (0.0, 1.0), (0.9, 0.1), (0.1, 0.9), (0.7, 0.7)]
    names = []
    for turn, voice in enumerate(said):
        hear(attribution, 2.0 * turn, list(voice))
        names.append(attribution.who(2_000_000 * turn, 2_000_000 * turn + 1_500_000).speaker)
    assert names[:4] == ["voice 1", "voice 2", "voice 1", "voice 2"]


def test_a_voice_between_two_is_nobodys() -> None:
    attribution = Attribution(Voices(stand_in))
    hear(attribution, 0.0, [1.0, 0.0])
    hear(attribution, 2.0, [0.45, 0.9])
    assert attribution.who(0, 1_500_000).speaker == "voice 1"
    assert attribution.who(2_000_000, 3_500_000).speaker == UNKNOWN


def test_a_person_whose_voice_is_known_is_known_without_their_face() -> None:
    attribution = watch(lambda at: 0 if at > 1 else None, lambda at: at > 1, 4, 10)
    attribution._voices = Voices(stand_in)
    hear(attribution, 1.5, [1.0, 0.0])
    assert attribution.who(1_000_000, 4_000_000).speaker == "person 1"
    hear(attribution, 10.0, [0.95, 0.1])
    answer = attribution.who(10_000_000, 11_500_000)
    assert (answer.speaker, answer.track_id) == ("person 1", 1)
    assert answer.reason == "this voice was heard before"


def test_a_mouth_with_another_persons_voice_is_nobody_for_sure() -> None:
    attribution = watch(lambda at: 0 if at > 1 else None, lambda at: at > 1, 4, 10)
    attribution._voices = Voices(stand_in)
    attribution._voices.learn("voice 1", np.array([0.0, 1.0], np.float32))
    hear(attribution, 1.5, [0.0, 1.0])
    answer = attribution.who(1_000_000, 4_000_000)
    assert answer.speaker == UNKNOWN
    assert answer.reason == "the mouth is that of person 1, the voice that of voice 1"


def test_another_voice_within_a_turn_is_a_change() -> None:
    attribution = Attribution(Voices(stand_in))
    for start_s, voice in ((0.0, [1.0, 0.0]), (1.5, [0.9, 0.2]), (3.0, [0.0, 1.0])):
        hear(attribution, start_s, voice)
    assert attribution.change(0, 3_000_000) is None
    assert attribution.change(0, 4_500_000) == 3_000_000


def test_a_history_holds_a_minute_and_survives_time_that_runs_backwards() -> None:
    history = History()
    for second in (0, 1, 2, 1):
        history.add(second * 1_000_000, float(second))
    assert history.arrays()[0].tolist() == [0, 1_000_000]
    history.add(HISTORY_US + 1, 5.0)
    assert history.arrays()[1].tolist() == [1.0, 5.0]


def test_means_between_edges() -> None:
    times, values = np.array([0, 1, 2, 5], np.int64), np.array([1, 2, 3, 4], np.float32)
    means = mean_between(times, values, np.array([0, 2, 3, 5, 9], np.int64))
    assert np.array_equal(means, [1.5, 3.0, np.nan, 4.0], equal_nan=True)
