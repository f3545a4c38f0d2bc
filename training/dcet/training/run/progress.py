"""Progress reports of a training run."""

from typing import Protocol


class Progress(Protocol):
    """The receiver of a run's progress, a progress bar for example."""

    def advance(self, done: int, total: int, message: str) -> None:
        """Tell that `done` of `total` updates are done, and what happens now."""
        ...

    def say(self, message: str) -> None:
        """Tell what is to stay in view, such as the dev figures of an epoch."""
        ...
