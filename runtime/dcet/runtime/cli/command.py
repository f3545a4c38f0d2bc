"""The behaviour of every DCET command: help, version, exit codes, errors, signals, encodings."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

import click
from click.exceptions import Exit

from dcet.runtime.cli.output import STDOUT, prepare_streams
from dcet.runtime.cli.paths import check_paths
from dcet.runtime.errors import DcetError

OK = 0
ERROR = 2  # what click ends with, too
INTERNAL = 70  # as EX_SOFTWARE in sysexits.h
SIGNALLED = 128  # and the number of the signal, as shells say it
INTERRUPTED = SIGNALLED + signal.SIGINT
BROKEN_PIPE = SIGNALLED + 13  # SIGPIPE, which Windows has not
EXIT_CODES = (
    "Exit codes: 0 done; 1 worse than allowed (a regression, a bound or budget not held); 2 wrong "
    "usage, input or output; 70 a fault in DCET; 130, 141, 143 interrupted, output closed by its "
    "reader, terminated."
)


class Command(click.Command):
    """A command, or a subcommand, of DCET.

    It has -h and --version, and ends with one of EXIT_CODES and without a traceback unless the
    fault is in DCET. SIGTERM and SIGHUP end it as Ctrl-C does, so that temporary files are removed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = {"help_option_names": ["-h", "--help"]} | (kwargs.get("context_settings") or {})
        super().__init__(*args, **kwargs | {"context_settings": settings})
        click.version_option(package_name="dcet", message="%(prog)s %(version)s")(self)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text(EXIT_CODES)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            rest = super().parse_args(ctx, args)
        except click.MissingParameter as error:
            if (path := ctx.params.get("json_path")) in (None, STDOUT):
                raise
            why = f"{path} was taken for the file of --json, which goes last"
            raise click.MissingParameter(why, error.ctx, error.param) from error
        check_paths(ctx)
        return rest

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _errors():  # --help and --version are printed here
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _errors():
            return super().invoke(ctx)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        if sys.stdout is None:
            click.echo("Error: standard output is closed; send it to a file or /dev/null", err=True)
            sys.exit(ERROR)
        prepare_streams()
        with _ending_on_signals():
            try:
                return super().main(*args, **kwargs)
            except SystemExit as leaving:
                sys.exit(_after_flushing(leaving.code))
            except OSError:  # the error could not be shown: stderr is closed or full
                sys.exit(_after_flushing(ERROR))


class Group(Command, click.Group):
    """A command with subcommands."""

    command_class = Command


@contextmanager
def _errors() -> Iterator[None]:
    """Turn exceptions into messages and exit codes that click shows and ends with."""
    try:
        yield
    except (click.ClickException, Exit, click.Abort):
        raise
    except KeyboardInterrupt as error:
        raise Exit(INTERRUPTED) from error
    except DcetError as error:
        click.echo(f"Error: {error}", err=True)
        raise Exit(error.exit_code) from error
    except BrokenPipeError as error:
        raise Exit(BROKEN_PIPE) from error
    except Exception as error:
        if isinstance(error, OSError) and (message := _why_stdout_fails()):
            click.echo(f"Error: {message}", err=True)
            raise Exit(ERROR) from error
        traceback.print_exc()
        click.echo("This is a fault in DCET; please report it with the lines above.", err=True)
        raise Exit(INTERNAL) from error


def _why_stdout_fails() -> str | None:
    """Say why standard output takes nothing, not even one line more, where it does not."""
    try:
        click.echo()
    except BrokenPipeError:
        raise
    except OSError as error:
        return f"could not write to standard output: {error.strerror}"
    return None


def _after_flushing(code: Any) -> Any:
    """Return the exit code once all output is written: only then is it known to be.

    Where it cannot be written, the rest is dropped, or Python would complain at its end.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if code:
            return code
        if isinstance(error, BrokenPipeError):
            return BROKEN_PIPE
        click.echo(f"Error: could not write to standard output: {error.strerror}", err=True)
        return ERROR
    return code


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Raise SystemExit on SIGTERM and SIGHUP, unless they are ignored, as nohup has it."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(SIGNALLED + number)

    numbers = [
        number
        for name in ("SIGTERM", "SIGHUP")
        if (number := getattr(signal, name, None)) and signal.getsignal(number) == signal.SIG_DFL
    ]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # signals belong to the main thread
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
