"""What a conversation remembers: looked at, summed up, forgotten, saved."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.options import Options
from dcet.runtime.saved_memory import Saved, read_saved, write_saved
from dcet.runtime.senses.text import count_tokens
from dcet.runtime.snapshot import put_speaker, take, take_speaker
from dcet.runtime.summary import Summary, summarise
from dcet.runtime.trajectory import Trajectory
from dcet.runtime.turn import check_speaker
from dcet.runtime.uncopied import Uncopied
from dcet.runtime.whole_memory import Memory


class Remembering(Uncopied):
    """The part of a conversation that runs no graph."""

    def __init__(self, bundle: Bundle, memory: Memory, options: Options) -> None:
        self.bundle = bundle
        self.abstain_below = options.abstain_below
        self._memory = memory
        self._options = options

    @property
    def turns(self) -> int:
        """The number of turns answered since the beginning or the last reset."""
        return self._memory.arena.index.turns

    @property
    def speakers(self) -> tuple[str, ...]:
        """The speakers who are remembered, the one silent for longest first."""
        return self._memory.arena.speakers

    def trajectory(self, speaker: str) -> Trajectory:
        """Return the last 256 turns of a speaker. Raises UnknownSpeaker."""
        return self._memory.arena.trajectory(check_speaker(speaker))

    def summary(self, max_tokens: int = 200) -> Summary:
        """Sum up the emotion of each speaker who is remembered: now, since when, and before.

        max_tokens: that `text` may have at most, counted with the bundle's tokenizer

        Raises ConfigError.
        """
        arena = self._memory.arena
        return summarise(
            self.turns,
            map(arena.trajectory, reversed(self.speakers)),
            abstain_below=self.abstain_below,
            max_tokens=max_tokens,
            count=partial(count_tokens, self.bundle.tokenizer),
        )

    def forget(self, speaker: str) -> None:
        """Leave no trace of this speaker. What the scene remembers of all speakers goes with it.

        Other speakers keep their own memory. Raises UnknownSpeaker.
        """
        self._memory.forget(check_speaker(speaker))

    def reset(self) -> None:
        """Forget all speakers and the scene, and count turns from 1 again."""
        self._memory.reset()

    def save(self, path: Path | str, *, password: str | None = None) -> None:
        """Save all that is remembered to one file, which `restore` reads. Its owner alone may read
        it, and it takes the place of what was there once it is whole.

        password: encrypts the file (scrypt, AES-256-GCM); needs the extra `private`

        Raises WriteError, ConfigError, EngineError or MissingExtra.
        """
        facts, arrays = take(self._memory)
        facts = {**facts, "options": asdict(self._options)}
        write_saved(path, Saved("conversation", self.bundle.sha256, facts, arrays), password)

    def export_speaker(
        self, speaker: str, path: Path | str, *, password: str | None = None
    ) -> None:
        """Save what is remembered of one speaker, to go on with them in another conversation.

        Nothing of the scene goes with them, nor any other name, nor when they spoke. Password and
        errors are those of `save`; raises UnknownSpeaker, too.
        """
        facts, arrays = take_speaker(self._memory, check_speaker(speaker))
        write_saved(path, Saved("speaker", self.bundle.sha256, facts, arrays), password)

    def import_speaker(
        self, path: Path | str, *, name: str | None = None, password: str | None = None
    ) -> str:
        """Remember a speaker whom `export_speaker` saved, and return their name here.

        name: another than they had

        In their trajectory, `turns` and `times_us` of what was before are 0 and -1. Of their
        episodes as many are kept as the long-term bank has room for, if there is one. Raises
        InputError where the name is taken or there is no room (nobody is forgotten), the
        SavedMemoryError that says what is wrong with the file, ConfigError, MissingExtra or
        EngineError; the memory is as it was then.
        """
        saved = read_saved(path, "speaker", self.bundle.sha256, password)
        return put_speaker(self._memory, saved.facts, saved.arrays, name)
