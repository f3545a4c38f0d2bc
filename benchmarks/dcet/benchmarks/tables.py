"""The pieces that the tables of all reports share."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcet.benchmarks.identity import BundleIdentity, EngineIdentity


def new_table(title: str, *columns: str) -> Table:
    """Make an empty table; the first column holds names, the others figures.

    It is as wide as its title, where the console is.
    """
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        min_width=len(title),
    )
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table


def print_identity(bundle: BundleIdentity, engine: EngineIdentity, console: Console) -> None:
    """Print which bundle a report is about, its precisions, and the engine that ran."""
    named = (f"{bundle.name} {bundle.version}", "bold")
    console.print(Text.assemble(named, f" ({bundle.target}), {bundle.file}"))
    console.print(f"{bundle.precisions}; {engine.chosen}", soft_wrap=True)
