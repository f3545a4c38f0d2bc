"""Options that several DCET commands have."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from dcet.runtime.cli.paths import OutputFile

F = TypeVar("F", bound=Callable[..., Any])

SEED = click.IntRange(min=0, max=2**32 - 1)  # what NumPy, torch and random all take


class FiniteRange(click.FloatRange):
    """A number in a range, and neither NaN nor infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def json_option(help: str) -> Callable[[F], F]:
    """Make the option --json, whose value, a file, may be left out for standard output."""
    return click.option(
        "--json",
        "json_path",
        type=OutputFile(stdout=True),
        is_flag=False,
        flag_value="-",
        metavar="[FILE]",
        help=f"{help} to this file; to standard output without a file, or with -.",
    )
