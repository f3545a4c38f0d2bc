"""What every DCET command does about an error of the user's."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from dcet.runtime.errors import DcetError

P = ParamSpec("P")
R = TypeVar("R")


def handle_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Show a DcetError as one line on stderr and exit with 2; let everything else through."""

    @functools.wraps(command)
    def shown(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except DcetError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(2)

    return shown
