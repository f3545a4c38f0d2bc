"""The cost of graphs, against figures computed by hand and shapes that an engine really gives."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from dcet.quantization import CostError, GraphCost, graph_cost, quantize_int8
from dcet.quantization.int8 import Quantizer
from dcet.quantization.tensors import find_tensors
from tests import tiny_bundle

FLOAT = TensorProto.FLOAT
SIZES = {"tokens": 7, "windows": 2, "faces": 3, "height": 10, "width": 12}
dimensions = st.integers(1, 40)


def model(
    nodes: list[NodeProto],
    x: tuple[int | str, ...],
    *,
    element_type: int = FLOAT,
    output: str = "y",
    **weights: NDArray[Any],
) -> ModelProto:
    """A graph of the nodes, from `x` of this shape to `y` of any."""
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", element_type, x)],
        [helper.make_tensor_value_info(output, element_type, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def cost(nodes: list[NodeProto], x: tuple[int | str, ...], **weights: Any) -> GraphCost:
    return graph_cost(model(nodes, x, **weights), {"n": 5})


def floats(*shape: int) -> NDArray[np.float32]:
    return np.ones(shape, np.float32)


def totals(found: GraphCost) -> tuple[dict[str, int], int, int]:
    return dict(found.flops), found.weight_bytes, found.activation_bytes


@given(batch=dimensions, rows=dimensions, inner=dimensions, columns=dimensions)
def test_matmul(batch: int, rows: int, inner: int, columns: int) -> None:
    found = cost(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        (batch, rows, inner),
        w=floats(inner, columns),
    )
    flops = 2 * batch * rows * inner * columns
    moved = 4 * batch * rows * (inner + columns)
    assert totals(found) == ({"fp32": flops}, 4 * inner * columns, moved)


@given(rows=dimensions, inner=dimensions, columns=dimensions, across=st.booleans())
def test_gemm_whichever_way_its_factors_lie(
    rows: int, inner: int, columns: int, across: bool
) -> None:
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transA=int(across), transB=1)
    shape = (inner, rows) if across else (rows, inner)
    found = cost([node], shape, w=floats(columns, inner), b=floats(columns))
    assert found.flops == {"fp32": 2 * rows * inner * columns}
    assert found.weight_bytes == 4 * columns * (inner + 1)


@given(
    images=st.integers(1, 4),
    groups=st.sampled_from([1, 2, 4]),
    side=st.integers(3, 12),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
)
def test_conv_with_groups_and_strides(
    images: int, groups: int, side: int, kernel: int, stride: int
) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=groups, strides=[stride, stride])
    found = cost([node], (images, 8, side, side), w=floats(16, 8 // groups, kernel, kernel))
    out = (side - kernel) // stride + 1
    assert found.flops == {"fp32": 2 * images * 16 * out**2 * (8 // groups) * kernel**2}
    assert found.weight_bytes == 4 * 16 * (8 // groups) * kernel**2
    assert found.activation_bytes == 4 * images * (8 * side**2 + 16 * out**2)


def test_a_transposed_conv_spreads_its_input() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2])
    found = cost([node], (1, 4, 10), w=floats(4, 6, 3))
    assert found.flops == {"fp32": 2 * 4 * 10 * 6 * 3}


def test_elementwise_operators_are_fused_with_what_they_follow() -> None:
    """Gelu by hand reads its input twice, and it never leaves the kernel."""
    found = cost(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("Erf", ["h"], ["e"]),
            helper.make_node("Mul", ["h", "e"], ["y"]),
        ],
        (2, 8),
        w=floats(8, 4),
    )
    assert [[node.op_type for node in kernel.nodes] for kernel in found.kernels] == [
        ["MatMul", "Erf", "Mul"]
    ]
    assert totals(found) == ({"fp32": 2 * 2 * 8 * 4 + 8 + 8}, 4 * 8 * 4, 4 * (2 * 8 + 2 * 4))
    assert sum(node.written_bytes for node in found.nodes) == 3 * 4 * 8  # each by itself


def test_what_two_kernels_read_is_written_once_and_read_twice() -> None:
    found = cost(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("Softmax", ["h"], ["s"]),
            helper.make_node("MatMul", ["h", "s"], ["y"]),
        ],
        (4, 4),
        w=floats(4, 4),
    )
    assert [kernel.written_bytes for kernel in found.kernels] == [64, 64, 64]
    assert [kernel.read_bytes for kernel in found.kernels] == [64, 64, 128]


def test_views_cost_nothing_and_a_gather_reads_its_rows_only() -> None:
    found = graph_cost(
        model(
            [
                helper.make_node("Gather", ["table", "x"], ["rows"]),
                helper.make_node("Flatten", ["rows"], ["y"]),
            ],
            ("n",),
            element_type=TensorProto.INT32,
            table=floats(1000, 8),
        ),
        {"n": 5},
    )
    assert [kernel.name for kernel in found.kernels] == ["rows"]
    assert totals(found) == ({"fp32": 0}, 5 * 8 * 4, 5 * 4 + 5 * 8 * 4)


def test_shapes_are_computed_from_shapes() -> None:
    """ONNX's own inference does not know how long a Range is that a Shape decides on."""
    constants: dict[str, Any] = {"zero": np.array(0), "one": np.array(1)}
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["length"]),
        helper.make_node("Range", ["zero", "length", "one"], ["places"]),
        helper.make_node("Cast", ["places"], ["floats"], to=FLOAT),
        helper.make_node("Unsqueeze", ["floats", "one"], ["column"]),
        helper.make_node("Add", ["x", "column"], ["y"]),
    ]
    made = model(nodes, ("n", 3), **constants)
    assert find_tensors(made, {"n": 5})["column"].shape == (5, 1)
    found = graph_cost(made, {"n": 5})
    assert [node.op_type for node in found.nodes] == ["Add"]
    assert found.weight_bytes == 5 * 4


