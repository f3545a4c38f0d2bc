"""Tables of the operators that TensorRT's ONNX parser takes, by version, each with its source.

operators.csv  versions for which a row holds (`10.1-` from 10.1 on, `10-10` every 10.x), whether
               the operator is supported, types of its data, and limits. A limit is
               `SUBJECT: RULE`, the subject being an attribute, input or output of the operator,
               and the rule one of `constant`, `zeros`, `ones`, `absent`, `rank N`, `A or B long`
               and `one of A|B`; `note: …` is what no check of a graph can tell.
parsers.csv    operator sets and file format versions.

TensorRT 10.1 published a list of operators; later releases published what they added, and none that
removed one, so a row without an end is taken to hold for 11.x as well. The parsers of 10.x are
built with ONNX 1.16 and 1.17, which know the operator sets 21 and 22. The table ends at 20: 21 gave
most operators new types, and no list says which of them the parser took over.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dcet.targets.target import TensorrtRange

TABLES = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A row of operators.csv."""

    operator: str
    supported: bool
    types: tuple[str, ...]  # such as FP16
    limits: tuple[tuple[str, str], ...]  # (subject, rule)
    versions: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parser:
    """A row of parsers.csv."""

    opset_min: int
    opset_max: int
    ir_version_max: int
    versions: str
    source: str


def operators(tensorrt: TensorrtRange) -> dict[str, list[Operator]]:
    """Select the rows that hold for some version of a range, by operator."""
    found: dict[str, list[Operator]] = {}
    for row in _operators():
        if tensorrt.overlaps(row.versions):
            found.setdefault(row.operator, []).append(row)
    return found


def parsers(tensorrt: TensorrtRange) -> list[Parser]:
    """Select the rows that hold for some version of a range."""
    return [row for row in _parsers() if tensorrt.overlaps(row.versions)]


@cache
def _operators() -> tuple[Operator, ...]:
    return tuple(
        Operator(
            operator=row["operator"],
            supported=row["supported"] == "yes",
            types=tuple(row["types"].split()),
            limits=tuple(_limit(limit) for limit in row["limits"].split("; ") if limit),
            versions=row["versions"],
            source=row["source"],
        )
        for row in _rows("operators.csv")
    )


@cache
def _parsers() -> tuple[Parser, ...]:
    return tuple(
        Parser(
            opset_min=int(row["opset_min"]),
            opset_max=int(row["opset_max"]),
            ir_version_max=int(row["ir_version_max"]),
            versions=row["versions"],
            source=row["source"],
        )
        for row in _rows("parsers.csv")
    )


def _limit(text: str) -> tuple[str, str]:
    subject, _, rule = text.partition(": ")
    return subject, rule


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (TABLES / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
