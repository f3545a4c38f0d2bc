"""The inputs and outputs of an ONNX graph, as the manifest states them."""

import onnx

from dcet.runtime.bundle.manifest import Tensor


def tensor_row(value: onnx.ValueInfoProto) -> Tensor:
    """Return the name, type and shape of an input or output."""
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    shape = tuple(dimension.dim_param or int(dimension.dim_value) for dimension in tensor.shape.dim)
    return Tensor(name=value.name, dtype=dtype, shape=shape)
