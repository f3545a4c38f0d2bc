"""The tables that data sets come with, read by one rule.

Text is UTF-8, with or without a byte order mark, as Excel's "CSV UTF-8" has one. Labels count
whatever their case, and without the spaces around them. Every error names file and line.
"""

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcet.runtime.errors import (
    BadNumber,
    DataNotFound,
    DuplicateTurn,
    MalformedTable,
    MissingColumn,
    UndecodableText,
    UnknownLabel,
)
from dcet.runtime.labels import EMOTIONS

MAX_DIGITS = 18  # of a whole number


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    file: Path
    line: int  # the row's last one, from 1
    cells: Mapping[str, str | None]  # by column; None where the row has too few

    @property
    def where(self) -> str:
        return f"{self.file}, line {self.line}"

    def text(self, column: str) -> str:
        """Return a cell as it stands. Raises MalformedTable where the row is too short for it."""
        value = self.cells[column]
        if value is None:
            raise MalformedTable(
                f"{self.where}: the row ends before {column}; write all {len(self.cells)} columns"
            )
        return value

    def label(self, column: str, known: Collection[str]) -> str:
        """Return the label of a cell. Raises UnknownLabel."""
        return find_label(self.cells[column], known, f"{self.where}: {column}")

    def emotion(self, column: str = "label") -> int:
        """Return the index into EMOTIONS of a cell. Raises UnknownLabel."""
        return EMOTIONS.index(self.label(column, EMOTIONS))

    def whole_number(self, column: str) -> int:
        """Return a cell that holds 0 or more. Raises BadNumber."""
        value = self.cells[column]
        digits = (value or "").strip()
        if not digits.isdecimal() or len(digits) > MAX_DIGITS:
            raise BadNumber(f"{self.where}: {column} is {value!r:.60}; expected a whole number")
        return int(digits)


def read_csv(file: Path, columns: Sequence[str], *, what: str = "a CSV file") -> Iterator[Row]:
    """Yield the rows of a CSV that has at least these columns.

    Raises DataNotFound, UndecodableText, MissingColumn or MalformedTable.
    """
    reader = csv.DictReader(io.StringIO(read_text(file, what), newline=""))
    try:
        found = reader.fieldnames or ()
        if missing := [name for name in columns if name not in found]:
            raise MissingColumn(
                f"{file}: columns {', '.join(missing)} are missing; expected at least "
                f"{', '.join(columns)}, got {', '.join(found) or 'none'}"
            )
        for cells in reader:
            yield Row(file, reader.line_num, cells)
    except csv.Error as error:
        raise MalformedTable(
            f"{file}, line {reader.line_num}: {error}; look for a quote that is not closed"
        ) from error


def read_text(file: Path, what: str, cure: str = "check the path") -> str:
    """Return the text of a file. Raises DataNotFound or UndecodableText.

    what, cure: what was expected, and what to do where the file cannot be read, for the message
    """
    try:
        data = file.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataNotFound(
            f"{file}: expected {what}, but it cannot be read ({reason}); {cure}"
        ) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UndecodableText(
            f"{file}, line {line}: byte 0x{data[error.start]:02x} at offset {error.start} is not "
            "UTF-8; convert the file first, for example: iconv -f WINDOWS-1252 -t UTF-8"
        ) from error


def find_label(value: str | None, known: Collection[str], where: str) -> str:
    """Return the one of `known` that a cell names. Raises UnknownLabel."""
    label = (value or "").strip().lower()
    if label not in known:
        raise UnknownLabel(f"{where} is {value!r:.60}; expected one of {', '.join(known)}")
    return label


def expect_each_once(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Raise DuplicateTurn where two rows are alike in all of these columns."""
    lines: dict[tuple[str | None, ...], int] = {}
    for row in rows:
        first = lines.setdefault(tuple(row.cells[name] for name in columns), row.line)
        if first != row.line:
            found = ", ".join(f"{name} {row.cells[name]}" for name in columns)
            raise DuplicateTurn(
                f"{row.where}: {found} is that of line {first}, too; remove one of the two"
            )
