"""A live session: streams in from any thread, events out."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, TypeVar

from numpy.typing import ArrayLike, NDArray

from dcet.live.answering.host_turn import HostTurn
from dcet.live.events import Event, SeenFaces
from dcet.live.hearing.turn_cutter import HANGOVER_MS
from dcet.live.inputs import check_ms
from dcet.live.outbox import EventSource
from dcet.live.people.voices import Voices
from dcet.live.pushing import Pushing
from dcet.live.room import Options, Recogniser, Room
from dcet.live.timeline import check_pts
from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.conversation import Conversation
from dcet.runtime.engines.engine import Engine
from dcet.runtime.errors import InputError
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.runtime.turn import Colors, Image, Turn, check_speaker
from dcet.runtime.uncopied import Uncopied

WAITING_TURNS = 64

T = TypeVar("T")


class LiveSession(Pushing, EventSource, Uncopied):
    """Follows streams of sound, pictures and words, and says what it makes of every turn.

    deadline_ms: from the end of a turn, within which its final is given; None, whenever it is ready
    interim_ms: of speech, between interims
    hangover_ms: without a voice, after which a turn has ended
    attribution: find out who speaks where the host does not say: whose mouth moves with the voice
    speakers: who is heard or seen on a track, where it is always the same person
    face_finder: finds the faces; by default one with the best detector that is here
    threaded: False to do everything in the thread that pushes, before the push returns, with all
        the time that it takes: the same pushes then give the same events on every machine
    asr: recognises the words of turns for which none are pushed
    voices: tells voices apart, such as `Voices(speaker_model(path))`; without it, all voices that
        no face in view explains are one person's
    on_event: called with each event, by a thread of its own; else `poll`, `events` and `async for`
        give them
    on_faces: called likewise after each frame in which faces were searched

    Pushes never wait; what they are given may be changed as soon as they return. Times are whole
    microseconds of media time: of any clock, but of one for all streams. Raises as Conversation
    does.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        engine: str | Engine = "auto",
        deadline_ms: float | None = 50,
        interim_ms: float = 500,
        hangover_ms: float = HANGOVER_MS,
        attribution: bool = True,
        speakers: Mapping[str, str] | None = None,
        max_speakers: int = 64,
        face_finder: FaceFinder | None = None,
        threaded: bool = True,
        asr: Recogniser | None = None,
        voices: Voices | None = None,
        on_event: Callable[[Event], object] | None = None,
        on_faces: Callable[[SeenFaces], object] | None = None,
        conversation: Conversation | None = None,
    ) -> None:
        check_ms(
            deadline_ms=1 if deadline_ms is None else deadline_ms,
            interim_ms=interim_ms,
            hangover_ms=hangover_ms,
        )
        if conversation is None:
            conversation = Conversation(
                bundle, engine, max_speakers=max_speakers, face_finder=face_finder
            )
        options = Options(
            deadline_ms=deadline_ms,
            interim_ms=interim_ms,
            hangover_ms=hangover_ms,
            attribution=attribution,
            speakers=speakers or {},
            face_finder=face_finder,
            threaded=threaded,
            asr=asr,
            voices=voices,
            on_event=on_event,
            on_faces=on_faces,
        )
        seeing = Conversation(bundle, conversation.engine, max_speakers=1)
        self._room = Room(conversation, seeing, options)
        self._outbox = self._room.outbox
        self._is_closed = False

    @classmethod
    def restore(
        cls,
        path: Path | str,
        bundle: Bundle,
        *,
        engine: str | Engine = "auto",
        password: str | None = None,
        **options: Any,
    ) -> Self:
        """Make a session that remembers what one remembered that was saved.

        options: those of LiveSession, but for max_speakers. Raises as Conversation.restore does.
        """
        conversation = Conversation.restore(
            path, bundle, engine, face_finder=options.get("face_finder"), password=password
        )
        return cls(bundle, conversation=conversation, **options)

    @property
    def conversation(self) -> Conversation:
        """What is remembered, to be read: another thread may be writing to it."""
        return self._room.conversation

    @property
    def counters(self) -> dict[str, Any]:
        """What came in and what became of it, see docs/events.md."""
        return self._room.counters.as_dict()

    def begin_turn(
        self, speaker: str | None = None, *, at_us: int | None = None, track: str = "mic"
    ) -> int:
        """Begin a turn of what this track hears, now or at a media time; return its number.

        It ends with `end_turn`, whatever is heard. Raises InputError.
        """
        name = None if speaker is None else check_speaker(speaker)
        at_us = None if at_us is None else check_pts("at_us", at_us)
        self._expect_open()
        return self._room.do(
            lambda: self._room.pipeline.turns.begin(check_speaker(track, "track"), name, at_us)
        )

    def end_turn(self, turn_id: int) -> None:
        """End a turn that `begin_turn` began. Raises InputError where there is none."""
        if not self._room.do(lambda: self._room.pipeline.turns.end(turn_id)):
            raise InputError(
                f"turn_id: expected a turn that goes on, got {turn_id!r}; "
                "give what begin_turn returned, once"
            )

    def turn(
        self,
        speaker: str,
        text: str | None = None,
        audio: NDArray[Any] | None = None,
        faces: Sequence[Image] | None = None,
        *,
        sample_rate_hz: float = SAMPLE_RATE_HZ,
        colors: Colors = "rgb",
        whole_frames: bool = False,
        face_box: ArrayLike | None = None,
        at_us: int | None = None,
    ) -> Event:
        """Answer a turn that the host has cut; return its final, by the deadline if one can be.

        Arguments are those of Conversation.turn; pictures must stay as they are until the turn is
        remembered, which a late one is after this returns. The event is given as all others, too.
        Raises InputError; what cannot be answered is `missing`.
        """
        given = Turn(text, audio, faces, sample_rate_hz, colors, whole_frames, face_box)
        given.check(self._room.conversation.bundle.manifest.modalities)
        at_us = None if at_us is None else check_pts("at_us", at_us)
        self._expect_open()
        final: Future[Event] = Future()
        turn = HostTurn(check_speaker(speaker), given, at_us, time.perf_counter(), final.set_result)
        room = self._room
        if room.ears is None:
            room.do(lambda: room.pipeline.host_turns.answer(turn))
        elif not room.ears.offer(
            lambda: room.pipeline.host_turns.answer(turn), "turns", 1, WAITING_TURNS
        ):
            raise InputError(
                f"expected at most {WAITING_TURNS} turns that wait for an answer, got another one; "
                "wait for the answers to those"
            )
        return final.result()

    def flush(self) -> None:
        """End all turns now, and return when everything that was pushed is answered."""
        self._room.flush()

    def save(self, path: Path | str, *, password: str | None = None) -> None:
        """Save what is remembered, as Conversation.save does; turns that go on are not in it."""
        self._remembering(lambda it: it.save(path, password=password))

    def export_speaker(
        self, speaker: str, path: Path | str, *, password: str | None = None
    ) -> None:
        """Save what is remembered of one speaker, as Conversation.export_speaker does."""
        self._remembering(lambda it: it.export_speaker(speaker, path, password=password))

    def import_speaker(
        self, path: Path | str, *, name: str | None = None, password: str | None = None
    ) -> str:
        """Remember a speaker who was exported, as Conversation.import_speaker does."""
        return self._remembering(lambda it: it.import_speaker(path, name=name, password=password))

    def forget(self, speaker: str) -> None:
        """Leave no trace of this speaker, nor of their turn that goes on. Raises UnknownSpeaker."""
        name = check_speaker(speaker)

        def forget() -> None:
            self._room.pipeline.forget(name)
            self._room.conversation.forget(name)

        self._room.do(forget)

    def reset(self) -> None:
        """Forget everybody, and all that was pushed."""

        def reset() -> None:
            self._room.pipeline.forget()
            self._room.conversation.reset()

        self._room.do(reset)

    def close(self) -> None:
        """Answer what is left, and end. May be called again, and by a callback."""
        if self._is_closed:
            return
        self._is_closed = True
        self._room.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _remembering(self, job: Callable[[Conversation], T]) -> T:
        """Do something with all that is remembered, the last turn in it."""
        room = self._room

        def do() -> T:
            room.pipeline.answers.remember()
            return job(room.conversation)

        return room.do(do)
