"""Output of commands: text in any encoding, JSON, tables; and files, of which `-` is stdout."""

import codecs
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.text import Text

from dcet.runtime.files import atomic_path, write_json

STDOUT = Path("-")
PLAIN = dict(zip("→←↑↓◆●─━│┃═–—×≤≥≠±…’‘“”· ", "><^v*o--||=--x<>!~.''\"\". ", strict=True)) | {
    **dict(zip("▁▂▃▄▅▆▇█", "_.-:=+*#", strict=True)),
    **dict(zip("▏▎▍▌▋▊▉", ".:-=+*#", strict=True)),
}  # one character for one, so that columns stay aligned


def prepare_streams() -> None:
    """Let stdout and stderr print every text: what their encoding lacks is written plainly."""
    codecs.register_error("dcet-plain", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="dcet-plain")


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if character in PLAIN:
        return PLAIN[character], error.start + 1
    one = UnicodeEncodeError(
        error.encoding, error.object, error.start, error.start + 1, error.reason
    )
    return codecs.backslashreplace_errors(one)


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Let the command end as it does wherever else its reader is gone."""
        raise BrokenPipeError


def make_console(*, stderr: bool = False) -> Console:
    """Make a console for text as it is: names of files and of pip's extras may hold brackets.

    In an encoding without box characters, tables are drawn with ASCII.
    """
    return _Console(file=sys.stderr if stderr else sys.stdout, markup=False, highlight=False)


@contextmanager
def show_status() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows on standard error what is being done; one line in a terminal."""
    screen = make_console(stderr=True)
    if screen.is_terminal:
        with screen.status("") as status:
            yield lambda message: status.update(Text(message))
    else:
        yield lambda message: click.echo(message, err=True)


def report_console(*outputs: Path | None) -> Console:
    """Make the console for people: standard error where an output takes standard output."""
    return make_console(stderr=STDOUT in outputs)


def output_json(path: Path | None, value: Any) -> None:
    """Write JSON to a file, or to standard output. Raises WriteError."""
    if path == STDOUT:
        click.echo(json.dumps(value, indent=2, allow_nan=False))  # ASCII: right in every encoding
    elif path is not None:
        write_json(path, value)


def output_text(path: Path | None, text: str) -> None:
    """Write text in UTF-8 to a file, or to standard output. Raises WriteError.

    What of a name of a file is not UTF-8 becomes an escape, as write_json has it.
    """
    data = text.encode(errors="backslashreplace")
    if path == STDOUT:
        click.echo(data)
    elif path is not None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
