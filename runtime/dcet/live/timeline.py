"""Media time: what a stream's timestamps say, and what is done where they cannot be right.

| A timestamp | is taken for | then |
|---|---|---|
| within 60 ms of what follows | jitter, or a clock that drifts | sound follows on; time is moved slowly, by a fifth of the difference a second |
| equal to the last one's, with equal sound | the same block again | it is dropped |
| later, by up to 10 s | a gap | silence is put in |
| later, by more | a jump | the turn ends, and time goes on from there |
| earlier | sound that was heard already | what was is late, the rest follows on |
| earlier, for a second of sound on end | a clock set back | as a jump |

Frames and texts have no place of their own to keep, so that any time is taken as it is, but moved by as
much as their clock has drifted against that of the sound.
"""  # noqa: E501

from collections import deque
from dataclasses import dataclass
from typing import Literal

from dcet.runtime.errors import InputError

SECOND_US = 1_000_000
MAX_PTS_US = 2**53 - 1  # 285 years; more is no whole number in JSON
JITTER_US = 60_000
STEADY_US = 1_000  # below it, a timestamp was rounded
FOLLOW_US = 5 * SECOND_US  # in which a difference is made up for
MAX_GAP_US = 10 * SECOND_US
BEHIND_US = SECOND_US  # of sound on end in the past, from which the clock was set back

Place = Literal["first", "follows", "gap", "overlap", "past", "jump"]


def check_pts(name: str, pts_us: int) -> int:
    """Return a timestamp as an int. Raises InputError where it is none, or out of range."""
    is_whole = hasattr(pts_us, "__index__") and not isinstance(pts_us, bool)
    if not is_whole or not -MAX_PTS_US <= int(pts_us) <= MAX_PTS_US:
        raise InputError(
            f"{name}: expected whole microseconds of media time, at most 2**53 - 1 away from 0, "
            f"got {pts_us!r}; count from the beginning of the stream"
        )
    return int(pts_us)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a block of sound belongs."""

    place: Place
    silence_us: int = 0  # to put in before it
    heard_us: int = 0  # of its beginning that are heard already


class SoundClock:
    """The media time of one stream of sound, whose samples follow each other without end."""

    def __init__(self) -> None:
        self.next_us: float | None = None  # media time of the next sample
        self._behind_us = 0.0

    def place(self, pts_us: int, duration_us: float) -> Placed:
        """Say where a block belongs, and go on to its end."""
        if self.next_us is None:
            self.next_us = pts_us + duration_us
            return Placed("first")
        ahead_us = pts_us - self.next_us
        if -ahead_us >= duration_us and -ahead_us > JITTER_US:
            self._behind_us += duration_us
            if self._behind_us <= BEHIND_US:
                return Placed("past", heard_us=round(duration_us))
        self._behind_us, before_us = 0.0, self.next_us
        if abs(ahead_us) <= JITTER_US:
            share = min(1.0, duration_us / FOLLOW_US) if abs(ahead_us) > STEADY_US else 0.0
            self.next_us += duration_us + share * ahead_us
            return Placed("follows")
        self.next_us = pts_us + duration_us
        if ahead_us > MAX_GAP_US or pts_us + duration_us <= before_us:
            return Placed("jump")
        if ahead_us > 0:
            return Placed("gap", silence_us=round(ahead_us))
        return Placed("overlap", heard_us=round(-ahead_us))


LIVE_US = 2 * SECOND_US  # streams further apart are not pushed as they are made
DRIFT_WINDOW_US = 10 * SECOND_US
DRIFT_SAMPLES = 1024  # of a window, at most
DRIFT_US = 40_000  # less is not told from the lateness of a camera
MAX_DRIFT = 0.002  # of time: clocks of crystal are off by a twentieth of that


class DriftClock:
    """Moves another stream's timestamps to the clock of the sound, from which it drifts.

    How far a stream is ahead of the sound is the median over 10 s of what came; what it is ahead
    more than in the beginning has drifted, where that is slow enough for a clock.
    """

    def __init__(self) -> None:
        self._ahead_us: deque[int] = deque(maxlen=DRIFT_SAMPLES)
        self._window_us = 0  # when it began
        self._first_us: int | None = None  # ahead in the beginning
        self._drift_us = 0

    def to_sound(self, pts_us: int, sound_us: int | None) -> int:
        """Return a timestamp on the clock of the sound, which has come to `sound_us`."""
        if sound_us is None or abs(pts_us - sound_us) > LIVE_US:
            return pts_us - self._drift_us
        if not self._ahead_us or not 0 <= pts_us - self._window_us <= 2 * DRIFT_WINDOW_US:
            self._begin_window(pts_us)
        self._ahead_us.append(pts_us - sound_us)
        if len(self._ahead_us) > 1 and pts_us - self._window_us >= DRIFT_WINDOW_US:
            self._learn(sorted(self._ahead_us)[len(self._ahead_us) // 2])
            self._begin_window(pts_us)
        return pts_us - self._drift_us

    def _begin_window(self, pts_us: int) -> None:
        self._window_us = pts_us
        self._ahead_us.clear()

    def _learn(self, ahead_us: int) -> None:
        if self._first_us is None:
            self._first_us = ahead_us
        change_us = ahead_us - self._first_us - self._drift_us
        most_us = round(MAX_DRIFT * DRIFT_WINDOW_US)
        if abs(ahead_us - self._first_us) > DRIFT_US or self._drift_us:
            self._drift_us += max(-most_us, min(most_us, change_us))
