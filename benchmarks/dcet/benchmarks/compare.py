"""Is the second of two reports worse than the first?"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dcet.benchmarks.accuracy import ACCURACY_SCHEMA
from dcet.benchmarks.latency.measure import LATENCY_SCHEMA
from dcet.benchmarks.peers.measure import PEERS_SCHEMA
from dcet.benchmarks.prediction.measure import PREDICT_SCHEMA
from dcet.benchmarks.robustness.measure import ROBUSTNESS_SCHEMA
from dcet.runtime.errors import DcetError

SCHEMAS = (LATENCY_SCHEMA, ACCURACY_SCHEMA, ROBUSTNESS_SCHEMA, PEERS_SCHEMA, PREDICT_SCHEMA)
COMPARISON_SCHEMA = "dcet-bench/comparison/1"
LATENCY_TOLERANCE = 0.10  # share of the first report's figure; machines are noisy
MEMORY_TOLERANCE_KIB = 1024
ACCURACY_TOLERANCE = 0.001  # figures of accuracy do not vary from run to run

Report = Mapping[str, Any]


class ReportError(DcetError, ValueError):
    """A report that cannot be read, or cannot be compared with the other."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure in both reports."""

    name: str
    unit: str
    before: float
    after: float
    regressed: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    before: str
    after: str
    notes: tuple[str, ...]  # what else differs and may explain a difference
    rows: tuple[Row, ...]

    @property
    def regressed(self) -> bool:
        return any(row.regressed for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        return {"schema": COMPARISON_SCHEMA, "regressed": self.regressed, **asdict(self)}


def compare_reports(before: Path, after: Path, tolerance: float = LATENCY_TOLERANCE) -> Comparison:
    """Compare two reports of one kind; latencies may be slower by the share `tolerance`.

    Raises ReportError when a file is no report, or the two cannot be compared.
    """
    first, second = read_report(before), read_report(after)
    if first["schema"] != second["schema"]:
        raise ReportError(
            f"{before} is {first['schema']} and {after} is {second['schema']}; "
            "compare two reports of the same kind"
        )
    try:
        if first["schema"] == ACCURACY_SCHEMA:
            _same_data(before, first, after, second)
            rows = tuple(_accuracy_rows(first, second))
        elif first["schema"] == ROBUSTNESS_SCHEMA:
            _same_conversations(before, first, after, second)
            rows = tuple(_robustness_rows(first, second))
        elif first["schema"] == PEERS_SCHEMA:
            rows = tuple(_peers_rows(first, second, tolerance))
        elif first["schema"] == PREDICT_SCHEMA:
            rows = tuple(_predict_rows(first, second, tolerance))
        else:
            rows = tuple(_latency_rows(first, second, tolerance))
        notes = tuple(_differences(first, second))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ReportError(
            f"{before} or {after}: {error!r} is missing or of the wrong type; write both reports "
            "again with this version of dcet-bench"
        ) from error
    return Comparison(before=before.name, after=after.name, notes=notes, rows=rows)


def read_report(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(
            f"{path}: expected a report that dcet-bench wrote with --json: {error}"
        ) from error
    schema = report.get("schema") if isinstance(report, dict) else None
    if schema not in SCHEMAS:
        raise ReportError(
            f"{path}: expected schema {', '.join(SCHEMAS[:-1])} or {SCHEMAS[-1]}, got {schema!r}; "
            "write the report again with this version of dcet-bench"
        )
    return dict(report)


def _latency_rows(before: Report, after: Report, tolerance: float) -> Iterator[Row]:
    slower_is_worse: list[tuple[str, str, tuple[str, ...]]] = [
        (
            f"{before[loop]['name'].partition(',')[0]}: {stage} {percentile}",
            "ms",
            (loop, "latency_ms", stage, percentile),
        )
        for loop in ("mixed", "fixed", "three_senses")
        if before.get(loop) and after.get(loop)
        for stage in ("turn", "step")
        for percentile in ("p50", "p95", "p99")
    ]
    slower_is_worse += [
        ("cold start: import", "s", ("cold_start", "import_s")),
        ("cold start: open, first estimate", "s", ("cold_start", "open_and_first_estimate_s")),
    ]
    for name, unit, path in slower_is_worse:
        a, b = _at(before, *path), _at(after, *path)
        yield Row(name=name, unit=unit, before=a, after=b, regressed=b > a * (1 + tolerance))
    a, b = _memory_growth_kib(before), _memory_growth_kib(after)
    yield Row(
        name="memory growth over turns",
        unit="KiB",
        before=a,
        after=b,
        regressed=b > a + MEMORY_TOLERANCE_KIB,
    )
    promises = {promise["name"]: promise for promise in before["promises"]}
    for second in after["promises"]:
        if (first := promises.get(second["name"])) is None:
            continue  # noted as a difference
        yield Row(
            name=f"promise: {second['name']}",
            unit=second["unit"],
            before=first["value"],
            after=second["value"],
            regressed=first["kept"] and not second["kept"],
        )


def _peers_rows(before: Report, after: Report, tolerance: float) -> Iterator[Row]:
    """Our latencies, and how many times longer the peers took in the same run."""
    for first, second in zip(before["stages"], after["stages"], strict=True):
        a, b = _at(first, "dcet_ms", "p50"), _at(second, "dcet_ms", "p50")
        yield Row(
            name=f"{first['name']} p50",
            unit="ms",
            before=a,
            after=b,
            regressed=b > a * (1 + tolerance),
        )
        for stack, a in first["ratio"].items():
            b = second["ratio"][stack]
            yield Row(
                name=f"{first['name']}, times of {stack}",
                unit="×",
                before=a,
                after=b,
                regressed=b < a / (1 + tolerance),
            )


def _predict_rows(before: Report, after: Report, tolerance: float) -> Iterator[Row]:
    """What was measured here, and what is predicted for the device."""
    graphs = {graph["name"]: graph for graph in after["graphs"]}
    for first in before["graphs"]:
        second = graphs[first["name"]]
        for name, unit, path in (
            ("here, p50", "ms", ("here", "measured_ms", "p50")),
            ("here, times the limit", "×", ("here", "ratio")),
            ("predicted", "ms", ("there", "latency_ms")),
        ):
            a, b = _at(first, *path), _at(second, *path)
            yield Row(
                name=f"{first['name']} {name}",
                unit=unit,
                before=a,
                after=b,
                regressed=b > a * (1 + tolerance),
            )


def _accuracy_rows(before: Report, after: Report) -> Iterator[Row]:
    higher_is_better = (
        ("weighted_f1",),
        ("macro_f1",),
        ("accuracy",),
        ("sentiment", "ccc"),
        ("shift", "f1"),
        ("shift", "average_precision"),
    )
    for path in higher_is_better:
        yield _accuracy_row(path, before, after, sign=1)
    for path in (("sentiment", "mae"), ("ece",), ("nll",)):
        yield _accuracy_row(path, before, after, sign=-1)


def _robustness_rows(before: Report, after: Report) -> Iterator[Row]:
    first, second = _conditions(before), _conditions(after)
    for name, value in first.items():
        yield Row(
            name=name,
            unit="",
            before=value,
            after=second[name],
            regressed=value - second[name] > ACCURACY_TOLERANCE,
        )


def _conditions(report: Report) -> dict[str, float]:
    """Weighted F1 by condition."""
    found = {}
    for row in report["masks"]:
        found["+".join(row["modalities"])] = row["outcome"]
    for row in report["missing"]:
        name = f"{'+'.join(row['modalities'])}, missing in {row['pattern']}, {row['rate']:.0%}"
        found[name] = row["outcome"]
    for curve in report["corruptions"]:
        for point in curve["points"]:
            found[f"{curve['corruption']}, {point['strength']:g}"] = point["outcome"]
    return {name: outcome["figures"]["weighted_f1"] for name, outcome in found.items()}


def _same_conversations(before: Path, first: Report, after: Path, second: Report) -> None:
    played = [(report["constructed"], report["settings"]["seed"]) for report in (first, second)]
    if played[0] != played[1]:
        raise ReportError(
            f"{before} is about {played[0]}, {after} about {played[1]}; measure both on the same "
            "constructed conversations: --data, --split, --dialogues and --seed"
        )


def _accuracy_row(path: tuple[str, ...], before: Report, after: Report, *, sign: int) -> Row:
    a, b = _at(before, *path), _at(after, *path)
    lost = sign * (a - b)
    return Row(name=".".join(path), unit="", before=a, after=b, regressed=lost > ACCURACY_TOLERANCE)


def _same_data(before: Path, first: Report, after: Path, second: Report) -> None:
    if (first["corpus"], first["n"]) != (second["corpus"], second["n"]):
        raise ReportError(
            f"{before} is about {first['n']} utterances of {first['corpus']}, {after} about "
            f"{second['n']} of {second['corpus']}; measure both on the same file"
        )


def _differences(before: Report, after: Report) -> Iterator[str]:
    paths = {
        "bundle": ("bundle", "sha256"),
        "engine": ("engine", "name"),
        "target": ("target",),
        "data": ("data",),
        "memory reset after every turn": ("reset_memory",),
        "processor": ("machine", "cpu"),
        "cores": ("machine", "cores"),
        "turns measured": ("settings", "turns"),
        "turns of growth": ("settings", "growth_turns"),
    }
    for name, (first, *rest) in paths.items():
        a, b = (report.get(first) for report in (before, after))
        for key in rest:
            a, b = (part.get(key) if part else None for part in (a, b))
        if a != b:
            yield f"{name}: {str(a)[:24]} / {str(b)[:24]}"
    promised = [
        {promise["name"] for promise in report.get("promises", ())} for report in (before, after)
    ]
    for name in sorted(promised[0] ^ promised[1]):
        yield f"promise only in {'the first' if name in promised[0] else 'the second'}: {name}"


def _memory_growth_kib(report: Report) -> float:
    points = report["growth_over_turns"]
    return float(points[-1]["rss_bytes"] - points[0]["rss_bytes"]) / 1024


def _at(report: Report, *path: str) -> Any:
    value: Any = report
    for key in path:
        value = value[key]
    return value
