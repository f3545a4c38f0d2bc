"""ONNX operators in torch: those of which the graphs of a bundle are made.

Inputs come in ONNX's order and attributes by ONNX's names. Whole numbers that say how (axes, sizes,
places) are Python's, since a compiler must know them; a size may be a symbol.
"""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from onnx import TensorProto
from torch import Tensor
from torch.nn import functional

from dcet.runtime.errors import EngineError

Value = Any  # a Tensor, a size or axis, a list of them, or None for an input that is left out

_DTYPES: Mapping[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.INT8: torch.int8,
    TensorProto.UINT8: torch.uint8,
    TensorProto.BOOL: torch.bool,
}


def _cast(x: Value, *, to: int) -> Value:
    dtype = _DTYPES[to]
    if isinstance(x, Tensor):
        return x.to(dtype)
    return torch.sym_float(x) if dtype.is_floating_point else x


def _clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return x.clamp(low, high)


def _concat(*parts: Tensor, axis: int) -> Tensor:
    return torch.cat(parts, dim=axis)


def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
    dilations: list[int] | None = None,
    group: int = 1,
    auto_pad: bytes = b"NOTSET",
    kernel_shape: list[int] | None = None,
) -> Tensor:
    ones = [1] * (x.ndim - 2)
    convolve = functional.conv1d if x.ndim == 3 else functional.conv2d
    padding = _padding(pads or [0] * 2 * len(ones), auto_pad)
    return convolve(x, weight, bias, strides or ones, padding, dilations or ones, group)


def _larger(a: Value, b: Value) -> Value:
    tensors = isinstance(a, Tensor) and isinstance(b, Tensor)
    return torch.maximum(a, b) if tensors else torch.sym_max(a, b)


def _padding(pads: list[int], auto_pad: bytes) -> list[int]:
    before, after = pads[: len(pads) // 2], pads[len(pads) // 2 :]
    if before != after or auto_pad != b"NOTSET":
        raise EngineError(
            f"expected as much padding in front as behind, got {pads}, {auto_pad.decode()}"
        )
    return before


def _cumsum(x: Tensor, axis: int, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    if exclusive or reverse:
        raise EngineError("CumSum: expected it plain, got exclusive or reverse")
    return torch.cumsum(x, dim=axis)


def _dequantize(
    x: Tensor, scale: Tensor, zero: Tensor | None = None, *, axis: int = 1, block_size: int = 0
) -> Tensor:
    scale, zero = _along(scale, x.ndim, axis), _along(zero, x.ndim, axis)
    shifted = x.to(scale.dtype) if zero is None else x.to(scale.dtype) - zero.to(scale.dtype)
    return shifted * scale


def _quantize(
    x: Tensor,
    scale: Tensor,
    zero: Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    saturate: int = 1,
) -> Tensor:
    dtype = torch.uint8 if zero is None else zero.dtype
    scale, zero = _along(scale, x.ndim, axis), _along(zero, x.ndim, axis)
    rounded = torch.round(x / scale)
    if zero is not None:
        rounded = rounded + zero.to(rounded.dtype)
    limits = torch.iinfo(dtype)
    return rounded.clamp(limits.min, limits.max).to(dtype)


def _along(x: Any, dimensions: int, axis: int) -> Any:
    """Shape the values along an axis so that they multiply a tensor."""
    if x is None or x.ndim == 0:
        return x
    return x.reshape([-1 if i == axis % dimensions else 1 for i in range(dimensions)])


def _divide(a: Value, b: Value) -> Value:
    return a / b if isinstance(a, Tensor) or isinstance(b, Tensor) else a // b  # sizes


def _expand(x: Tensor, shape: list[int]) -> Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, shape))


def _gather(x: Tensor, places: Value, *, axis: int = 0) -> Tensor:
    if isinstance(places, int):
        return x.select(axis, places)
    if not isinstance(places, Tensor | list):  # a symbol: a compiler cannot prove it inside
        place = x.new_full((1,), places, dtype=torch.int64)
        return x.index_select(axis, place).squeeze(axis)
    places = torch.as_tensor(places, device=x.device)
    found = x.index_select(axis, places.reshape(-1))
    return found.reshape(*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])


def _gather_elements(x: Tensor, places: Tensor, *, axis: int = 0) -> Tensor:
    return torch.gather(x, axis, places)


def _gather_nd(x: Tensor, places: Tensor, *, batch_dims: int = 0) -> Tensor:
    if batch_dims:
        raise EngineError("GatherND: expected no batch_dims")
    return x[places.unbind(-1)]


def _gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    product = (a.mT if transA else a) @ (b.mT if transB else b)
    product = product if alpha == 1 else product * alpha
    return product if c is None else product + (c if beta == 1 else c * beta)


def _layer_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Tensor:
    return functional.layer_norm(x, x.shape[axis:], weight, bias, epsilon)


