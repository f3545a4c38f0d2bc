"""python -m dcet.demo [BUNDLE]"""

import time
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

from dcet.demo import scripted_conversation
from dcet.demo.picture import draw_svg
from dcet.demo.playing import play_as_data, take_turn, trajectories
from dcet.demo.view import TrajectoriesView, TurnView, changes_view, heading_view, summary_view
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.cli.command import Command
from dcet.runtime.cli.options import json_option
from dcet.runtime.cli.output import make_console, output_json, output_text
from dcet.runtime.cli.paths import OutputFile
from dcet.runtime.conversation import Conversation

PAUSE_S = 0.25  # between turns, in a terminal


@click.command(cls=Command)
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--engine", default="auto", show_default=True, help="auto, onnxruntime or openvino.")
@json_option("Write estimates and trajectories as JSON")
@click.option(
    "--svg", type=OutputFile(), metavar="FILE", help="Draw the terminal into this SVG file instead."
)
def main(bundle: Path | None, engine: str, json_path: Path | None, svg: Path | None) -> None:
    """Play a conversation of three people through BUNDLE and show each one's trajectory.

    Without BUNDLE, the one that ships with dcet is used.

    Their voices and faces are synthetic. On the way the light goes out, the room gets loud, and
    camera and microphone are switched off.

    \b
    Example:
      python -m dcet.demo
      python -m dcet.demo my.dcet --svg demo.svg
    """
    opened = Bundle.default() if bundle is None else Bundle.open(bundle)
    conversation = Conversation(opened, engine)
    if json_path is not None:
        output_json(json_path, play_as_data(conversation))
    elif svg is not None:
        output_text(svg, draw_svg(conversation))
    else:
        show(conversation, make_console())


def show(conversation: Conversation, console: Console) -> None:
    """Show every turn as it is estimated; in a terminal, the trajectories grow below."""
    console.print(heading_view(conversation), end="\n\n")
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


if __name__ == "__main__":
    main()
