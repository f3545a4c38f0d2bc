"""Draw the demo's terminal as an SVG, for a page that cannot run it."""

import io
import re

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from dcet.demo import scripted_conversation
from dcet.demo.playing import take_turn, trajectories
from dcet.demo.view import TrajectoriesView, TurnView, changes_view, heading_view, summary_view
from dcet.runtime.conversation import Conversation

COLUMNS = 104  # room for a column of three characters a turn
SHOWN = range(5, 13)  # turns: from joy to fear and anger, and into the dark
THEME = TerminalTheme(
    (13, 17, 23),
    (219, 225, 232),
    [  # black, red, green, yellow, blue, magenta, cyan and white
        (13, 17, 23),
        (229, 83, 75),
        (87, 171, 90),
        (242, 204, 96),
        (83, 155, 245),
        (163, 113, 247),
        (57, 197, 207),
        (201, 209, 217),
    ],
)
WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def draw_svg(conversation: Conversation) -> str:
    """Play the whole script; return a picture of some turns and of all trajectories.

    The picture loads nothing: where Fira Code is not installed, it is in another monospaced font.
    """
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
    )
    console.print(heading_view(conversation), end="\n\n")
    script = scripted_conversation()
    for line, before in zip(script, (script[0], *script), strict=False):
        estimate = take_turn(conversation, line)
        if estimate.turn in SHOWN:
            console.print(*changes_view(before, line), TurnView(estimate, line), sep="\n")
        elif estimate.turn == SHOWN.start - 1:
            console.print(Text(f"  ⋮ {estimate.turn} turns before", "dim"))
        elif estimate.turn == SHOWN.stop:
            console.print(Text(f"  ⋮ {len(script) - SHOWN.stop + 1} more turns", "dim"))
    console.print(TrajectoriesView(trajectories(conversation), conversation.turns))
    console.print("", summary_view(trajectories(conversation)), "", sep="\n")
    svg = console.export_svg(title="python -m dcet.demo", theme=THEME, unique_id="dcet-demo")
    return WEB_FONT.sub("", svg)
