"""What is done at the end of a turn, with the time that is left until its deadline."""

import time

from dcet.live.answering.answers import Answers, reason
from dcet.live.answering.open_turn import OpenTurn
from dcet.live.answering.planner import Choice, Planner
from dcet.live.answering.reporter import Spoken
from dcet.live.answering.texts import join, text_size
from dcet.live.counters import Counters
from dcet.runtime.arrays import SAMPLE_RATE_HZ


class Ending:
    """Chooses what is used of turns that have ended."""

    def __init__(
        self, planner: Planner, answers: Answers, counters: Counters, *, deadline_ms: float | None
    ) -> None:
        self._planner = planner
        self._answers = answers
        self._counters = counters
        self._deadline_ms = deadline_ms

    def is_safe(self, turn: OpenTurn, speaker: str, end: int, arrived_s: float) -> bool:
        """Return whether the sound up to the sample `end` can be encoded now without making the
        answer late that is due if the turn ends as soon as it can."""
        if self._deadline_ms is None:
            return True
        lag_ms = (time.perf_counter() - arrived_s) * 1000
        left_ms = turn.ear.cutter.safe * turn.ear.hop_us / 1000 + self._deadline_ms / 2 - lag_ms
        windows = turn.windows_left(speaker, end)
        if self._planner.costs.expect_ms("audio", windows) <= left_ms:
            return True
        self._planner.costs.doubt("audio", windows)
        return False

    def choose(self, spoken: Spoken, turn: OpenTurn, end: int) -> None:
        """Decide what of the sound and the words is used, and encode that sound."""
        speaker, text = spoken.who.speaker, join(spoken.words)
        words = {"text": text_size(text)}
        windows = {"audio": turn.windows_left(speaker, end)}
        done, ahead = turn.ahead(speaker)
        step = {"step": 1}
        choices = [Choice(step | words | windows)]
        if windows["audio"] and (text or ahead):
            missing_s = (end - done) / SAMPLE_RATE_HZ
            what = "audio" if ahead is None else f"audio: its last {missing_s:.1f} s"
            choices.append(Choice(step | words, what))
        if text and ahead:
            choices.append(Choice(step, "text"))
        left_ms = None
        if self._deadline_ms is not None:
            left_ms = self._deadline_ms - (time.perf_counter() - spoken.arrived_s) * 1000
        choice, left_out = self._planner.plan(choices, left_ms)
        if choice is None:
            self._answers.at_once(spoken, left_out)
            choice, left_out = choices[0], ()
        spoken.left_out += left_out
        if windows["audio"] and "audio" not in choice.stages:
            spoken.encoded, spoken.ahead_ms = ahead, ahead.latency_ms if ahead else {}
        else:
            encode_sound(spoken, turn, end)
        if text and "text" not in choice.stages:
            self._counters.settle("texts", "late", len(spoken.words), why="no time was left")
            spoken.words = ()


def encode_sound(spoken: Spoken, turn: OpenTurn, end: int) -> None:
    """Encode the sound of a turn up to the sample `end`."""
    before = turn.built_on(spoken.who.speaker, end)
    spoken.ahead_ms = {} if before is None else before.latency_ms
    try:
        spoken.encoded = turn.encode(spoken.who.speaker, end)
    except Exception as error:  # noqa: BLE001  an engine of the host's raises what it likes
        spoken.left_out.append(f"audio: {reason(error)}")
