"""INT8 storage: weights that lie on INT8's grid already in a quarter of their bytes."""

from math import prod

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from dcet.quantization.fp16 import MIN_ELEMENTS

ROW_SCALE = "row_scale."  # before the name of a matrix: what its rows or columns are multiplied by
NEARLY = 1e-3  # of a step of the grid: FP16 would round the largest weights sixty times as far


def store_packed(model: ModelProto, *, keep: tuple[str, ...] = ()) -> ModelProto:
    """Return a copy of a model that stores in INT8 the float32 matrices which are no finer.

    So are those of a packed checkpoint (`dcet-train pack`): the rows, or where a matrix is
    transposed the columns, are whole numbers up to 127, each times a number of its own. An engine
    multiplies both when it loads the graph, and computes as before. Matrices whose names begin with
    one of `keep` are left, and so are those of fewer than 1024 elements. For engines other than
    TensorRT, which casts no INT8.
    """
    packed = ModelProto()
    packed.CopyFrom(model)
    nodes = []
    for tensor in list(packed.graph.initializer):
        name = tensor.name
        is_matrix = tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2
        if not is_matrix or prod(tensor.dims) < MIN_ELEMENTS or name.startswith(keep):
            continue
        found = _on_grid(numpy_helper.to_array(tensor))
        if found is None:
            continue
        stored, whole, scale = f"{name}.int8", f"{name}.whole", f"{ROW_SCALE}{name}"
        packed.graph.initializer.remove(tensor)
        packed.graph.initializer.append(numpy_helper.from_array(found[0], stored))
        packed.graph.initializer.append(numpy_helper.from_array(found[1], scale))
        nodes += [
            helper.make_node("Cast", [stored], [whole], to=TensorProto.FLOAT),
            helper.make_node("Mul", [whole, scale], [name]),
        ]
    nodes += packed.graph.node
    del packed.graph.node[:]
    packed.graph.node.extend(nodes)
    return packed


def _on_grid(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
    """Return whole numbers and the scales of rows (n, 1) or columns (1, n) that give the matrix."""
    if not np.isfinite(matrix).all():
        return None
    for axis in (1, 0):
        largest = np.abs(matrix).max(axis=axis, keepdims=True)
        scale = np.maximum(largest, 1e-12) / np.float32(127)
        steps = matrix / scale
        whole = np.rint(steps)
        is_smaller = matrix.size + scale.nbytes < 2 * matrix.size  # than in FP16
        if is_smaller and np.abs(steps - whole).max() <= NEARLY:
            return whole.astype(np.int8), scale
    return None
