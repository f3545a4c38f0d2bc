"""The figures of two reports of one kind, row by row, and which of them got worse."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from dcet.runtime.errors import DcetError

COMPARISON_SCHEMA = "dcet-bench/comparison/1"
LATENCY_TOLERANCE = 0.10  # share of the first report's figure; machines are noisy
ACCURACY_TOLERANCE = 0.001  # figures of accuracy do not vary from run to run

Report = Mapping[str, Any]  # a report as its JSON has it


class ReportError(DcetError, ValueError):
    """A report that cannot be read, or cannot be compared with the other."""


@contextmanager
def report_errors(where: str, cure: str) -> Iterator[None]:
    """Raise a ReportError for what a value that is missing, or of the wrong type, leads to."""
    try:
        yield
    except ReportError as error:
        raise ReportError(f"{where}: {error}") from error
    except (AttributeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ReportError(
            f"{where}: {error!r} is missing or of the wrong type; {cure} again with this version "
            "of dcet-bench"
        ) from error


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure in both reports. Names are unique within a comparison."""

    name: str
    unit: str
    before: float
    after: float
    regressed: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two reports, by their files, and every figure that both have."""

    before: str
    after: str
    notes: tuple[str, ...]  # what else differs and may explain a difference
    rows: tuple[Row, ...]

    @property
    def regressed(self) -> bool:
        return any(row.regressed for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Give the comparison as JSON has it, with the verdict."""
        return {"schema": COMPARISON_SCHEMA, "regressed": self.regressed, **asdict(self)}


def lower_is_better(name: str, unit: str, before: float, after: float, tolerance: float) -> Row:
    """Make the row of a quantity that regressed where it grew by more than a share `tolerance`."""
    regressed = after > before * (1 + tolerance)
    return Row(name=name, unit=unit, before=before, after=after, regressed=regressed)


def higher_is_better(name: str, unit: str, before: float, after: float, tolerance: float) -> Row:
    """Make the row of a quantity that regressed where it shrank by more than `tolerance`."""
    regressed = after < before / (1 + tolerance)
    return Row(name=name, unit=unit, before=before, after=after, regressed=regressed)


def score_row(name: str, before: float, after: float, *, lower_is_better: bool = False) -> Row:
    """Make the row of a score without a unit, which may lose ACCURACY_TOLERANCE."""
    lost = after - before if lower_is_better else before - after
    return Row(name=name, unit="", before=before, after=after, regressed=lost > ACCURACY_TOLERANCE)


def at(report: Report, *path: str) -> Any:
    """Look up the value at a path of keys. Raises KeyError or TypeError."""
    value: Any = report
    for key in path:
        value = value[key]
    return value
