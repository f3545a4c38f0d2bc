"""Build the engine `torch-cuda`. It needs a C++ compiler."""

from pathlib import Path

from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.extras import need


def build(bundle: Bundle, folder: Path, kept: Path) -> None:
    """Raises MissingExtra, EngineError, or what torch raises."""
    need("onnx", extra="torch")
    from dcet.finalize.torch.programs import aot_inductor, compile_graphs

    compile_graphs(bundle, folder, "cuda", aot_inductor)
