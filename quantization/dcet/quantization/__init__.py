"""The precision of ONNX graphs. The extra `export` is needed on first use, not on import."""

from importlib import import_module
from typing import TYPE_CHECKING

from dcet.runtime.extras import need

if TYPE_CHECKING:
    from dcet.quantization.fp16 import store_fp16
    from dcet.quantization.inspect import GraphPrecision, PrecisionError, inspect_precision

__all__ = ["GraphPrecision", "PrecisionError", "inspect_precision", "store_fp16"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    need("onnx", extra="export")
    module = "fp16" if name == "store_fp16" else "inspect"
    return getattr(import_module(f"dcet.quantization.{module}"), name)
