"""The engines there are, and which of them runs a bundle here."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from dcet.runtime.bundle.contents import BundleContents
from dcet.runtime.engines.device_cache import find_built, refuse_condemned
from dcet.runtime.engines.engine import Engine
from dcet.runtime.errors import ConfigError, DcetError, EngineError, MissingExtra
from dcet.runtime.printable import printable


@dataclass(frozen=True, slots=True)
class EngineFactory:
    """Opens engines of one kind, whose module is imported when a bundle asks for it.

    module: of dcet.runtime.engines
    class_name: of a subclass of Engine, made of (bundle, reason), and of the folder of what was
        built where it `is_built`. Its static method `platform()` names what decides, with the
        bundle, whether it works: versions, driver, device. It raises MissingExtra or EngineError
        where it cannot
    is_built: dcet-finalize must have built it on this device
    """

    module: str
    class_name: str
    is_built: bool = False

    def open(self, bundle: BundleContents, reason: str, folder: Path | None = None) -> Engine:
        """Open an engine for a bundle. Raises MissingExtra, EngineError or BundleShapeMismatch."""
        engine: Engine = self._class()(bundle, reason, *([folder] if self.is_built else []))
        return engine

    def platform(self) -> dict[str, str]:
        """Name versions, driver and device. Raises MissingExtra or EngineError."""
        found: dict[str, str] = self._class().platform()
        return found

    def _class(self) -> Any:
        return getattr(import_module(f"dcet.runtime.engines.{self.module}"), self.class_name)


# Best first, on a machine that has them all.
ENGINES: Mapping[str, EngineFactory] = {
    "tensorrt": EngineFactory("tensorrt", "TensorrtEngine", is_built=True),
    "torch-tensorrt": EngineFactory("torch_package", "TorchTensorrtEngine", is_built=True),
    "onnxruntime-cuda": EngineFactory("onnxruntime_cuda", "OnnxRuntimeCudaEngine"),
    "torch-cuda": EngineFactory("torch_package", "TorchCudaEngine", is_built=True),
    "torch-cpu": EngineFactory("torch_package", "TorchCpuEngine", is_built=True),
    "openvino-gpu": EngineFactory("openvino", "OpenvinoGpuEngine"),
    "openvino-npu": EngineFactory("openvino", "OpenvinoNpuEngine"),
    "openvino": EngineFactory("openvino", "OpenvinoEngine"),
    "onnxruntime": EngineFactory("onnxruntime", "OnnxRuntimeEngine"),
}


def open_engine(bundle: BundleContents, name: str = "auto") -> Engine:
    """Open one engine by its name, or the first of the bundle's that works here (`auto`).

    An engine that must be built needs a valid record of dcet-finalize, and `auto` passes over what
    dcet-finalize found wrong on this device.

    Raises ConfigError for an unknown name, MissingExtra or EngineError when what was asked for
    cannot run, BundleShapeMismatch when a graph is not what the manifest says.
    """
    if name != "auto":
        return _open(bundle, name, "asked for by name")
    target, choices = bundle.manifest.target, bundle.manifest.engines
    passed_over: list[str] = []
    for number, choice in enumerate(choices, 1):
        reason = f"choice {number} of {len(choices)} of target {target}; {'; '.join(passed_over)}"
        try:
            if factory := ENGINES.get(choice):
                refuse_condemned(bundle, choice, factory.platform, is_built=factory.is_built)
            return _open(
                bundle, choice, reason if passed_over else f"first choice of target {target}"
            )
        except (ConfigError, MissingExtra, EngineError) as error:
            passed_over.append(f"{choice}: {error}")
        except DcetError:  # the bundle is wrong, not the engine
            raise
        except Exception as error:  # noqa: BLE001  what is broken here raises what it likes
            passed_over.append(printable(f"{choice}: {type(error).__name__}: {error}"))
    raise EngineError(
        f"{bundle.path}: no engine of target {target} works here: {'; '.join(passed_over)}"
    )


def find_factory(name: str) -> EngineFactory:
    """Find the factory of an engine. Raises ConfigError for an unknown name."""
    if name not in ENGINES:
        raise ConfigError(f"engine: expected auto or one of {', '.join(ENGINES)}, got {name!r}")
    return ENGINES[name]


def _open(bundle: BundleContents, name: str, reason: str) -> Engine:
    factory = find_factory(name)
    folder = find_built(bundle, name, factory.platform()) if factory.is_built else None
    return factory.open(bundle, reason, folder)