@pytest.mark.parametrize("graph", ["text", "audio", "face", "step"])
def test_shapes_are_those_that_an_engine_gives(graph: str) -> None:
    made: ModelProto = getattr(tiny_bundle, f"{graph}_graph")()
    expected = {n: t.shape for n, t in find_tensors(made, SIZES).items() if n in made_by(made)}
    assert shapes_in_onnxruntime(made, SIZES) == expected


def made_by(made: ModelProto) -> set[str]:
    return {name for node in made.graph.node for name in node.output}


def shapes_in_onnxruntime(made: ModelProto, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all outputs of nodes, in a real run."""
    feed = {}
    for value in made.graph.input:
        tensor = value.type.tensor_type
        shape = [sizes.get(d.dim_param, d.dim_value) for d in tensor.shape.dim]
        feed[value.name] = np.ones(shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    names = sorted(made_by(made))
    watched = ModelProto()
    watched.CopyFrom(made)
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return {name: value.shape for name, value in zip(names, session.run(names, feed), strict=True)}


def quantised() -> GraphCost:
    """x and w in int8, their product in int32, Relu, and y in int8 again."""
    scales = {"s": np.float32(0.1), "z": np.int8(0)}
    return cost(
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
            helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
            helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wd"]),
            helper.make_node("Transpose", ["wd"], ["wt"]),
            helper.make_node("MatMul", ["xd", "wt"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("QuantizeLinear", ["r", "s", "z"], ["rq"]),
            helper.make_node("DequantizeLinear", ["rq", "s", "z"], ["rd"]),
            helper.make_node("MatMul", ["rd", "v"], ["y"]),
        ],
        (2, 8),
        w=np.ones((4, 8), np.int8),
        v=floats(4, 3),
        **scales,
    )


def test_between_q_and_dq_arithmetic_and_bytes_are_int8() -> None:
    into, product, last = quantised().kernels
    assert [node.op_type for node in product.nodes] == ["MatMul", "Relu", "QuantizeLinear"]
    assert product.flops == {"int8": 2 * 2 * 8 * 4, "fp32": 8 + 2 * 8}
    assert (into.read_bytes, into.written_bytes) == (4 * 16, 16)
    assert (product.read_bytes, product.written_bytes) == (16, 8)
    assert product.weight_bytes == 4 * 8 + 4 + 1  # w, and the scale and zero of what it writes
    # One factor of the last product is float, so it is computed in float.
    assert last.flops == {"fp32": 2 * 2 * 4 * 3}
    assert (last.read_bytes, last.weight_bytes) == (8, 4 * 4 * 3)


@pytest.mark.parametrize("quantizer", ["nncf", "onnxruntime"])
def test_what_a_quantiser_made_int8_is_counted_as_int8(quantizer: Quantizer) -> None:
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"])], (16, 32), w=floats(32, 24))
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", FLOAT, (16, 24)))
    batches = [{"x": np.random.default_rng(0).standard_normal((16, 32), np.float32)}]
    found = graph_cost(quantize_int8(made, batches, quantizer=quantizer), {})
    assert found.flops["int8"] == 2 * 16 * 32 * 24
    assert 32 * 24 <= found.weight_bytes < 2 * 32 * 24


def test_a_weight_is_read_in_the_type_that_an_engine_folds_it_to() -> None:
    half = np.ones((8, 4), np.float16)
    nodes = [
        helper.make_node("Cast", ["w"], ["wide"], to=FLOAT),
        helper.make_node("MatMul", ["x", "wide"], ["y"]),
    ]
    assert cost(nodes, (2, 8), w=half).weight_bytes == 4 * 8 * 4
    multiply = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    found = cost(multiply, (2, 8), element_type=TensorProto.FLOAT16, w=half)
    assert totals(found) == ({"fp16": 128}, 2 * 8 * 4, 2 * (16 + 8))


def test_weights_that_are_quantised_in_the_graph_are_read_as_int8() -> None:
    """The form that TensorRT reads: an engine quantises them when it loads the graph."""
    found = cost(
        [
            helper.make_node("QuantizeLinear", ["w", "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
            helper.make_node("MatMul", ["x", "d"], ["y"]),
        ],
        (2, 8),
        w=floats(8, 4),
        s=np.float32(0.1),
        z=np.int8(0),
    )
    assert len(found.kernels) == 1
    assert found.weight_bytes == 8 * 4


def test_kernels_are_in_an_order_in_which_they_can_run() -> None:
    """A kernel reads only what earlier ones made, though fusing moves nodes."""
    for name in ("text", "audio", "face", "step"):
        made: ModelProto = getattr(tiny_bundle, f"{name}_graph")()
        found = graph_cost(made, SIZES)
        counted = Counter(node.name for node in found.nodes)
        assert max(counted.values()) == 1
        makers = {node.name or node.output[0]: node for node in made.graph.node}
        place = {
            output: position
            for position, kernel in enumerate(found.kernels)
            for node in kernel.nodes
            for output in makers[node.name].output
        }
        for position, kernel in enumerate(found.kernels):
            for node in kernel.nodes:
                assert all(place.get(n, -1) <= position for n in makers[node.name].input)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([helper.make_node("Relu", ["x"], ["y"])], "dimension 'rows', got sizes for n; add it"),
        ([helper.make_node("Einsum", ["x", "x"], ["y"], equation="ij,jk->ik")], "not known"),
        ([helper.make_node("NonZero", ["x"], ["y"])], "depends on data"),
        ([helper.make_node("Melt", ["x"], ["y"])], "an operator of ONNX"),
    ],
)
def test_what_cannot_be_counted_is_an_error(nodes: list[NodeProto], message: str) -> None:
    shape: tuple[int | str, ...] = ("rows", 4) if "rows" in message else (4, 4)
    with pytest.raises(CostError, match=message):
        cost(nodes, shape)


def test_a_branch_is_an_error() -> None:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["out"])],
        "branch",
        [],
        [helper.make_tensor_value_info("out", FLOAT, (2, 2))],
    )
    node = helper.make_node("If", ["flag"], ["y"], "which", then_branch=branch, else_branch=branch)
    with pytest.raises(CostError, match="If 'which': expected a graph without branches"):
        cost([node], (2, 2), flag=np.array(True))
