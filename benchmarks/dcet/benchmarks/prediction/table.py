"""The prediction as tables on stdout, which say that it is one."""

from rich.console import Console
from rich.text import Text

from dcet.benchmarks.page.svg import figure
from dcet.benchmarks.prediction.measure import KIND, PredictReport
from dcet.benchmarks.tables import new_table, print_identity


def print_prediction(report: PredictReport, console: Console) -> None:
    device, mode, machine = report.device, report.power_mode, report.machine
    print_identity(report.bundle, report.engine, console)
    where = f"on {device.model} in mode {mode.name}, {mode.watts:g} W: "
    console.print(Text.assemble(where, (KIND, "bold")))
    for note in report.notes:
        console.print(note, style="yellow")
    console.print()
    there = new_table(
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
    here = new_table(
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
