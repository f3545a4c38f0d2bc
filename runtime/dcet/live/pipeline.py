"""Everything that a live session does with sound and words, in the order in which they are pushed.

There is no thread in it, and no clock but that of the media decides what is done, unless there is a
deadline: the same pushes give the same events, but for their latencies.
"""

import time

from dcet.live.answering.answers import Answers
from dcet.live.answering.host_turn import HostTurns
from dcet.live.answering.reporter import Spoken
from dcet.live.answering.texts import NEAR_US, Texts, Words
from dcet.live.answering.turns import Turns
from dcet.live.counters import Counters
from dcet.live.hearing.audio_track import AudioBlock
from dcet.live.people.people import People, Who
from dcet.live.timeline import SECOND_US

UNHEARD_US = 2 * SECOND_US  # after which words are taken for a turn of their own


class Pipeline:
    """What a session hears and is told. One thread at a time may use it."""

    def __init__(
        self,
        turns: Turns,
        host_turns: HostTurns,
        texts: Texts,
        answers: Answers,
        people: People,
        counters: Counters,
    ) -> None:
        self.turns = turns
        self.host_turns = host_turns
        self.answers = answers
        self._texts = texts
        self._people = people
        self._counters = counters

    def audio(self, block: AudioBlock, arrived_s: float) -> None:
        """Listen to a block of sound. Raises InputError or EngineError."""
        self.turns.arrived_s = arrived_s
        self.turns.hear(block)
        self.tick(self.turns.now_us)

    def text(self, words: Words, arrived_s: float) -> None:
        """Give words to the turn in which they were said, or let them wait for it."""
        self.turns.arrived_s = arrived_s
        goes_on = self.turns.go_on_at(words.start_us, words.end_us)
        answered = None if goes_on else self.answers.find(words)
        if answered is None:
            self._texts.add(words)
        else:
            self._texts.expected = True
            self.answers.late(answered, words, now_us=self.turns.now_us or words.end_us)
        self.tick(self.turns.now_us)

    def transcribed(self, turn_id: int, text: str | None) -> None:
        """Take the words of a turn from the recogniser."""
        self._counters.receive("texts")
        if not text:
            self._counters.settle("texts", "dropped", why="the recogniser found no words")
            return
        words = Words(text, 0, 0, None, is_final=True)
        self.answers.late(turn_id, words, now_us=self.turns.now_us or 0, is_all=True)

    def tick(self, now_us: int | None) -> None:
        """Do what is due at this media time; None, where there is no sound."""
        before_us = None
        if now_us is not None:
            self.answers.tick(now_us)
            self.turns.tick(now_us)
            begun_us = self.turns.open_since_us
            before_us = now_us - UNHEARD_US
            if begun_us is not None:  # what was said in a turn waits for its end
                before_us = min(before_us, begun_us - NEAR_US)
            self._texts.drop_interim(before_us)
        for words in self._texts.unheard(before_us):
            self._answer_words(words)

    def flush(self) -> None:
        """End all turns, and answer whatever waits."""
        self.turns.arrived_s = time.perf_counter()
        self.turns.flush()
        self._texts.drop_interim(None)
        for words in self._texts.unheard(None):
            self._answer_words(words)
        self.answers.flush()

    def forget(self, speaker: str | None = None) -> None:
        """Drop what is kept of this speaker, or of all, but for what the conversation remembers."""
        self.turns.drop(speaker)
        self._texts.forget(speaker)
        self.answers.forget(speaker)
        if speaker is None:
            self._people.reset()
        else:
            self._people.forget(speaker)

    def _answer_words(self, words: Words) -> None:
        """Answer words that were said while no voice was heard as a turn of their own."""
        who = self._people.who("", words.start_us, words.end_us)
        named = words.speaker or self._people.only_one_on(self.turns.microphones)
        if named is not None:
            who = Who(named, 1.0, who.face)
        spoken = Spoken(
            turn_id=self.turns.number(),
            who=who,
            start_us=words.start_us,
            end_us=words.end_us,
            encoded=None,
            words=[words],
            arrived_s=self.turns.arrived_s,
        )
        self.answers.final(spoken, awaits_words=False)
