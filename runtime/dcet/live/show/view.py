"""A session in the terminal: a line a turn, and below who is there and how they seem now."""

from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dcet.live.changes import Change
from dcet.live.events import Event
from dcet.live.show.scene import COLOURS, Scene
from dcet.live.show.timeline_svg import clock
from dcet.runtime.labels import MODALITIES

EIGHTHS = " ▏▎▍▌▋▊▉"
BAR_COLUMNS = 10
NAME_COLUMNS = 12
CHANGED = "◆"
UNTOLD = "dim"


def turn_line(event: Event, change: Change | None) -> Text:
    """Say what a final, or a revised one, says."""
    line = Text.assemble(
        (f"{clock(event.start_us):>8} ", UNTOLD),
        (f"{event.speaker:<{NAME_COLUMNS}.{NAME_COLUMNS}} ", "bold"),
    )
    estimate = event.estimate
    if estimate is None:
        line.append("no estimate", UNTOLD)
    else:
        share = estimate.probabilities[estimate.emotion]
        told = estimate.emotion if estimate.abstains is None else f"{estimate.emotion}?"
        style = COLOURS[estimate.emotion] if estimate.abstains is None else UNTOLD
        line.append(f"{told:<9} {share:4.0%}", style)
        weights = estimate.modality_weights.items()
        used = ", ".join(f"{name} {weight:.0%}" for name, weight in weights if weight)
        line.append(f"  {used}", UNTOLD)
    if event.status in ("late", "missing"):
        line.append(f"  {event.status}", "red")
    if event.kind == "revised":
        line.append("  revised", UNTOLD)
    if change is not None and change.before is not None:
        line.append(f"  {CHANGED} {change.before} → {change.now}", COLOURS[change.now])
    if event.text:
        line.append(f"  “{event.text}”")
    for reason in event.left_out:
        line.append(f"\n{'':22}left out: {reason}", "yellow")
    return line


def people_view(scene: Scene) -> Table:
    """Show who was heard lately, who is speaking, and how they seem."""
    table = Table.grid(padding=(0, 1))
    for name in scene.people():
        seems = scene.seems(name)
        estimate = None if seems is None else seems.event.estimate
        if seems is None or estimate is None:
            continue
        share = estimate.probabilities[estimate.emotion]
        is_speaking = seems.event.kind == "interim"
        table.add_row(
            Text("●" if is_speaking else " ", "green"),
            Text(f"{name:<{NAME_COLUMNS}.{NAME_COLUMNS}}", "bold"),
            Text(_bar(share), COLOURS[estimate.emotion]),
            Text(f"{estimate.emotion} {share:.0%}"),
            *(
                Text(f"{modality} {estimate.modality_weights[modality]:.0%}", UNTOLD)
                for modality in MODALITIES
            ),
        )
    return table


def summary_view(people: dict[str, list[Event]]) -> Table:
    """Count everybody's turns and labels."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("who", "turns", "seconds", "emotions"):
        table.add_column(heading, justify="right" if heading in ("turns", "seconds") else "left")
    for name, turns in people.items():
        labels: dict[str, int] = {}
        for event in turns:
            if event.estimate is not None and event.estimate.abstains is None:
                labels[event.estimate.emotion] = labels.get(event.estimate.emotion, 0) + 1
        seconds = sum(event.end_us - event.start_us for event in turns) / 1e6
        most = sorted(labels.items(), key=lambda pair: -pair[1])
        told = Text("  ").join(Text(f"{label} {n}", COLOURS[label]) for label, n in most)
        table.add_row(Text(name, "bold"), f"{len(turns)}", f"{seconds:.0f}", told)
    return table


class TerminalView:
    """Prints a line a turn; in a terminal, who is there stands below and follows the interims."""

    def __init__(self, console: Console, scene: Scene) -> None:
        self._console = console
        self._scene = scene
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()

    def show(self, event: Event, change: Change | None) -> None:
        """Show an event that the scene has heard."""
        if event.kind != "interim":
            self._console.print(turn_line(event, change))
        if self._console.is_terminal:
            self._live.update(Group(people_view(self._scene)), refresh=True)


def _bar(share: float) -> str:
    whole, rest = divmod(round(share * BAR_COLUMNS * len(EIGHTHS)), len(EIGHTHS))
    return ("█" * whole + EIGHTHS[rest].strip()).ljust(BAR_COLUMNS)
