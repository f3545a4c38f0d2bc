"""Imports optional packages where they are used; a missing one names its cure."""

from importlib import import_module
from types import ModuleType

from dcet.runtime.errors import MissingExtra


def need(module: str, *, extra: str) -> ModuleType:
    """Import `module`, which `pip install 'dcet[extra]'` provides. Raises MissingExtra."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:  # the package is here but broken: say so
            raise
        raise MissingExtra(
            f"{module} is not installed; run: pip install 'dcet[{extra}]'"
        ) from error
