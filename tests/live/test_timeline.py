"""Timestamps that jitter, repeat, jump, run backwards, and clocks that drift."""

import numpy as np
import pytest

from dcet.live import LiveSession
from dcet.live.timeline import DriftClock, SoundClock, check_pts
from dcet.runtime import Bundle
from dcet.runtime.errors import InputError
from tests.live.scenes import RATE_HZ, adds_up, finals, plain, push, sound, taken

BLOCK = 320  # 20 ms
VOICED = ((1, 2.5), (4, 5))


def turns(bundle: Bundle, times_us: list[int]) -> tuple[LiveSession, list[tuple[int, int]]]:
    """The finals of sound whose blocks have these times."""
    session = LiveSession(bundle, threaded=False, attribution=False)
    pcm = sound(6, VOICED)
    for i, at_us in enumerate(times_us):
        session.push_audio(pcm[i * BLOCK : (i + 1) * BLOCK], at_us)
    ends = finals(taken(session))
    assert adds_up(session)
    return session, [(event.start_us, event.end_us) for event in ends]


STEADY = [i * 20_000 for i in range(300)]


def test_jitter_moves_nothing_far(hearing: Bundle) -> None:
    noise = np.random.default_rng(0).integers(-30_000, 30_000, len(STEADY)).tolist()
    _, jittered = turns(hearing, [at + by for at, by in zip(STEADY, noise, strict=True)])
    _, steady = turns(hearing, STEADY)
    assert np.abs(np.array(jittered) - np.array(steady)).max() <= 40_000


def test_a_coarse_clock_that_repeats_is_jitter(hearing: Bundle) -> None:
    session, coarse = turns(hearing, [at // 40_000 * 40_000 for at in STEADY])
    _, steady = turns(hearing, STEADY)
    assert np.abs(np.array(coarse) - np.array(steady)).max() <= 30_000
    assert session.counters["samples"]["used"] == 6 * RATE_HZ


def test_a_block_that_comes_twice_is_heard_once(hearing: Bundle) -> None:
    once = LiveSession(hearing, threaded=False)
    twice = LiveSession(hearing, threaded=False)
    pcm = sound(4, VOICED)
    for begin in range(0, len(pcm), BLOCK):
        at_us = begin * 1_000_000 // RATE_HZ
        once.push_audio(pcm[begin : begin + BLOCK], at_us)
        twice.push_audio(pcm[begin : begin + BLOCK], at_us)
        twice.push_audio(pcm[begin : begin + BLOCK], at_us)
    assert [plain(event) for event in taken(once)] == [plain(event) for event in taken(twice)]
    assert twice.counters["samples"]["dropped"] == len(pcm)


def test_a_gap_is_silence(hearing: Bundle) -> None:
    times = [at if at < 1_800_000 else at + 2_000_000 for at in STEADY]
    session, spans = turns(hearing, times)
    assert spans[0][1] == pytest.approx(1_900_000, abs=130_000)  # the turn that was cut off
    assert spans[1][0] == pytest.approx(3_800_000, abs=130_000)
    assert session.counters["notes"] == {"gaps in sound, filled with silence": 1}


@pytest.mark.parametrize("by_us", [3_600_000_000, -1_000_000_000])
def test_a_jump_ends_the_turn_and_time_goes_on_from_there(hearing: Bundle, by_us: int) -> None:
    times = [at if at < 1_800_000 else at + by_us for at in STEADY]
    session, spans = turns(hearing, times)
    assert spans[0][1] < 2_000_000
    assert spans[-1][0] == pytest.approx(4_000_000 + by_us, abs=130_000)
    assert session.counters["notes"]["jumps of a clock of sound"] == 1
    # a clock set back is believed after a second of sound that would be in the past
    assert session.counters["samples"]["late"] == (RATE_HZ if by_us < 0 else 0)


def test_sound_that_was_heard_already_is_late(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    pcm = sound(3, VOICED)
    push(session, pcm)
    session.push_audio(pcm[RATE_HZ:][: RATE_HZ // 2], 1_000_000)  # all of it
    session.push_audio(sound(1, ()), 2_500_000)  # half of it
    session.close()
    assert session.counters["samples"]["late"] == RATE_HZ
    assert adds_up(session)


def test_time_that_runs_backwards_is_late_and_then_believed(hearing: Bundle) -> None:
    session, _ = turns(hearing, [-at for at in STEADY])
    counts = session.counters
    assert counts["samples"]["late"] > 0
    assert counts["notes"]["jumps of a clock of sound"] >= 1


def test_media_time_follows_a_clock_that_drifts() -> None:
    clock = SoundClock()
    for i in range(180_000):  # an hour, in which the sound card is 200 ppm slow
        clock.place(round(i * 20_000 * 1.0002), 20_000)
    assert clock.next_us == pytest.approx(3_600_000_000 * 1.0002, abs=25_000)


@pytest.mark.parametrize("ppm", [-300, 300])
def test_a_camera_that_drifts_is_moved_to_the_clock_of_the_sound(ppm: int) -> None:
    clock, rng = DriftClock(), np.random.default_rng(0)
    for i in range(30 * 1800):
        true_us = i * 33_333
        sound_us = true_us - int(rng.integers(0, 60_000))
        moved_us = clock.to_sound(round(true_us * (1 + ppm / 1e6)), sound_us)
    assert moved_us - true_us == pytest.approx(0, abs=70_000)  # of 540 ms


def test_a_steady_camera_is_left_alone() -> None:
    clock = DriftClock()
    for i in range(30 * 600):
        sound_us = i * 33_333 // 1_000_000 * 1_000_000  # blocks of a second
        assert clock.to_sound(i * 33_333, sound_us) == i * 33_333


@pytest.mark.parametrize("wrong", [2**63, -(2**63), 1.5, "0", None, True, float("nan")])
def test_what_is_no_time_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="pts_us: expected whole microseconds"):
        check_pts("pts_us", wrong)  # type: ignore[arg-type]
