"""Views of estimates and trajectories in a terminal, with colour or without."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dcet.demo import TITLE
from dcet.demo.playing import usable_modalities
from dcet.runtime.conversation import Conversation
from dcet.runtime.estimate import Estimate
from dcet.runtime.labels import EMOTIONS, MODALITIES
from dcet.runtime.trajectory import Trajectory
from dcet.synthetic.actors import ScriptedTurn

COLOURS = {
    "anger": "#e5534b",
    "disgust": "#a371f7",
    "fear": "#57ab5a",
    "joy": "#f2cc60",
    "neutral": "#8b949e",
    "sadness": "#539bf5",
    "surprise": "#39c5cf",
}
CAMERA = {
    "on": "the camera works again",
    "dark": "the light goes out; the picture is almost black",
    "off": "the camera is off",
}
MICROPHONE = {
    "on": "the room is quiet and the microphone on again",
    "noisy": "the room gets as loud as the speaker",
    "off": "the microphone is off",
}
SHIFTED = 0.5  # probability from which a shift is marked
SHIFT_MARK = "◆"
LEVELS = "▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉"
NAME_COLUMNS = 6
NARROW_COLUMNS = 64


def heading_view(conversation: Conversation) -> Text:
    """Return two lines: title, bundle and engine, and the modalities that the bundle uses."""
    manifest, engine = conversation.bundle.manifest, conversation.engine
    usable = usable_modalities(conversation)
    about = f"{manifest.name} {manifest.version} on {engine.name}: {engine.reason}"
    used = f"played with {', '.join(usable)}"
    if missing := [name for name in MODALITIES if name not in usable]:
        used += f"; this bundle has no trained encoder of {', '.join(missing)}"
    return Text.assemble((TITLE, "bold"), "  ", (about, "dim"), "\n", (used, "dim"))


@dataclass(frozen=True, slots=True)
class TurnView:
    """One turn: its line, the estimate, and the weights of the modalities."""

    estimate: Estimate
    line: ScriptedTurn

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(justify="right", style="dim", width=3)
        grid.add_column(style="bold", width=NAME_COLUMNS, no_wrap=True)
        grid.add_column()
        is_narrow = options.max_width < NARROW_COLUMNS
        lines = [Text(self.line.text), self._figures(is_narrow), self._weights(is_narrow)]
        if self.estimate.abstains is not None:
            lines.append(Text(f"abstains: {self.estimate.abstains}", "yellow"))
        lines += [Text(reason, "dim") for reason in self.estimate.degraded]
        grid.add_row(str(self.estimate.turn), self.estimate.speaker, Group(*lines))
        yield grid

    def _figures(self, is_narrow: bool) -> Text:
        estimate = self.estimate
        colour = COLOURS[estimate.emotion]
        probability = estimate.probabilities[estimate.emotion]
        line = Text(no_wrap=True)
        line.append(f"{estimate.emotion:<8} ", f"bold {colour}")
        line.append(f"{probability:4.0%}")
        if not is_narrow:
            line.append(" ")
            for emotion, share in estimate.probabilities.items():
                line.append(_level(share) * 2, COLOURS[emotion])
            line.append_text(_sentiment_bar(estimate.sentiment, 5))
        line.append(f" {_signed(estimate.sentiment)}", _sentiment_colour(estimate.sentiment))
        if estimate.shift is not None and estimate.shift >= SHIFTED:
            word = "" if is_narrow else " shift"
            line.append(f"  {SHIFT_MARK}{word} {estimate.shift:.0%}", "bold")
        return line

    def _weights(self, is_narrow: bool) -> Text:
        """Return the weight of each modality; a dash where there was nothing."""
        line = Text(no_wrap=True)
        for name, weight in self.estimate.modality_weights.items():
            style = "cyan" if weight else "dim"
            share = f"{weight:.0%}" if weight else "–"
            if is_narrow:
                line.append(f"{name} {share} ", style)
            else:
                line.append(f"{name} ", "dim").append(_bar(weight, 6), style)
                line.append(f" {share:<6}", style)
        if not is_narrow:
            line.append(f"acted {self.line.emotion}", "dim")
        return line


def changes_view(before: ScriptedTurn, now: ScriptedTurn) -> Iterator[Text]:
    """Yield what happened to camera and microphone between two turns, a line each."""
    for told, state, earlier in (
        (CAMERA, now.camera, before.camera),
        (MICROPHONE, now.microphone, before.microphone),
    ):
        if state != earlier:
            yield Text(f"── {told[state]} ──", "bold yellow")


@dataclass(frozen=True, slots=True)
class TrajectoriesView:
    """Every speaker's emotions, sentiment and shifts over the conversation, a column a turn."""

    trajectories: Sequence[Trajectory]
    turns: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        space = options.max_width - NAME_COLUMNS - 5  # borders and padding
        cell = 3 if 3 * self.turns <= space else 2
        first = max(1, self.turns - space // cell + 1)  # older turns scroll out on the left
        columns = range(first, self.turns + 1)
        lines = [self._ruler(columns, cell)]
        for trajectory in self.trajectories:
            lines += _strips(trajectory, columns, cell)
        lines.append(_legend())
        yield Panel(Group(*lines), title="trajectories", title_align="left", border_style="dim")

    @staticmethod
    def _ruler(columns: range, cell: int) -> Text:
        line = " " * NAME_COLUMNS
        for turn in columns:
            is_marked = turn == columns.start or turn % 5 == 0
            # A number may reach into the next column, which then has none of its own.
            line = line.ljust(NAME_COLUMNS + cell * (turn - columns.start))
            line += str(turn) if is_marked and not line[-1:].isdigit() else ""
        return Text(line, "dim", no_wrap=True, overflow="crop")


def _strips(trajectory: Trajectory, columns: range, cell: int) -> list[Text]:
    emotions = Text.assemble((f"{trajectory.speaker:<{NAME_COLUMNS}.{NAME_COLUMNS - 1}}", "bold"))
    sentiment, shifts = Text(" " * NAME_COLUMNS), Text(" " * NAME_COLUMNS)
    places = {int(turn): place for place, turn in enumerate(trajectory.turns)}
    for turn in columns:
        place = places.get(turn)
        if place is None:
            emotions.append("·".ljust(cell), "dim")
            sentiment.append(" " * cell)
            shifts.append(" " * cell)
            continue
        emotion = EMOTIONS[int(trajectory.probabilities[place].argmax())]
        emotions.append(emotion[:2].capitalize(), f"bold black on {COLOURS[emotion]}")
        emotions.append(" " * (cell - 2))
        value = float(trajectory.sentiment[place])
        level = _level((value + 1) / 2)
        sentiment.append((level * 2).ljust(cell), _sentiment_colour(value))
        has_shifted = trajectory.shift[place] >= SHIFTED  # NaN, a first turn, has not
        shifts.append((SHIFT_MARK if has_shifted else "").ljust(cell), "bold")
    return [emotions, sentiment, shifts]


def _legend() -> Text:
    line = Text(style="dim")
    for emotion in EMOTIONS:
        line.append(emotion[:2].capitalize(), f"not dim bold {COLOURS[emotion]}")
        line.append(f"{emotion[2:]} ")
    return line.append(f" {LEVELS[0]}{LEVELS[-1]} sentiment  {SHIFT_MARK} shift")


def summary_view(trajectories: Sequence[Trajectory]) -> Table:
    """Return a table with a row for each speaker."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("speaker", "turns", "sentiment", "shifts"):
        table.add_column(heading, no_wrap=True, justify="left" if heading == "speaker" else "right")
    table.add_column("emotions")
    for trajectory in trajectories:
        emotions = Counter(EMOTIONS[i] for i in trajectory.probabilities.argmax(axis=1))
        table.add_row(
            Text(trajectory.speaker, "bold"),
            str(len(trajectory.turns)),
            f"{_signed(trajectory.sentiment[0])} → {_signed(trajectory.sentiment[-1])}",
            str((trajectory.shift >= SHIFTED).sum()),
            Text("  ").join(
                Text(f"{emotion} {count}", COLOURS[emotion])
                for emotion, count in emotions.most_common()
            ),
        )
    return table


def _level(share: float) -> str:
    return LEVELS[round(share * (len(LEVELS) - 1))]


def _bar(share: float, columns: int) -> str:
    whole, rest = divmod(round(share * columns * len(EIGHTHS)), len(EIGHTHS))
    return ("█" * whole + EIGHTHS[rest].strip()).ljust(columns)


def _sentiment_bar(value: float, columns: int) -> Text:
    filled = "━" * round(abs(value) * columns)
    left, right = (filled, "") if value < 0 else ("", filled)
    return Text.assemble(
        " ",
        (left.rjust(columns), _sentiment_colour(value)),
        ("┃", "dim"),
        (right.ljust(columns), _sentiment_colour(value)),
    )


def _sentiment_colour(value: float) -> str:
    if abs(value) < 0.15:
        return COLOURS["neutral"]
    return "#57ab5a" if value > 0 else "#e5534b"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
