"""Clips of people side by side say exactly who speaks when, and the right person is found."""

from pathlib import Path

import numpy as np
import pytest

from dcet.benchmarks.live.side_by_side import PAUSE_S, SideBySide, side_by_side
from dcet.benchmarks.live.talking_heads import TILE_PIXELS, Head, read_head
from dcet.benchmarks.live.who_speaks import HEADS, measure_who_speaks
from dcet.runtime import Bundle, FaceFinder
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.errors import DataNotFound

RESTS, TALKS = 50, 200  # greys of the drawn heads
FINDER = "face_detector/yunet_s_640_640.onnx"


def tone(hz: float, seconds: float = 10.0) -> Floats:
    """A voice that speaks for two seconds of every three."""
    at = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    sound: Floats = (0.3 * np.sin(2 * np.pi * hz * at) * (at % 3 < 2)).astype(np.float32)
    return sound


def head(hz: float) -> Head:
    pictures = [
        [np.full((TILE_PIXELS, TILE_PIXELS, 3), grey, np.uint8) for _ in range(5)]
        for grey in (TALKS, RESTS)
    ]
    return Head(pictures[0], pictures[1], 25.0, tone(hz))


@pytest.fixture(scope="module")
def clip() -> SideBySide:
    return side_by_side([head(200), head(300), head(400)], 40, seed=0, strangers=[tone(500)])


def test_only_the_one_who_speaks_moves_their_mouth(clip: SideBySide) -> None:
    assert clip.columns == 2
    corners = [(0, 0), (0, TILE_PIXELS), (TILE_PIXELS, 0)]
    for turn in clip.turns:
        for at_us, speaker in ((turn.start_us, turn.person), (turn.end_us, None)):
            picture = clip.frame(at_us)
            mouths = [picture[corner][0] for corner in corners]
            assert mouths == [TALKS if person == speaker else RESTS for person in range(3)]
    assert {turn.person for turn in clip.turns} == {0, 1, 2, None}


def test_one_voice_sounds_in_each_turn_and_none_in_between(clip: SideBySide) -> None:
    silent = np.ones(len(clip.sound), bool)
    for turn in clip.turns:
        first, last = (us * SAMPLE_RATE_HZ // 1_000_000 for us in (turn.start_us, turn.end_us))
        silent[first:last] = False
        spectrum = np.abs(np.fft.rfft(clip.sound[first:last]))
        loudest_hz = spectrum.argmax() * SAMPLE_RATE_HZ / (last - first)
        assert loudest_hz == pytest.approx(500 if turn.person is None else 200 + 100 * turn.person)
    assert not clip.sound[silent].any()
    for before, after in zip(clip.turns, clip.turns[1:], strict=False):
        assert before.person != after.person
        assert after.start_us - before.end_us == pytest.approx(PAUSE_S * 1e6, abs=2)


def test_a_place_belongs_to_a_person(clip: SideBySide) -> None:
    places = [(10, 10), (TILE_PIXELS + 10, 10), (10, TILE_PIXELS + 10)]
    assert [clip.person_at(x, y) for x, y in places] == [0, 1, 2]


def test_one_who_chews_moves_their_mouth_always() -> None:
    clip = side_by_side([head(200), head(300)], 20, seed=0, restless=[1])
    ends = [clip.frame(turn.end_us)[0] for turn in clip.turns]
    assert all(row[0][0] == RESTS and row[-1][0] == TALKS for row in ends)


def test_another_person_is_made_of_one() -> None:
    one = head(200)
    another = one.another(speed=1.25, gains=(1.0, 0.5, 2.0))
    assert len(another.sound) == pytest.approx(len(one.sound) / 1.25, abs=1)
    spectrum = np.abs(np.fft.rfft(another.sound[: 2 * SAMPLE_RATE_HZ * 4 // 5]))
    assert spectrum.argmax() / 1.6 == pytest.approx(250)
    assert another.picture(0.0, talks=True)[0, 0].tolist() == [TALKS, TALKS // 2, 255]
    assert another.mirrored


def test_a_clip_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataNotFound, match=r"nobody\.mp4: there is no such file"):
        read_head(tmp_path / "nobody.mp4", 0.0, FaceFinder())


def test_the_right_person_is_found_in_real_clips(data: Path) -> None:
    finder = FaceFinder(data / FINDER)
    media = data / "media"
    heads = [read_head(media / name, shut_s, finder, most_s=7) for name, shut_s in HEADS.items()]
    clip = side_by_side(heads, 16, seed=0)
    found = measure_who_speaks(Bundle.default(), finder, [clip], 6)
    assert found.seconds > 8
    assert found.right >= 0.7
    assert found.wrong == 0
    assert found.crossed == found.renewed == 0
