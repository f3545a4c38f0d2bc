"""The option --device of `dcet-train`."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from dcet.runtime.extras import need

PATTERN = re.compile(r"auto|cpu|cuda(:\d{1,3})?")


class Device(click.ParamType[str]):
    """The name of a device; whether it is there is known once torch is loaded."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not PATTERN.fullmatch(value):
            self.fail(f"expected auto, cpu, cuda or cuda:N, got {value!r}", param, ctx)
        return str(value)


def need_training() -> None:
    """Raise MissingExtra now rather than ModuleNotFoundError from somewhere inside."""
    for package in ("safetensors", "torch", "transformers"):
        need(package, extra="train")


def on_device(command: Callable[..., None]) -> Callable[..., None]:
    """Add the option --device; the command is called with the torch device that it means.

    What runs out of memory there, or is not there, is a DeviceError.
    """

    @click.option(
        "--device",
        default="auto",
        show_default=True,
        type=Device(),
        metavar="auto|cpu|cuda[:N]",
        help="Where networks run; auto takes CUDA where there is one. A resumed run may change it.",
    )
    @wraps(command)
    def called(device: str, **options: Any) -> None:
        need_training()
        from dcet.training.device import device_for  # torch takes seconds: only when asked for

        with device_for(device) as there:
            command(device=there, **options)

    return called
