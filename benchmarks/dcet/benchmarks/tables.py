"""Results as tables on stdout."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcet.benchmarks.accuracy import AccuracyReport
from dcet.benchmarks.compare import Comparison, Row
from dcet.benchmarks.identity import BundleIdentity, EngineIdentity
from dcet.benchmarks.latency.measure import LatencyReport
from dcet.benchmarks.loops import Loop
from dcet.benchmarks.page.svg import figure, tick_label
from dcet.benchmarks.peers.measure import PeersReport
from dcet.benchmarks.prediction.measure import KIND, PredictReport
from dcet.benchmarks.robustness.measure import FIGURES, MISSING_RATES, Outcome, RobustnessReport
from dcet.benchmarks.stats import Summary
from dcet.runtime.labels import MODALITIES

PERCENTILES = ("p50", "p90", "p95", "p99", "p99_9", "max")


def print_latency(report: LatencyReport, console: Console) -> None:
    machine = report.machine
    _print_identity(report.bundle, report.engine, console)
    console.print(f"{machine.cpu}, {machine.cores} cores, {machine.os}, {machine.python}\n")
    with_senses = [] if report.three_senses is None else [report.three_senses]
    for loop in (report.mixed, report.fixed, *with_senses, *report.paced):
        console.print(_stage_table(loop))
    console.print(_growth_table(report))
    console.print(_promise_table(report))


def _print_identity(bundle: BundleIdentity, engine: EngineIdentity, console: Console) -> None:
    named = (f"{bundle.name} {bundle.version}", "bold")
    console.print(Text.assemble(named, f" ({bundle.target}), {bundle.file}"))
    console.print(f"{bundle.precisions}; {engine.rung}", soft_wrap=True)


def _stage_table(loop: Loop) -> Table:
    title = f"{loop.name} ({loop.latency_ms['turn'].n:,} turns), ms"
    table = _table(title, "", *(percentile.replace("_", ".") for percentile in PERCENTILES))
    for stage, summary in loop.latency_ms.items():
        table.add_row(stage, *(figure(getattr(summary, percentile)) for percentile in PERCENTILES))
    return table


def _growth_table(report: LatencyReport) -> Table:
    table = _table(
        "growth: turns with given features, ms", "", "at", "p50", "p95", "p99", "ratio", "MiB"
    )
    for name, points in (
        ("turns", report.growth_over_turns),
        ("speakers", report.growth_over_speakers),
    ):
        for point in points:
            s = point.latency_ms
            figures = [figure(value) for value in (s.p50, s.p95, s.p99)]
            memory = f"{point.rss_bytes / 2**20:,.1f}"
            last = point is points[-1]
            table.add_row(
                name, f"{point.at:,}", *figures, f"{point.ratio:.3f}", memory, end_section=last
            )
    return table


def _promise_table(report: LatencyReport) -> Table:
    table = _table("promises", "", "measured", "promised", "")
    for promise in report.promises:
        verdict = Text("PASS", "green") if promise.kept else Text("FAIL", "red")
        measured, limit = figure(promise.value), tick_label(promise.limit)
        table.add_row(
            promise.name, f"{measured} {promise.unit}", f"{limit} {promise.unit}", verdict
        )
    return table


def print_peers(report: PeersReport, console: Console) -> None:
    turn, machine = report.turn, report.machine
    _print_identity(report.bundle, report.engine, console)
    console.print(
        f"{machine.cpu}, {report.settings.threads} of {machine.cores} cores; "
        f"{turn.tokens} tokens, {turn.audio_s:g} s of sound, {turn.faces} faces of "
        f"{turn.face_side}×{turn.face_side}"
    )
    peers = [f"{stage.peer.name} ({stage.name})" for stage in report.stages if stage.peer]
    console.print(f"peers: {', '.join(peers)}, random weights")
    for stack, what in report.stacks.items():
        console.print(f"{stack}: {what}")
    if report.beside is not None:
        bundle, engine = report.beside.bundle, report.beside.engine
        console.print(f"beside: {bundle.file}, {bundle.precisions}; {engine.name}")
    console.print()
    others = [*report.stacks, *(["beside"] if report.beside else [])]
    table = _table(
        f"one turn ({report.settings.repeats} rounds), p50 in ms, and how many times ours",
        *("", *others, "DCET", "its p99"),
    )
    for stage in report.stages:
        theirs = [
            _times(stage.peer_ms.get(stack), stage.ratio.get(stack)) for stack in report.stacks
        ]
        if report.beside is not None:
            theirs.append(_times(stage.beside_ms, stage.beside_ratio))
        ours = [figure(stage.dcet_ms.p50), figure(stage.dcet_ms.p99)]
        ends_a_part = stage.name in ("face", "encoders", "step")
        table.add_row(stage.name, *theirs, *ours, end_section=ends_a_part)
    console.print(table)


def _times(latency: Summary | None, ratio: float | None) -> str:
    """Ratios below one another."""
    return f"{figure(latency.p50)} {figure(ratio) + '×':>6}" if latency and ratio else ""


def print_prediction(report: PredictReport, console: Console) -> None:
    device, mode, machine = report.device, report.power_mode, report.machine
    _print_identity(report.bundle, report.engine, console)
    where = f"on {device.model} in mode {mode.name}, {mode.watts:g} W: "
    console.print(Text.assemble(where, (KIND, "bold")))
    for note in report.notes:
        console.print(note, style="yellow")
    console.print()
    there = _table(
        f"{report.target}, ms: {KIND}",
        *("", "MFLOP", "MB", "kernels", "limit", "predicted", "as far as here", "mJ"),
    )
    for graph in report.graphs:
        work = graph.work
        there.add_row(
            f"{graph.name} ({work.precision})",
            figure(sum(work.flops.values()) / 1e6),
            figure((work.weight_bytes + work.activation_bytes) / 1e6),
            f"{work.kernels}",
            figure(graph.there.limit_ms),
            figure(graph.there.latency_ms),
            figure(graph.as_far_as_here_ms),
            figure(graph.energy_mj),
            end_section=graph is report.graphs[-1],
        )
    turn = (report.turn_ms, report.turn_as_far_as_here_ms, report.turn_energy_mj)
    there.add_row("turn", "", "", "", "", *map(figure, turn))
    console.print(there)
    console.print(f"{machine.cpu}, {machine.cores} cores, {report.engine.name}")
    here = _table(
        "the same predictor on this machine, ms",
        *("", "threads", "GFLOP/s", "GB/s", "limit", "measured", "ratio", "predicted", "error"),
    )
    for graph in report.graphs:
        found = graph.here
        here.add_row(
            graph.name,
            f"{found.threads}",
            ", ".join(f"{kind} {rate / 1e9:,.0f}" for kind, rate in found.roof.flops_per_s.items()),
            f"{found.roof.weight_bytes_per_s / 1e9:,.0f}",
            figure(found.prediction.limit_ms),
            figure(found.measured_ms.p50),
            f"{found.ratio:.2f}×",
            figure(found.prediction.latency_ms),
            f"{found.error:+.0%}",
        )
    console.print(here)


def print_accuracy(report: AccuracyReport, console: Console) -> None:
    memory = "memory reset after every turn" if report.reset_memory else "with memory"
    metrics = report.metrics
    _print_identity(report.bundle, report.engine, console)
    console.print(f"{report.data}: {metrics['n']:,} utterances, {memory}")
    table = _table("", "", "")
    for name in ("weighted_f1", "macro_f1", "accuracy", "ece", "nll"):
        table.add_row(name, f"{metrics[name]:.4f}")
    for group in ("sentiment", "shift", "per_class_f1"):
        for name, value in metrics[group].items():
            table.add_row(f"{group}.{name}", f"{value:.4f}")
    console.print(table)


def print_robustness(report: RobustnessReport, console: Console) -> None:
    played = report.constructed
    _print_identity(report.bundle, report.engine, console)
    console.print(f"{played.turns:,} turns of {played.dialogues} dialogues, {played.what}\n")
    masks = _table("senses (constructed)", "", *FIGURES, *MODALITIES)
    for mask in report.masks:
        masks.add_row("+".join(mask.modalities), *_outcome(mask.outcome))
    rates = [f"{rate:.0%}" for rate in (0, *MISSING_RATES)]
    missing = _table("weighted_f1 with missing senses (constructed)", "", "in", *rates)
    for (senses, pattern), rows in report.missing_by_mask().items():
        scores = (f"{row.outcome.figures['weighted_f1']:.4f}" for row in rows)
        missing.add_row("+".join(senses), pattern, *scores)
    bad = _table(
        "bad senses (constructed)", "", "strength", "weighted_f1", "lost against absent", "weight"
    )
    for curve in report.corruptions:
        bad.add_row(f"{curve.corruption}: {curve.measure}")
        for point in curve.points:
            f1, lost = point.outcome.figures["weighted_f1"], point.lost_against_absent
            bad.add_row(
                f"  {curve.modality}",
                f"{point.strength:g}",
                f"{f1:.4f}",
                Text(f"{lost['weighted_f1']:+.4f}", "red" if lost["weighted_f1"] > 0 else ""),
                f"{point.outcome.modality_weights[curve.modality]:.3f}",
                end_section=point is curve.points[-1],
            )
    for table in (masks, missing, bad):
        console.print(table)


def _outcome(outcome: Outcome) -> list[str]:
    """Figures, and the mean weights of the modalities."""
    figures = [f"{outcome.figures[name]:.4f}" for name in FIGURES]
    return figures + [f"{outcome.modality_weights[name]:.3f}" for name in MODALITIES]


def print_comparison(comparison: Comparison, console: Console) -> None:
    for note in comparison.notes:
        console.print(Text.assemble(("differs", "yellow"), f" {note}"))
    table = _table("", "", comparison.before, comparison.after, "change", "")
    for row in comparison.rows:
        verdict = Text("regressed", "red") if row.regressed else Text("ok", "green")
        table.add_row(row.name, *_change(row), verdict)
    console.print(table)


def _change(row: Row) -> tuple[str, str, str]:
    """Before, after and the change: of a score as a difference, of a quantity as a share."""
    if not row.unit:
        return f"{row.before:.4f}", f"{row.after:.4f}", f"{row.after - row.before:+.4f}"
    share = f"{row.after / row.before - 1:+.1%}" if row.before > 0 else ""
    return f"{figure(row.before)} {row.unit}", f"{figure(row.after)} {row.unit}", share


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table
