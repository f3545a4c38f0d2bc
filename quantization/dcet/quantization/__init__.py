"""The precision of ONNX graphs, and what they cost. Needs `pip install 'dcet[export]'`.

Names are imported when they are first asked for (PEP 562): a device without onnx may import the
package, and is told which extra is missing once it uses it. It may import `dcet.data`,
`dcet.targets` and `dcet.runtime`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from dcet.runtime.extras import need

if TYPE_CHECKING:
    from dcet.quantization.arithmetic import compute_fp16
    from dcet.quantization.cost import GraphCost, Kernel, NodeCost, graph_cost
    from dcet.quantization.fp16 import store_fp16
    from dcet.quantization.inspect import GraphPrecision, PrecisionError, inspect_precision
    from dcet.quantization.int8 import QuantizationError, quantize_int8
    from dcet.quantization.packed import store_packed
    from dcet.quantization.restoring import restore
    from dcet.quantization.tensors import CostError

_HOMES = {
    "CostError": "tensors",
    "GraphCost": "cost",
    "GraphPrecision": "inspect",
    "Kernel": "cost",
    "NodeCost": "cost",
    "PrecisionError": "inspect",
    "QuantizationError": "int8",
    "compute_fp16": "arithmetic",
    "graph_cost": "cost",
    "inspect_precision": "inspect",
    "quantize_int8": "int8",
    "restore": "restoring",
    "store_fp16": "fp16",
    "store_packed": "packed",
}
__all__ = [
    "CostError",
    "GraphCost",
    "GraphPrecision",
    "Kernel",
    "NodeCost",
    "PrecisionError",
    "QuantizationError",
    "compute_fp16",
    "graph_cost",
    "inspect_precision",
    "quantize_int8",
    "restore",
    "store_fp16",
    "store_packed",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    need("onnx", extra="export")
    return getattr(import_module(f"dcet.quantization.{_HOMES[name]}"), name)
