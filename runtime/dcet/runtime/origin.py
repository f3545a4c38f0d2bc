"""Says of what memory something was encoded, so that it is not taken for another's."""

from dataclasses import dataclass

from dcet.runtime.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """The memory that the encoders read: whose it was, and after how many of their turns."""

    memory: object  # of one conversation until its reset; only its identity counts
    speaker: str
    number: int  # the speaker's; 0 before their first turn
    turns: int  # of the speaker

    def check(self, now: "Origin", where: str) -> None:
        """Check that what has this origin may still be used, by the speaker of `now`.

        Raises InputError.
        """
        if self.memory is not now.memory:
            raise InputError(
                f"{where}: expected what this conversation encoded, got what another one did, or "
                "this one before it was reset; encode it again"
            )
        if self.speaker != now.speaker:
            raise InputError(
                f"{where}: expected what was encoded for {now.speaker!r}, got what was for "
                f"{self.speaker!r}; the audio of each is heard against their own voice, so encode "
                "it again"
            )
        if self.number not in (0, now.number):
            raise InputError(
                f"{where}: expected what was encoded since {now.speaker!r} was forgotten, got what "
                "was before; encode it again"
            )
