"""python -m dcet.demo [BUNDLE]"""

import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

from dcet.demo import TITLE, scripted_conversation
from dcet.demo.view import TrajectoriesView, TurnView, changes_view, summary_view
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.cli.command import Command
from dcet.runtime.cli.options import json_option
from dcet.runtime.cli.output import make_console, output_json
from dcet.runtime.conversation import Conversation
from dcet.runtime.estimate import Estimate
from dcet.runtime.labels import MODALITIES
from dcet.runtime.memory import Trajectory
from dcet.synthetic.actors import ACTORS, ScriptedTurn, synthesise_audio, synthesise_faces

PAUSE_S = 0.25  # between turns, where somebody watches


@click.command(cls=Command)
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--engine", default="auto", show_default=True, help="auto, onnxruntime or openvino.")
@json_option("Write estimates and trajectories as JSON")
def main(bundle: Path | None, engine: str, json_path: Path | None) -> None:
    """Play a conversation of three people through BUNDLE, or the one that ships, and show each
    one's trajectory.

    Their voices and faces are synthetic. On the way the light goes out, the room gets loud, and
    camera and microphone are switched off.

    \b
    Example:
      python -m dcet.demo
      python -m dcet.demo my.dcet
    """
    opened = Bundle.default() if bundle is None else Bundle.open(bundle)
    conversation = Conversation(opened, engine)
    if json_path is None:
        play(conversation, make_console())
    else:
        output_json(json_path, play_silently(conversation))


def play(conversation: Conversation, console: Console) -> None:
    """Show every turn as it is estimated; in a terminal, the trajectories grow below."""
    manifest = conversation.bundle.manifest
    engine = conversation.engine
    about = f"{manifest.name} {manifest.version} on {engine.name}: {engine.reason}"
    console.print(Text.assemble((TITLE, "bold"), "  ", (about, "dim")))
    console.print(Text(senses(conversation), "dim"), end="\n\n")
    script = scripted_conversation()
    latencies_ms = []
    # Elsewhere than in a terminal, Live shows its last state, once.
    with Live(console=console, auto_refresh=False) as live:
        for line, before in zip(script, (script[0], *script), strict=False):
            estimate = take_turn(conversation, line)
            latencies_ms.append(estimate.latency_ms["total"])
            console.print(*changes_view(before, line), TurnView(estimate, line), sep="\n")
            live.update(
                TrajectoriesView(trajectories(conversation), conversation.turns), refresh=True
            )
            if console.is_terminal:
                time.sleep(PAUSE_S)
    console.print()
    console.print(summary_view(trajectories(conversation)))
    summary = (
        f"{len(latencies_ms)} turns, {np.median(latencies_ms):.1f} ms each (median), "
        f"{max(latencies_ms):.1f} ms at most"
    )
    console.print(Text(f"\n{summary}", "dim"))


def play_silently(conversation: Conversation) -> dict[str, Any]:
    """The same as data."""
    return {
        "title": TITLE,
        "bundle_sha256": conversation.bundle.sha256,
        "turns": [
            {
                "text": line.text,
                "acted": line.emotion,
                "camera": line.camera,
                "microphone": line.microphone,
                **take_turn(conversation, line).as_dict(),
            }
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


def take_turn(conversation: Conversation, line: ScriptedTurn) -> Estimate:
    """Let somebody speak, heard and seen where the bundle can hear and see."""
    number = conversation.turns + 1
    usable, actor = usable_modalities(conversation), ACTORS[line.speaker]
    return conversation.turn(
        line.speaker,
        line.text,
        synthesise_audio(line, actor, seed=number) if "audio" in usable else None,
        synthesise_faces(line, actor, seed=number) if "face" in usable else None,
    )


def usable_modalities(conversation: Conversation) -> tuple[str, ...]:
    """Those that the bundle makes something of when it is given text, sound or pictures."""
    modalities = conversation.bundle.manifest.modalities
    return tuple(
        name for name in MODALITIES if modalities[name].encoder and modalities[name].trained
    )


def senses(conversation: Conversation) -> str:
    """Which of them the bundle has."""
    usable = usable_modalities(conversation)
    missing = [name for name in MODALITIES if name not in usable]
    told = f"played with {', '.join(usable)}"
    if missing:
        told += f"; this bundle has no trained encoder of {', '.join(missing)}"
    return told


def trajectories(conversation: Conversation) -> list[Trajectory]:
    """Of everybody, in the order in which they joined."""
    found = [conversation.trajectory(speaker) for speaker in conversation.speakers]
    return sorted(found, key=lambda trajectory: int(trajectory.turns[0]))


if __name__ == "__main__":
    main()
