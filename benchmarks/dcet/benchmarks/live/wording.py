"""The words and numbers that table and page of the live report share."""

from dcet.benchmarks.live.headlines import Headline
from dcet.benchmarks.live.measure import LiveReport


def not_measured(report: LiveReport) -> list[str]:
    """Say which parts were asked for and are not there, and why."""
    return [f"not measured: {part}: {why}" for part, why in report.not_measured.items()]


def valued(headline: Headline, value: float) -> str:
    """Write a headline's value, or its bar, with its unit."""
    if headline.unit == "ms":
        return f"{value:.1f} ms"
    if headline.unit in ("MiB", "cores"):
        return f"{value:.2f} {headline.unit}"
    if headline.unit == "×":
        return f"{value:.2f}×"
    if headline.unit == "ids":
        return f"{value:.0f}"
    return f"{value:.3f}"


def beside(processes: int) -> str:
    return f"{processes} busy" if processes else "idle"


def share(value: float) -> str:
    return f"{value:.1%}"
