"""Static INT8 as explicit QuantizeLinear and DequantizeLinear nodes, valid in opset 18.

QuantizationError   a graph cannot be quantised as asked
"""

import contextlib
import io
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from dcet.quantization.layers import residual_sums, weighted_layers
from dcet.quantization.restoring import restore
from dcet.runtime.errors import DcetError
from dcet.runtime.extras import import_silenced, need
from dcet.runtime.files import temporary_folder

Batch = Mapping[str, NDArray[Any]]  # by input of the graph, what one call is fed
Quantizer = Literal["nncf", "onnxruntime"]


class QuantizationError(DcetError, RuntimeError):
    """A graph cannot be quantised as asked."""


def quantize_int8(
    model: ModelProto,
    batches: Sequence[Batch],
    *,
    quantizer: Quantizer = "nncf",
    keep: Collection[str] = (),
    symmetric: bool = True,
) -> ModelProto:
    """Return a copy of a model whose products with weights are computed in int8.

    Weights are int8 with a scale for each output channel, activations int8 with one scale, which
    `batches` calibrate. Only layers are quantised, and the sums of two of their results (residual
    connections); nodes named in `keep`, products of two activations, normalisations and softmax
    stay float32, and so does everything before the first layer.

    symmetric: activations are int8 with zero point 0, as TensorRT wants them. Otherwise they may
        be uint8 with any zero point, which is a bit finer where they are never negative.

    Raises QuantizationError where the batches are none or not finite, and where the result has no
    QuantizeLinear: quantisers leave out what they do not like without a word.
    """
    name = model.graph.name
    layers = [layer for layer in weighted_layers(model) if layer.node not in keep]
    if not layers:
        raise QuantizationError(
            f"graph {name!r}: expected layers to quantise, got none that is not kept in float; "
            "keep fewer of them, or export this graph as fp16"
        )
    _check(batches, name)
    copy = ModelProto()  # which a quantizer may change as it likes
    copy.CopyFrom(model)
    chosen = [*residual_sums(model, layers), *(layer.node for layer in layers)]
    with _silence():
        quantised = _QUANTIZERS[quantizer](copy, chosen, batches, symmetric)
    made = restore(quantised, model, ())
    del made.graph.value_info[:]  # types of before
    onnx.checker.check_model(made, full_check=True)
    if not any(node.op_type == "QuantizeLinear" for node in made.graph.node):
        raise QuantizationError(
            f"graph {name!r}: expected int8, but {quantizer} quantised none of its {len(layers)} "
            f"layers; try the other quantizer ({' or '.join(_QUANTIZERS)}), or export this graph "
            "as fp16"
        )
    return made


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep both quantisers from printing progress, and warnings about preparation that is done."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)


def _check(batches: Sequence[Batch], graph: str) -> None:
    if not batches:
        raise QuantizationError(
            f"graph {graph!r}: expected batches to calibrate with, got none; "
            "give a calibration set with turns that this graph takes part in"
        )
    for number, batch in enumerate(batches):
        for name, array in batch.items():
            if not np.isfinite(array).all():
                raise QuantizationError(
                    f"graph {graph!r}: batch {number}: {name}: expected finite numbers, got NaN or "
                    "infinity; take that turn out of the calibration set"
                )


def _nncf(
    model: ModelProto,
    nodes: Sequence[str],
    batches: Sequence[Batch],
    symmetric: bool,
) -> ModelProto:
    nncf = need("nncf", extra="export")
    ranges = import_silenced("nncf.quantization.range_estimator").RangeEstimatorParametersSet
    others = [node.name for node in model.graph.node if node.name not in nodes]
    made: ModelProto = nncf.quantize(
        model,
        nncf.Dataset(list(batches)),
        preset=nncf.QuantizationPreset.PERFORMANCE if symmetric else nncf.QuantizationPreset.MIXED,
        subset_size=len(batches),
        model_type=nncf.ModelType.TRANSFORMER if _is_transformer(model) else None,
        ignored_scope=nncf.IgnoredScope(names=others),
        # Its own choice, mean ranges and corrected biases, moves estimates ten times as far.
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            activations_range_estimator_params=ranges.MINMAX, disable_bias_correction=True
        ),
    )
    _set_signs(made, signed=symmetric)
    return made


def _set_signs(model: ModelProto, *, signed: bool) -> None:
    """Make all activations int8 or all uint8: NNCF takes uint8 where nothing is negative.

    ONNX Runtime is several times slower with int8 activations on x86, and TensorRT has no uint8.
    From uint8 to int8 the largest value stays and the scale grows; the other way is exact.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    pairs = {
        (node.input[1], node.input[2])
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
    }
    for scale, zero_point in pairs:
        value = numpy_helper.to_array(constants[zero_point])
        if signed and value.dtype == np.uint8:
            wider = numpy_helper.to_array(constants[scale]) * np.float32(255 / 127)
            constants[scale].CopyFrom(numpy_helper.from_array(wider, scale))
            value = np.zeros_like(value, np.int8)
        elif not signed and value.dtype == np.int8:
            value = (value.astype(np.int16) + 128).astype(np.uint8)
        constants[zero_point].CopyFrom(numpy_helper.from_array(value, zero_point))


def _is_transformer(model: ModelProto) -> bool:
    return any(node.op_type == "LayerNormalization" for node in model.graph.node)


def _onnxruntime(
    model: ModelProto,
    nodes: Sequence[str],
    batches: Sequence[Batch],
    symmetric: bool,
) -> ModelProto:
    quantization: Any = import_silenced("onnxruntime.quantization")
    kinds = quantization.QuantType

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(batches)

        def get_next(self) -> Batch | None:
            return next(self._left, None)

    with temporary_folder() as folder:
        result = folder / "int8.onnx"
        quantization.quantize_static(
            model,
            result,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add"],
            nodes_to_quantize=list(nodes),
            per_channel=True,
            activation_type=kinds.QInt8 if symmetric else kinds.QUInt8,
            weight_type=kinds.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            extra_options={
                "ActivationSymmetric": symmetric,
                "WeightSymmetric": True,
                "MatMulConstBOnly": True,
                "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],
                # A bias in int32 would need a DequantizeLinear that TensorRT does not know.
                "QuantizeBias": False,
            },
        )
        return onnx.load(result)


_QUANTIZERS: Mapping[
    str, Callable[[ModelProto, Sequence[str], Sequence[Batch], bool], ModelProto]
] = {"nncf": _nncf, "onnxruntime": _onnxruntime}
