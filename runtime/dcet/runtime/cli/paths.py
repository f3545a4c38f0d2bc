"""Files and folders that commands write, checked before any work is done."""

import os
import stat
from pathlib import Path
from typing import Any

import click

from dcet.runtime.cli.output import STDOUT


class OutputFile(click.Path):
    """A file to write, or a device, a FIFO, or `-` for standard output where that is allowed."""

    def __init__(self, *, stdout: bool = False) -> None:
        super().__init__(path_type=Path, dir_okay=False, allow_dash=stdout)
        self.stdout = stdout

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | Any:
        if value in ("-", STDOUT):
            if not self.stdout:
                self.fail("standard output is no place for it; name a file", param, ctx)
            return STDOUT
        path: Path = Path(value).absolute() if value == "./-" else Path(value)
        if self.stdout and _is_standard_output(path):
            return STDOUT
        if message := why_no_file(path):
            self.fail(message, param, ctx)
        return path


class OutputFolder(click.Path):
    """A folder to write, made if it is not there.

    replaces: where what is there is replaced, a pattern of a file that tells that it may be
    """

    def __init__(self, *, replaces: str | None = None) -> None:
        super().__init__(path_type=Path, file_okay=False)
        self.replaces = replaces

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | Any:
        path = Path(value)
        if message := why_no_folder(path, replaces=self.replaces):
            self.fail(message, param, ctx)
        return path


def why_no_file(path: Path) -> str | None:
    """Say what stands in the way of writing a file, and what to do; None if nothing does."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    except OSError as error:
        return f"cannot write {path}: {error.strerror}"
    if mode is not None and stat.S_ISDIR(mode):
        return f"expected a file, {path} is a folder"
    if mode is not None and not stat.S_ISREG(mode):
        return None if os.access(path, os.W_OK) else f"{path} cannot be written"
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        return f"there is no folder {folder if path.is_symlink() else path.parent}; make it first"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"cannot write in the folder {folder}; choose another place"
    return None


def why_no_folder(path: Path, *, replaces: str | None = None) -> str | None:
    """Say what stands in the way of writing a folder, and what to do; None if nothing does.

    replaces: pattern of a file in folders that may be replaced
    """
    path = Path(os.path.realpath(path))
    try:
        there = next(place for place in (path, *path.parents) if place.exists())
        if not there.is_dir():
            return f"expected a folder, {there} is a file"
        if replaces and there == path and any(path.iterdir()) and not any(path.glob(replaces)):
            return (
                f"{path} holds other files, which would be lost; name a new or an empty folder, or "
                f"one with {replaces}"
            )
    except OSError as error:
        return f"cannot write {path}: {error.strerror}"
    changed = there.parent if replaces and there == path else there
    if not os.access(changed, os.W_OK | os.X_OK):
        return f"cannot write in the folder {changed}; choose another place"
    return None


def check_paths(ctx: click.Context) -> None:
    """Refuse two outputs in one place, and an output in the place of an input."""
    outputs: list[tuple[click.Parameter, Path]] = []
    inputs: list[tuple[click.Parameter, Path]] = []
    for param in ctx.command.params:
        if isinstance(param.type, click.Path):
            found = outputs if isinstance(param.type, OutputFile | OutputFolder) else inputs
            value = ctx.params.get(param.name or "")
            values = value if isinstance(value, tuple) else (value,)
            found += [(param, Path(path)) for path in values if path is not None]
    for number, (param, path) in enumerate(outputs):
        for other, place in outputs[:number]:
            if same_place(path, place):
                raise click.UsageError(
                    f"{name_of(param)} and {name_of(other)}: expected two places, "
                    f"both are {path if path != STDOUT else 'standard output'}",
                    ctx,
                )
        replaced = isinstance(param.type, OutputFolder) and bool(param.type.replaces)
        for source, place in inputs:
            if is_lost(place, path, replaced=replaced):
                raise click.UsageError(
                    f"{name_of(param)}: {path} would take the place of {place}, which is read as "
                    f"{name_of(source)}; name another",
                    ctx,
                )


def is_lost(source: Path, output: Path, *, replaced: bool) -> bool:
    """Tell whether writing `output` would overwrite `source`.

    replaced: whether all that is in `output` goes
    """
    return same_place(source, output) or (
        replaced and Path(os.path.realpath(source)).is_relative_to(os.path.realpath(output))
    )


def same_place(one: Path, other: Path) -> bool:
    """Tell whether two paths lead to one file or folder to overwrite, not to a device or FIFO."""
    if STDOUT in (one, other):
        return one == other
    if os.path.realpath(one) != os.path.realpath(other) and not (
        one.exists() and other.exists() and one.samefile(other)
    ):
        return False
    return not one.exists() or one.is_file() or one.is_dir()


def name_of(param: click.Parameter) -> str:
    """Return the name of an option or an argument as people type it."""
    return param.opts[0] if isinstance(param, click.Option) else param.human_readable_name


def _is_standard_output(path: Path) -> bool:
    """Tell whether it is the file or pipe that standard output goes to, such as /dev/stdout."""
    try:
        here, there = os.fstat(1), path.stat()
    except OSError:
        return False
    return os.path.samestat(here, there) and not stat.S_ISCHR(there.st_mode)
