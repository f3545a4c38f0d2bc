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


def licence_option(help: str) -> Callable[[F], F]:
    """Make the option --licence, whose values are licences by the name of what they are of."""
    return click.option(
        "--licence",
        "licences",
        multiple=True,
        metavar="NAME=LICENCE",
        callback=_by_name,
        help=f"{help}; repeatable.",
    )


def _by_name(
    _context: click.Context, _option: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise click.BadParameter(f"expected NAME=LICENCE, got {pair!r}")
    return dict(pair.split("=", 1) for pair in pairs)


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
