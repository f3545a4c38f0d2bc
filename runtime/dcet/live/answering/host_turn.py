"""Turns that the host cuts itself, answered within the deadline from what there is time for."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dcet.live.answering.answers import Answers, reason
from dcet.live.answering.planner import SPARE_MS, Choice, Planner
from dcet.live.answering.reporter import Spoken
from dcet.live.answering.texts import Words, text_size
from dcet.live.answering.turns import Turns
from dcet.live.events import Event
from dcet.live.people.people import Who
from dcet.live.timeline import SECOND_US
from dcet.runtime.conversation import Conversation
from dcet.runtime.senses.encoded import Encoded
from dcet.runtime.senses.face import spread
from dcet.runtime.turn import Features, Image, Turn

SHORT_S = 3.0  # of the end of a turn's sound: what is heard of it where there is time for no more


@dataclass(frozen=True, slots=True, eq=False)
class HostTurn:
    """A turn as the host gave it, checked."""

    speaker: str
    given: Turn
    at_us: int | None
    arrived_s: float
    told: Callable[[Event], None]  # of its final


class HostTurns:
    """Answers turns that the host cut.

    finding: held while faces are found
    """

    def __init__(
        self,
        conversation: Conversation,
        answers: Answers,
        turns: Turns,
        planner: Planner,
        finding: threading.Lock,
        *,
        deadline_ms: float | None,
    ) -> None:
        self._conversation = conversation
        self._answers = answers
        self._turns = turns
        self._planner = planner
        self._finding = finding
        self._deadline_ms = deadline_ms
        self._most_faces = conversation.bundle.manifest.modalities["face"].most

    def answer(self, turn: HostTurn) -> None:
        """Answer a turn from its words, its sound, and as many faces as there is time for."""
        start_us = turn.at_us if turn.at_us is not None else self._turns.now_us or 0
        text = turn.given.text
        spoken = Spoken(
            turn_id=self._turns.number(),
            who=Who(turn.speaker, 1.0),
            start_us=start_us,
            end_us=start_us + round(_seconds(turn.given) * SECOND_US),
            encoded=None,
            words=[Words(text, start_us, start_us, None, True)] if isinstance(text, str) else [],
            arrived_s=turn.arrived_s,
            told=turn.told,
            is_encoded=True,
        )
        self._answers.counters.receive("texts", len(spoken.words))
        with self._answers.promised(spoken, None):
            try:
                said, left_out = self._choose(spoken, turn.given)
                spoken.left_out += left_out
                spoken.encoded = self._encode(spoken, said)
                spoken.encoded = self._add_faces(spoken, turn.given)
            except Exception as error:  # noqa: BLE001  whoever calls waits for an answer
                spoken.left_out.append(reason(error))
            self._answers.final(spoken, awaits_words=False)

    def _left_ms(self, spoken: Spoken) -> float | None:
        if self._deadline_ms is None:
            return None
        return self._deadline_ms - (time.perf_counter() - spoken.arrived_s) * 1000

    def _choose(self, spoken: Spoken, given: Turn) -> tuple[Turn, Sequence[str]]:
        """Return the words and the sound that there is time for, and why not the rest."""
        only_said = replace(given, face=given.face if isinstance(given.face, Features) else None)
        whole = {"text": _text_size(given), "heard": int(np.ceil(_seconds(given)))}
        ways: list[tuple[Choice, Turn]] = [(Choice({"step": 1} | whole), only_said)]
        if whole["heard"] > SHORT_S and isinstance(given.audio, np.ndarray):
            last = given.audio[-int(SHORT_S * given.sample_rate_hz) :]
            what = f"audio: all but the last {SHORT_S:.0f} s"
            short = Choice({"step": 1} | whole | {"heard": int(SHORT_S)}, what)
            ways.append((short, replace(only_said, audio=last)))
        if given.text is not None and given.audio is not None:
            choice = Choice({"step": 1, "text": whole["text"]}, "audio")
            ways.append((choice, replace(only_said, audio=None)))
        choices = [choice for choice, _ in ways]
        chosen, left_out = self._planner.plan(choices, self._left_ms(spoken))
        if chosen is None:
            self._answers.at_once(spoken, left_out)
            return only_said, ()
        return ways[choices.index(chosen)][1], left_out

    def _encode(self, spoken: Spoken, said: Turn) -> Encoded:
        """Encode words and sound, and take note of what that takes."""
        encoded = self._conversation.encode(
            spoken.who.speaker,
            said.text,
            said.audio,
            said.face,
            sample_rate_hz=said.sample_rate_hz,
        )
        took_ms, costs = encoded.latency_ms, self._planner.costs
        if said.audio is not None:
            heard_ms = took_ms["speech"] + took_ms["audio"]
            costs.note("heard", int(np.ceil(_seconds(said))), heard_ms)
        if said.text is not None:
            costs.note("text", _text_size(said), took_ms["tokenize"] + took_ms["text"])
        return encoded

    def _add_faces(self, spoken: Spoken, given: Turn) -> Encoded | None:
        """Encode as many pictures, evenly spread, as there is time for."""
        if given.face is None or isinstance(given.face, Features) or len(given.face) == 0:
            return spoken.encoded
        most = min(len(given.face), self._most_faces)
        stage = _face_stage(given.face) if given.whole_frames else "face"
        costs, count = self._planner.costs, most
        left_ms = self._left_ms(spoken)
        if left_ms is not None and not spoken.is_answered:
            each_ms = costs.expect_ms(stage, 1)
            left_ms -= costs.expect_ms("step", 1) + SPARE_MS
            count = max(0, min(most, int(left_ms / each_ms)))
            if count < most:
                costs.doubt(stage, 1)
                why = f"each takes {each_ms:.0f} ms, {max(0.0, left_ms):.0f} ms are left"
                spoken.left_out.append(f"face: {most - count} of {most}: {why}")
            if count == 0:
                return spoken.encoded
        started = time.perf_counter()
        chosen = spread(given.face, count)
        boxes = None if given.face_box is None else np.asarray(given.face_box, np.float32)
        if boxes is not None and boxes.ndim == 2:
            boxes = boxes[[place for place, _ in chosen]]
        with self._finding:
            encoded = self._conversation.encode(
                spoken.who.speaker,
                faces=[face for _, face in chosen],
                face_box=boxes,
                colors=given.colors,
                whole_frames=given.whole_frames,
                after=spoken.encoded,
            )
        costs.note(stage, 1, (time.perf_counter() - started) * 1000 / count)
        return encoded


def _seconds(given: Turn) -> float:
    audio = given.audio
    return len(audio) / given.sample_rate_hz if isinstance(audio, np.ndarray) else 0.0


def _text_size(given: Turn) -> int:
    return text_size(given.text) if isinstance(given.text, str) else 0


def _face_stage(pictures: Sequence[Image]) -> str:
    """Name the stage that finds faces in such pictures: large ones take longer."""
    pixels = max(np.size(picture) for picture in pictures)
    return f"find in 2**{int(pixels).bit_length()}"
