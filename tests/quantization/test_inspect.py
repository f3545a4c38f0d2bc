"""The precision of a graph is what its weights say, not what its name says."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import DTypeLike, NDArray
from onnx import TensorProto, helper, numpy_helper

import dcet.quantization
from dcet.quantization import GraphPrecision, PrecisionError, inspect_precision

WEIGHT = np.random.default_rng(0).standard_normal((8, 4), dtype=np.float32)


def model(
    nodes: list[onnx.NodeProto],
    element_type: int = TensorProto.FLOAT,
    **initialisers: NDArray[np.generic],
) -> onnx.ModelProto:
    """A checked graph `x` (1, 8) -> `y` of the given nodes."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", element_type, (1, 8))],
        [helper.make_tensor_value_info("y", element_type, ("rows", "columns"))],
        [numpy_helper.from_array(array, name) for name, array in initialisers.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    return made


def matmul(weight: str = "w") -> onnx.NodeProto:
    return helper.make_node("MatMul", ["x", weight], ["y"])


@pytest.mark.parametrize(
    ("dtype", "element_type", "precision", "weight_bytes"),
    [
        (np.float32, TensorProto.FLOAT, "fp32", 8 * 4 * 4),
        (np.float16, TensorProto.FLOAT16, "fp16", 8 * 4 * 2),
    ],
)
def test_float_graphs(
    dtype: DTypeLike, element_type: int, precision: str, weight_bytes: int
) -> None:
    found = inspect_precision(model([matmul()], element_type, w=WEIGHT.astype(dtype)))
    assert found == GraphPrecision(
        precision=precision,  # type: ignore[arg-type]
        arithmetic=precision,  # type: ignore[arg-type]
        qdq_count=0,
        weight_bytes=weight_bytes,
    )


def quantise(folder: Path, *, as_qdq: bool) -> onnx.ModelProto:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Calibration(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = [{"x": row[None]} for row in WEIGHT.T]

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return self._left.pop() if self._left else None

    source, result = folder / "float.onnx", folder / "int8.onnx"
    onnx.save(model([matmul()], w=WEIGHT), source)
    form = QuantFormat.QDQ if as_qdq else QuantFormat.QOperator
    quantize_static(source, result, Calibration(), quant_format=form)
    return onnx.load(result)


def test_static_quantisation_as_qdq(tmp_path: Path) -> None:
    found = inspect_precision(quantise(tmp_path, as_qdq=True))
    assert found.precision == "int8"
    assert found.qdq_count >= 3  # x is quantised and dequantised, w is stored quantised
    assert 8 * 4 <= found.weight_bytes < 8 * 4 * 4


def test_static_quantisation_as_operators(tmp_path: Path) -> None:
    assert inspect_precision(quantise(tmp_path, as_qdq=False)).precision == "int8"


def test_dynamic_quantisation(tmp_path: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    source, result = tmp_path / "float.onnx", tmp_path / "int8.onnx"
    onnx.save(model([matmul()], w=WEIGHT), source)
    quantize_dynamic(source, result)
    found = inspect_precision(onnx.load(result))
    assert (found.precision, found.qdq_count) == ("int8", 0)


def test_float_weights_behind_q_and_dq_are_int8() -> None:
    """The form that TensorRT reads: weights stay float in the file."""
    found = inspect_precision(
        model(
            [
                helper.make_node("QuantizeLinear", ["w", "scale", "zero"], ["q"]),
                helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"]),
                matmul("dq"),
            ],
            w=WEIGHT,
            scale=np.array(0.1, np.float32),
            zero=np.array(0, np.int8),
        )
    )
    assert found == GraphPrecision(
        precision="int8", arithmetic="int8", qdq_count=2, weight_bytes=8 * 4 * 4 + 4 + 1
    )


def test_quantised_activations_alone_do_not_make_a_graph_int8() -> None:
    found = inspect_precision(
        model(
            [
                helper.make_node("QuantizeLinear", ["x", "scale"], ["q"]),
                helper.make_node("DequantizeLinear", ["q", "scale"], ["dq"]),
                helper.make_node("MatMul", ["dq", "w"], ["y"]),
            ],
            w=WEIGHT,
            scale=np.array(0.1, np.float32),
        )
    )
    assert (found.precision, found.qdq_count) == ("fp32", 2)


def test_half_weights_are_fp16_though_multiplied_in_single_precision() -> None:
    cast = helper.make_node("Cast", ["w"], ["wide"], to=TensorProto.FLOAT)
    found = inspect_precision(model([cast, matmul("wide")], w=WEIGHT.astype(np.float16)))
    assert (found.precision, found.arithmetic) == ("fp16", "fp32")
    assert found.weight_bytes == 8 * 4 * 2


def test_weights_that_were_rounded_on_the_way_are_what_they_were_rounded_to() -> None:
    narrow = helper.make_node("Cast", ["w"], ["half"], to=TensorProto.FLOAT16)
    wide = helper.make_node("Cast", ["half"], ["wide"], to=TensorProto.FLOAT)
    found = inspect_precision(model([narrow, wide, matmul("wide")], w=WEIGHT))
    assert (found.precision, found.arithmetic) == ("fp16", "fp32")


def test_a_large_table_of_embeddings_does_not_outvote_the_arithmetic() -> None:
    found = inspect_precision(
        model(
            [
                helper.make_node("Gather", ["table", "row"], ["looked_up"]),
                helper.make_node("Add", ["x", "looked_up"], ["sum"]),
                helper.make_node("DequantizeLinear", ["w", "scale"], ["dq"]),
                helper.make_node("MatMul", ["sum", "dq"], ["y"]),
            ],
            table=np.zeros((1000, 8), np.float32),
            row=np.array([3]),
            w=np.ones((8, 4), np.int8),
            scale=np.array(0.1, np.float32),
        )
    )
    assert found.precision == "int8"


def test_weights_in_constants_and_branches_are_seen() -> None:
    half = numpy_helper.from_array(WEIGHT.astype(np.float16), "half")
    constant = helper.make_node("Constant", [], ["w"], value=half)
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT16, ("rows", "columns"))
    branch = helper.make_graph(
        [constant, helper.make_node("MatMul", ["x", "w"], ["out"])], "branch", [], [output]
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["other_out"])],
        "other",
        [],
        [helper.make_tensor_value_info("other_out", TensorProto.FLOAT16, ("rows", "columns"))],
    )
    node = helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=other)
    found = inspect_precision(model([node], TensorProto.FLOAT16, flag=np.array(True)))
    assert found.precision == "fp16"


