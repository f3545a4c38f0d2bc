"""Torch programs that dcet-finalize compiled on this device, ahead of time (AOTInductor).

A package is a shared library in a zip, with no pickle. It was made here, and its hash is that of
what was published.
"""

import platform
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.bundle.contents import BundleContents
from dcet.runtime.engines.cuda import driver_platform
from dcet.runtime.engines.engine import Arrays, Engine
from dcet.runtime.engines.fixed_shapes import FixedShapes, Sizes
from dcet.runtime.engines.loaded import Loaded
from dcet.runtime.engines.torch_programs import CapturedProgram, PlainProgram, Program
from dcet.runtime.errors import EngineError, MissingExtra
from dcet.runtime.extras import need


def package_name(graph: str, choice: int) -> str:
    """Name the file of a graph that was compiled for one of its sizes (`FixedShapes.sizes`)."""
    return f"{graph}-{choice}.pt2"


class TorchCpuEngine(Engine):
    """Torch programs on the CPU, which no target names: they check the programs on any machine
    with a C++ compiler."""

    name = "torch-cpu"
    device: ClassVar[str] = "cpu"

    def __init__(self, bundle: BundleContents, reason: str, folder: Path) -> None:
        self.reason = reason
        torch = self.load()
        self._stated = bundle.manifest.graphs
        self._shapes = FixedShapes(bundle.manifest, scales_faces=False)
        try:
            self._programs = Loaded(
                {
                    id: [
                        self._open(torch, folder / package_name(id, choice), id, sizes)
                        for choice, sizes in enumerate(self._shapes.sizes(id))
                    ]
                    for id in self._stated
                }
            )
        except RuntimeError as error:
            raise EngineError(
                f"{folder}: torch {torch.__version__} cannot load what was built: {error}; "
                "run dcet-finalize again"
            ) from error

    @classmethod
    def load(cls) -> Any:
        """Import torch where it can run programs for this device.

        Raises MissingExtra or EngineError.
        """
        return need("torch", extra="torch")

    @classmethod
    def platform(cls) -> dict[str, str]:
        """Name what decides, with the bundle, whether this engine works here."""
        torch = cls.load()
        capability = torch.backends.cpu.get_cpu_capability()
        return {"torch": torch.__version__, "machine": platform.machine(), "cpu": capability}

    def run(self, graph: str, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        stated = self._stated[graph]
        fitted = self._shapes.fit(graph, inputs)
        program = self._programs[graph][fitted.choice]
        try:
            outputs = program([fitted.inputs[tensor.name] for tensor in stated.inputs])
        except RuntimeError as error:
            raise EngineError(f"{self.name} could not run graph {graph!r}: {error}") from error
        names = [tensor.name for tensor in stated.outputs]
        return self._shapes.cut(graph, dict(zip(names, outputs, strict=True)), fitted.sizes)

    def _open(self, torch: Any, package: Path, id: str, sizes: Sizes) -> Program:
        return PlainProgram(torch, torch._inductor.aoti_load_package(str(package)), "cpu")


class TorchCudaEngine(TorchCpuEngine):
    """Torch programs on an NVIDIA GPU, those of fixed shapes captured as CUDA graphs."""

    name = "torch-cuda"
    device = "cuda"

    @classmethod
    def load(cls) -> Any:
        torch = need("torch", extra="torch")
        if not torch.cuda.is_available():
            raise EngineError(
                f"torch {torch.__version__} finds no NVIDIA GPU here; install the driver of the "
                "GPU, and torch for CUDA"
            )
        return torch

    @classmethod
    def platform(cls) -> dict[str, str]:
        torch = cls.load()
        device = torch.cuda.get_device_properties()
        return {
            **super().platform(),  # what surrounds the kernels is compiled for the CPU
            "cuda": torch.version.cuda,
            "gpu": f"{device.name} (sm_{device.major}{device.minor}, "
            f"{device.multi_processor_count} multiprocessors)",
            **driver_platform(),
        }

    def _open(self, torch: Any, package: Path, id: str, sizes: Sizes) -> Program:
        examples = self._shapes.zeros(id, sizes)
        if examples is None:
            return PlainProgram(torch, torch._inductor.aoti_load_package(str(package)), "cuda")
        # A package's own guard against several threads cannot be captured; CapturedProgram has one.
        loaded = torch._inductor.aoti_load_package(str(package), run_single_threaded=True)
        return CapturedProgram(torch, loaded, examples)


class TorchTensorrtEngine(TorchCudaEngine):
    """Torch programs on an NVIDIA GPU, of which TensorRT computes what it can."""

    name = "torch-tensorrt"

    @classmethod
    def load(cls) -> Any:
        torch = super().load()
        try:
            need("torch_tensorrt", extra="torch-tensorrt")
        except MissingExtra:
            raise
        except Exception as error:  # a plain Exception, where it does not find TensorRT's libraries
            raise EngineError(
                f"torch_tensorrt cannot be imported: {error}; install the TensorRT that it names"
            ) from error
        return torch

    @classmethod
    def platform(cls) -> dict[str, str]:
        found = super().platform()
        modules = {
            name: need(name, extra="torch-tensorrt") for name in ("torch_tensorrt", "tensorrt")
        }
        return found | {name: module.__version__ for name, module in modules.items()}

    def _open(self, torch: Any, package: Path, id: str, sizes: Sizes) -> Program:
        return PlainProgram(torch, torch._inductor.aoti_load_package(str(package)), "cuda")
