"""The accuracy report as a table on stdout."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from dcet.benchmarks.accuracy.measure import AccuracyReport
from dcet.benchmarks.accuracy.trust import Trust
from dcet.benchmarks.tables import new_table, print_identity
from dcet.data.answers import SHOWN


def print_accuracy(report: AccuracyReport, console: Console) -> None:
    """Print the figures of a report, one a line."""
    memory = "memory reset after every turn" if report.reset_memory else "with memory"
    metrics = report.metrics
    print_identity(report.bundle, report.engine, console)
    console.print(f"{report.data}: {metrics['n']:,} utterances, {memory}")
    if count := metrics["unusable"]["n"]:
        console.print(
            f"{count:,} of them could not be used, and count with the speaker's last estimate or "
            f"as neutral: {'; '.join(metrics['unusable']['first'])}{' …' if count > SHOWN else ''}",
            style="yellow",
        )
    table = new_table("", "", "95 % interval")
    for name in ("weighted_f1", "macro_f1", "accuracy", "uar", "ece", "nll"):
        table.add_row(name, f"{metrics[name]:.4f}", interval(metrics, name, 4))
    for group in ("sentiment", "shift", "per_class_f1"):
        for name, value in metrics[group].items():
            table.add_row(f"{group}.{name}", f"{value:.4f}", "")
    console.print(table)
    trust = report.trust
    console.print(_risks(trust))
    console.print(answered(report))
    console.print(_reliability(trust))


def answered(report: AccuracyReport) -> str:
    """Say what an estimate can be believed for."""
    trust, n = report.trust, report.metrics["n"]
    area = f"area under risk over coverage {trust.aurc:.4f}, ranked by {trust.ranked_by}"
    if trust.risk_answered is None:
        return f"{area}; every one of {n:,} turns abstains"
    share = (n - trust.abstaining) / n
    return f"{area}; {share:.1%} do not abstain, risk {trust.risk_answered:.4f}"


def interval(metrics: Mapping[str, Any], name: str, decimals: int) -> str:
    """Show the 95 % interval of a figure; nothing where it has none."""
    ends = metrics["interval_95"].get(name, ())
    return " to ".join(f"{end:.{decimals}f}" for end in ends)


def _risks(trust: Trust) -> Table:
    table = new_table("wrong answers among the surest turns", "coverage", "risk", "surer than")
    for risk in trust.risks:
        table.add_row(f"{risk.coverage:.0%}", f"{risk.risk:.4f}", f"{risk.least:.2f}")
    return table


def _reliability(trust: Trust) -> Table:
    error = "" if trust.ece is None else f" (ECE {trust.ece:.4f})"
    table = new_table(f"reliability of {trust.ranked_by}{error}", "", "n", "mean", "accuracy")
    for row in trust.reliability:
        name = f"{row.low:.1f} to {row.high:.1f}"
        table.add_row(name, f"{row.n:,}", f"{row.confidence:.3f}", f"{row.accuracy:.3f}")
    return table