def test_a_graph_without_weights_has_the_precision_of_its_output() -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    assert inspect_precision(model([relu], TensorProto.FLOAT16)) == GraphPrecision(
        precision="fp16", arithmetic="fp16", qdq_count=0, weight_bytes=0
    )


def test_a_precision_that_no_bundle_knows_is_refused() -> None:
    double = model([matmul()], TensorProto.DOUBLE, w=WEIGHT.astype(np.float64))
    with pytest.raises(PrecisionError, match=r"'tiny': expected .+ float32.+, got DOUBLE; export"):
        inspect_precision(double)


def test_importing_the_package_does_not_import_onnx() -> None:
    code = "import dcet.quantization, sys; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], encoding="utf-8").split()
    assert "dcet.quantization" in loaded
    assert "onnx" not in loaded


def test_every_public_name_is_found_where_it_is_said_to_be() -> None:
    assert dcet.quantization.__all__ == sorted(dcet.quantization._HOMES)
    for name, home in dcet.quantization._HOMES.items():
        found = getattr(dcet.quantization, name)
        assert (found.__name__, found.__module__) == (name, f"dcet.quantization.{home}")


def test_a_missing_onnx_names_the_extra() -> None:
    code = "import sys; sys.modules['onnx'] = None; from dcet.quantization import inspect_precision"
    ran = subprocess.run(
        [sys.executable, "-c", code], encoding="utf-8", capture_output=True, check=False
    )
    assert ran.returncode == 1
    assert "pip install 'dcet[export]'" in ran.stderr
