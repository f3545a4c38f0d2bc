"""What a command does with all that a session says: the terminal, a file of events, the record."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console

from dcet.live.events import Event, SeenFaces
from dcet.live.show.record import Record
from dcet.live.show.scene import Scene
from dcet.live.show.view import TerminalView
from dcet.runtime.cli.output import STDOUT
from dcet.runtime.files import atomic_path


class Watcher:
    """Takes events and faces; `scene` is what is known now, `record` all that a page needs."""

    def __init__(self, view: TerminalView, scene: Scene, events: TextIO | None) -> None:
        self.scene = scene
        self.record = Record()
        self._view = view
        self._events = events

    def hear(self, event: Event) -> None:
        change = self.scene.hear(event)
        self.record.hear(event, change)
        self._view.show(event, change)
        if self._events is not None:
            self._events.write(json.dumps(event.as_dict(), allow_nan=False) + "\n")

    def see(self, seen: SeenFaces) -> None:
        self.scene.see(seen)
        self.record.see(seen)


@contextmanager
def watching(console: Console, jsonl_path: Path | None) -> Iterator[Watcher]:
    """Yield a watcher that shows events on a console and writes them to a file, a line each.

    The file appears whole when the block succeeds. Raises WriteError.
    """
    scene = Scene()
    with ExitStack() as stack:
        events: TextIO | None = None
        if jsonl_path == STDOUT:
            events = sys.stdout
        elif jsonl_path is not None:
            temporary = stack.enter_context(atomic_path(jsonl_path))
            events = stack.enter_context(temporary.open("w", encoding="utf-8"))
        view = stack.enter_context(TerminalView(console, scene))
        yield Watcher(view, scene, events)
