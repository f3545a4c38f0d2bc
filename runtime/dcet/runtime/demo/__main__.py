"""python -m dcet.runtime.demo BUNDLE"""

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

from dcet.runtime.bundle import Bundle
from dcet.runtime.cli import handle_errors
from dcet.runtime.conversation import Conversation
from dcet.runtime.demo import TITLE, scripted_conversation
from dcet.runtime.demo.view import TrajectoriesView, TurnView, summary_view
from dcet.runtime.memory import Trajectory

PAUSE_S = 0.25  # between turns, where somebody watches


@click.command(epilog="Example: python -m dcet.runtime.demo dcet-default-cpu.dcet")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--engine", default="auto", show_default=True, help="auto, onnxruntime or openvino.")
@click.option("--json", "as_json", is_flag=True, help="Print estimates and trajectories as JSON.")
@handle_errors
def main(bundle: Path, engine: str, as_json: bool) -> None:
    """Play a conversation of three people through BUNDLE and show each one's trajectory."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where the locale lacks a character
    conversation = Conversation(Bundle.open(bundle), engine)
    if as_json:
        click.echo(json.dumps(play_silently(conversation), indent=2))
    else:
        play(conversation, Console(highlight=False))


def play(conversation: Conversation, console: Console) -> None:
    """Show every turn as it is estimated; in a terminal, the trajectories grow below."""
    manifest = conversation.bundle.manifest
    engine = conversation.engine
    about = f"{manifest.name} {manifest.version} on {engine.name}: {engine.reason}"
    console.print(Text.assemble((TITLE, "bold"), "  ", (about, "dim")), end="\n\n")
    latencies_ms = []
    # Elsewhere than in a terminal, Live shows its last state, once.
    with Live(console=console, auto_refresh=False) as live:
        for line in scripted_conversation():
            estimate = conversation.turn(line.speaker, line.text)
            latencies_ms.append(estimate.latency_ms["total"])
            console.print(TurnView(estimate, line.text))
            live.update(
                TrajectoriesView(trajectories(conversation), conversation.turns), refresh=True
            )
            if console.is_terminal:
                time.sleep(PAUSE_S)
    console.print()
    console.print(summary_view(trajectories(conversation)))
    console.print(
        f"\n[dim]{len(latencies_ms)} turns, {np.median(latencies_ms):.1f} ms each (median), "
        f"{max(latencies_ms):.1f} ms at most[/]"
    )


def play_silently(conversation: Conversation) -> dict[str, Any]:
    """The same as data."""
    return {
        "title": TITLE,
        "bundle_sha256": conversation.bundle.sha256,
        "turns": [
            {"text": line.text, **conversation.turn(line.speaker, line.text).as_dict()}
            for line in scripted_conversation()
        ],
        "trajectories": [
            {
                "speaker": trajectory.speaker,
                "turns": trajectory.turns.tolist(),
                "probabilities": trajectory.probabilities.tolist(),
                "sentiment": trajectory.sentiment.tolist(),
                "shift": [None, *trajectory.shift[1:].tolist()],
            }
            for trajectory in trajectories(conversation)
        ],
    }


def trajectories(conversation: Conversation) -> list[Trajectory]:
    """Of everybody, in the order in which they joined."""
    found = [conversation.trajectory(speaker) for speaker in conversation.speakers]
    return sorted(found, key=lambda trajectory: int(trajectory.turns[0]))


if __name__ == "__main__":
    main()
