"""FP16 storage: weights in half the bytes, arithmetic as before."""

from math import prod

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from dcet.quantization.inspect import PrecisionError

MIN_ELEMENTS = 1024  # smaller tensors save nothing
LARGEST = float(np.finfo(np.float16).max)


def store_fp16(model: ModelProto, *, keep: tuple[str, ...] = ()) -> ModelProto:
    """Return a copy of a model whose float32 weights are stored as float16 and cast back.

    An engine folds the casts when it loads the graph and computes in float32 from then on, so the
    file is half as large and nothing else changes but the rounding of the weights. Weights whose
    names begin with one of `keep` stay float32, and so do those of fewer than 1024 elements and the
    scales of what is quantised.

    Raises PrecisionError for a weight that float16 cannot hold.
    """
    half = ModelProto()
    half.CopyFrom(model)
    scales = {
        name
        for node in half.graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
        for name in node.input
    }
    casts = []
    for tensor in half.graph.initializer:
        name, size = tensor.name, prod(tensor.dims)
        if tensor.data_type != TensorProto.FLOAT or size < MIN_ELEMENTS:
            continue
        if name.startswith(keep) or name in scales:
            continue
        weight = numpy_helper.to_array(tensor)
        largest = float(np.abs(weight).max())
        if not largest <= LARGEST:
            raise PrecisionError(
                f"{name}: expected weights within float16, up to {LARGEST:.0f}, got {largest:.3g}; "
                "export this graph as fp32"
            )
        stored = f"{name}.fp16"
        tensor.CopyFrom(numpy_helper.from_array(weight.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *half.graph.node]
    del half.graph.node[:]
    half.graph.node.extend(nodes)
    return half
