"""The report of peers as a table on stdout."""

from rich.console import Console

from dcet.benchmarks.page.svg import figure
from dcet.benchmarks.peers.measure import PeersReport
from dcet.benchmarks.stats import Summary
from dcet.benchmarks.tables import new_table, print_identity


def print_peers(report: PeersReport, console: Console) -> None:
    turn, machine = report.turn, report.machine
    print_identity(report.bundle, report.engine, console)
    console.print(
        f"{machine.cpu}, {report.settings.threads} of {machine.cores} cores; "
        f"{turn.tokens} tokens, {turn.audio_s:g} s of sound, {turn.faces} faces of "
        f"{turn.face_side}×{turn.face_side}"
    )
    peers = [f"{stage.peer.name} ({stage.name})" for stage in report.stages if stage.peer]
    console.print(f"peers: {', '.join(peers)}, random weights")
    for stack, what in report.stacks.items():
        console.print(f"{stack}: {what}")
    if report.versus is not None:
        bundle, engine = report.versus.bundle, report.versus.engine
        console.print(f"versus: {bundle.file}, {bundle.precisions}; {engine.name}")
    console.print()
    others = [*report.stacks, *(["versus"] if report.versus else [])]
    table = new_table(
        f"one turn ({report.settings.repeats} rounds), p50 in ms, and how many times ours",
        *("", *others, "DCET", "its p99"),
    )
    for stage in report.stages:
        theirs = [
            _times(stage.peer_ms.get(stack), stage.ratio.get(stack)) for stack in report.stacks
        ]
        if report.versus is not None:
            theirs.append(_times(stage.versus_ms, stage.versus_ratio))
        ours = [figure(stage.dcet_ms.p50), figure(stage.dcet_ms.p99)]
        ends_a_part = stage.name in ("face", "encoders", "step")
        table.add_row(stage.name, *theirs, *ours, end_section=ends_a_part)
    console.print(table)


def _times(latency: Summary | None, ratio: float | None) -> str:
    """Format a latency and its ratio; ratios stand below one another."""
    return f"{figure(latency.p50)} {figure(ratio) + '×':>6}" if latency and ratio else ""