def _average_pool(
    x: Tensor,
    *,
    kernel_shape: list[int],
    pads: list[int] | None = None,
    strides: list[int] | None = None,
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    auto_pad: bytes = b"NOTSET",
) -> Tensor:
    ones = [1] * len(kernel_shape)
    pool = functional.avg_pool1d if len(ones) == 1 else functional.avg_pool2d
    padding = _padding(pads or [0] * 2 * len(ones), auto_pad)
    return pool(x, kernel_shape, strides or ones, padding, bool(ceil_mode), bool(count_include_pad))


def _max_pool(
    x: Tensor,
    *,
    kernel_shape: list[int],
    pads: list[int] | None = None,
    strides: list[int] | None = None,
    dilations: list[int] | None = None,
    ceil_mode: int = 0,
    auto_pad: bytes = b"NOTSET",
    storage_order: int = 0,
) -> Tensor:
    ones = [1] * len(kernel_shape)
    pool = functional.max_pool1d if len(ones) == 1 else functional.max_pool2d
    padding = _padding(pads or [0] * 2 * len(ones), auto_pad)
    return pool(x, kernel_shape, strides or ones, padding, dilations or ones, bool(ceil_mode))


def _pad(
    x: Tensor, pads: list[int], value: Tensor | None = None, *, mode: bytes = b"constant"
) -> Tensor:
    if mode != b"constant" or (value is not None and value.item() != 0):
        raise EngineError(f"Pad: expected zeros, got {mode.decode()}")
    half = len(pads) // 2
    last_first = [side for i in reversed(range(half)) for side in (pads[i], pads[half + i])]
    return functional.pad(x, last_first)


def _range(start: int, limit: int, step: int) -> Tensor:
    return torch.arange(start, limit, step)


def _reduce(
    reduce: Callable[..., Tensor],
) -> Callable[..., Tensor]:
    def run(
        x: Tensor,
        axes: list[int] | None = None,
        *,
        keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> Tensor:
        if axes is None and noop_with_empty_axes:
            return x
        return reduce(x, dim=axes or list(range(x.ndim)), keepdim=bool(keepdims))

    return run


def _reshape(x: Tensor, shape: list[int], *, allowzero: int = 0) -> Tensor:
    if not allowzero:
        shape = [x.shape[i] if size == 0 else size for i, size in enumerate(shape)]
    return x.reshape(shape)


def _shape(x: Tensor, *, start: int = 0, end: int | None = None) -> list[Any]:
    return list(x.shape)[start:end]


def _slice(
    x: Tensor,
    starts: list[int],
    ends: list[int],
    axes: list[int] | None = None,
    steps: list[int] | None = None,
) -> Tensor:
    axes = list(range(len(starts))) if axes is None else axes
    for axis, start, end, step in zip(axes, starts, ends, steps or [1] * len(axes), strict=True):
        place = [slice(None)] * x.ndim
        place[axis] = slice(start, end, step)
        x = x[tuple(place)]
    return x


def _softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    return torch.softmax(x, dim=axis)


def _split(
    x: Tensor,
    sizes: list[int] | None = None,
    *,
    parts: int,
    axis: int = 0,
    num_outputs: int | None = None,
) -> tuple[Tensor, ...]:
    return torch.split(x, sizes or math.ceil(x.shape[axis] / parts), dim=axis)


def _squeeze(x: Value, axes: list[int] | None = None) -> Value:
    if isinstance(x, list):  # a shape of one
        return x[0]
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def _transpose(x: Tensor, *, perm: list[int]) -> Tensor:
    return x.permute(perm)


def _unsqueeze(x: Tensor, axes: list[int]) -> Tensor:
    dimensions = x.ndim + len(axes)
    for axis in sorted(axis % dimensions for axis in axes):
        x = x.unsqueeze(axis)
    return x


OPERATORS: Mapping[str, Callable[..., Value]] = {
    "Abs": torch.abs,
    "Add": operator.add,
    "And": torch.logical_and,
    "AveragePool": _average_pool,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "CumSum": _cumsum,
    "DequantizeLinear": _dequantize,
    "Div": _divide,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Expand": _expand,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Gemm": _gemm,
    "GreaterOrEqual": operator.ge,
    "Identity": lambda x: x,
    "LayerNormalization": _layer_norm,
    "Log": torch.log,
    "MatMul": torch.matmul,
    "Max": _larger,
    "MaxPool": _max_pool,
    "Min": torch.minimum,
    "Mul": operator.mul,
    "Neg": torch.neg,
    "Pad": _pad,
    "Pow": torch.pow,
    "QuantizeLinear": _quantize,
    "Range": _range,
    "Reciprocal": torch.reciprocal,
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceMin": _reduce(torch.amin),
    "ReduceSum": _reduce(torch.sum),
    "Relu": torch.relu,
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": torch.sigmoid,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Sqrt": torch.sqrt,
    "Squeeze": _squeeze,
    "Sub": operator.sub,
    "Tanh": torch.tanh,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": torch.where,
}
