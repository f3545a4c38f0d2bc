"""The latency report as one HTML file that needs nothing else."""

from collections.abc import Sequence
from html import escape

from dcet.benchmarks.latency.accuracy_section import accuracy_section
from dcet.benchmarks.latency.measure import LatencyReport
from dcet.benchmarks.latency.promises import Promise
from dcet.benchmarks.latency.sections import (
    cold_start_section,
    growth_section,
    turn_section,
)
from dcet.benchmarks.page.markup import measured_with, whole_page
from dcet.benchmarks.page.svg import figure, tick_label


def render_page(report: LatencyReport) -> str:
    sections = (
        _header(report),
        _verdict(report.promises),
        turn_section(report),
        growth_section(report),
        cold_start_section(report),
        accuracy_section(report.accuracy),
        _machine_section(report),
    )
    return whole_page(f"{report.bundle.name} {report.bundle.version}: latency report", sections)


def _header(report: LatencyReport) -> str:
    machine = report.machine
    return (
        f"<h1>{escape(report.bundle.name)} {escape(report.bundle.version)}</h1>"
        f'<p class="lead">Latency of one conversation turn on {machine.cores} '
        f"{'core' if machine.cores == 1 else 'cores'} of {escape(machine.cpu)}. Engine: "
        f"{escape(report.engine.chosen)}. Graphs: {escape(report.bundle.precisions)}. Measured "
        f"{escape(report.created[:10])}.</p>"
    )


def _verdict(promises: Sequence[Promise]) -> str:
    kept = sum(promise.kept for promise in promises)
    state = "kept" if kept == len(promises) else "broken"
    cards = "".join(_promise_card(promise) for promise in promises)
    return (
        f'<div class="verdict {state}"><b>{kept} of {len(promises)}</b>'
        f'<span>promises kept</span></div><div class="promises">{cards}</div>'
    )


def _promise_card(promise: Promise) -> str:
    state, word = ("kept", "PASS") if promise.kept else ("broken", "FAIL")
    filled = min(100.0, 100 * abs(promise.value) / promise.limit)
    relative = promise.unit == "%"
    sign = "+" if relative and promise.value > 0 else ""
    bound = f"{'within ±' if relative else 'at most '}{tick_label(promise.limit)}"
    return (
        f'<div class="card promise {state}"><div class="name">{escape(promise.name)}</div>'
        f'<span class="pill">{word}</span>'
        f'<div class="value">{sign}{figure(promise.value)} <small>{promise.unit}</small></div>'
        f'<div class="gauge"><i style="width:{filled:.1f}%"></i></div>'
        f'<span class="limit-note">promised: {bound} {promise.unit}</span></div>'
    )


def _machine_section(report: LatencyReport) -> str:
    machine, settings = report.machine, report.settings
    load = ", ".join(f"{value:.2f}" for value in machine.load_average or ())
    rows = {
        "Bundle": f"{report.bundle.file}, {report.bundle.size_bytes / 2**20:,.1f} MiB, target "
        f"{report.bundle.target}",
        "Engine": f"{report.engine.name}: {report.engine.reason} (asked for "
        f"{report.engine.requested})",
        "Processor": f"{machine.cpu}, {machine.architecture}, {machine.cores} usable cores",
        "Clock governor": machine.governor or "not readable",
        "Load average before": load or "not readable",
        "System": f"{machine.os}, {machine.python}",
        "Packages": ", ".join(f"{name} {v}" for name, v in machine.packages.items()),
        "Settings": f"{settings.turns:,} turns a loop, growth to {settings.growth_turns:,} turns "
        f"and {settings.speakers:,} speakers, seed {settings.seed}",
        "Clock": "monotonic, nanoseconds; percentiles by linear interpolation",
    }
    if report.peak_rss_bytes:
        peak = f"{report.peak_rss_bytes / 2**20:,.0f} MiB, with every conversation of this report"
        rows["Peak memory"] = peak
    return measured_with(report.bundle, report.engine, rows)
