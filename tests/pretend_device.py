"""A CUDA device for tests where there is none.

Its tensors stay in the memory of the host, but it is known which of them are `THERE`: they say so,
and what CUDA refuses, to compute with tensors of both or to give one to NumPy, is refused here.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dcet.training.network import mixed_precision

CPU, THERE = torch.device("cpu"), torch.device("cuda:0")
ANY_INDEX = ("aten::index.Tensor", "aten::index_put_", "aten::index_put")  # of what is there


class Elsewhere(RuntimeError):
    """Tensors of both devices in one operation."""


class PretendDevice(TorchFunctionMode):
    """A context in which THERE is a device."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0  # that ran there
        self.inside = False  # a function that was given a tensor which is there
        self._storages: dict[int, Any] = {}  # kept, so that no address is used twice
        self._checked = _Checked(self)

    def __enter__(self) -> Self:
        self._checked.__enter__()  # type: ignore[no-untyped-call]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
        self._checked.__exit__(*raised)  # type: ignore[no-untyped-call]

    def has(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._storages

    def put(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self._storages[storage._cdata] = storage

    def _at(self, tensor: Tensor, device: torch.device) -> Tensor:
        """Return the tensor, or a copy, on a device."""
        if self.has(tensor) == (device.type == "cuda"):
            return tensor
        copy = tensor.clone()
        self._storages.pop(copy.untyped_storage()._cdata, None)
        if device.type == "cuda":
            self.put(copy)
        return copy

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func == Tensor.device.__get__:
            return THERE if self.has(args[0]) else func(*args)
        if func is Tensor.cpu:
            return self._at(args[0], CPU)
        if func is Tensor.numpy and self.has(args[0]):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        if func is Tensor.to and len(args) > 1 and isinstance(args[1], str | torch.device):
            names = ("device", "dtype", "non_blocking", "copy")
            args, kwargs = args[:1], dict(zip(names, args[1:], strict=False)) | kwargs
        device = kwargs.get("device")
        if device is not None and torch.device(device).type == "cuda":
            kwargs["device"] = CPU
        before, self.inside = self.inside, self._any(args, kwargs)
        try:
            made = func(*args, **kwargs)
        finally:
            self.inside = before
        if device is not None and isinstance(made, Tensor):
            return self._at(made, torch.device(device))
        return made

    def _any(self, *values: Any) -> bool:
        return any(isinstance(leaf, Tensor) and self.has(leaf) for leaf in tree_leaves(values))


class _Checked(TorchDispatchMode):
    """Every operation, those of the backward pass too."""

    def __init__(self, device: PretendDevice) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = device

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [self.device.has(tensor) for tensor in tensors]
        made = func(*args, **(kwargs or {}))
        name = func.name()
        if name.startswith("aten::copy_"):
            return made
        # A number may lie anywhere.
        numbers = [tensor.ndim == 0 for tensor in tensors]
        mixed = {at for at, number in zip(there, numbers, strict=True) if not number}
        if len(mixed) > 1 and not (name in ANY_INDEX and there[0]):
            shapes = [tuple(tensor.shape) for tensor in tensors]
            raise Elsewhere(f"{name}: tensors {shapes} are there: {there}")
        if any(there) if tensors else self.device.inside:
            self.device.operations += 1
            for leaf in tree_leaves(made):
                if isinstance(leaf, Tensor):
                    self.device.put(leaf)
        return made


@pytest.fixture
def pretend_device(monkeypatch: pytest.MonkeyPatch) -> PretendDevice:
    """A device that computes as this processor does, in float."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    return PretendDevice()


def losses(run: Path) -> list[float]:
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def same_as_on_the_cpu(
    train: Callable[[Path, torch.device], Any], pretended: PretendDevice, folder: Path
) -> None:
    """Train on the CPU and on the pretended device, in float, and compare what was learned."""
    with patch.object(mixed_precision, "bf16_pays", lambda: False):
        train(folder / "here", CPU)
        with pretended:
            train(folder / "there", THERE)
    assert pretended.operations > 1000
    here, there = losses(folder / "here"), losses(folder / "there")
    assert there == pytest.approx(here, rel=1e-3)
