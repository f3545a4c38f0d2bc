"""The lint names what TensorRT would not take, and has nothing to say of our own graphs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from transformers import MPNetConfig, MPNetModel, RobertaConfig, RobertaModel

from dcet.export.finalize_files import profiles
from dcet.export.graphs import export_text
from dcet.export.lint import Finding, lint
from dcet.export.manifest_rows import graph_row
from dcet.quantization import store_fp16
from dcet.runtime.bundle.manifest import Modality, Profile
from dcet.targets import TensorrtRange, list_targets
from dcet.targets.target import GRAPHS
from dcet.training.network.model import TextEncoder
from dcet.training.saved.checkpoint import MAX_TOKENS

RANGE = TensorrtRange(min="10.3", max="11")
FLOAT, HALF, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64


def model(
    *nodes: NodeProto,
    kind: int = FLOAT,
    shape: Sequence[int | str] = (1, 1, 4, 8),
    opset: int = 18,
    ir_version: int = 10,
    **constants: Any,
) -> onnx.ModelProto:
    """A graph from the input `x` to the output `y`."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", kind, shape)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def node(operator: str, *inputs: str, output: str = "y", **attributes: Any) -> NodeProto:
    return helper.make_node(operator, inputs, [output], name=f"the_{operator}", **attributes)


def found(
    made: onnx.ModelProto,
    *,
    id: str = "audio",
    tensorrt: TensorrtRange = RANGE,
    shapes: Mapping[str, Profile] | None = None,
) -> list[Finding]:
    return lint(id, made, tensorrt, shapes or {})


def found_for_every_target(id: str, made: onnx.ModelProto) -> list[Finding]:
    modalities = {
        name: Modality(input=name, width=4, length=8, trained=True) for name in ("audio", "face")
    }
    rows = {id: graph_row(made, f"{id}.onnx", "fp32")}
    shapes = profiles(rows, modalities, MAX_TOKENS)[id]
    return [
        finding
        for target in list_targets()
        if target.tensorrt is not None
        for finding in found(made, id=id, tensorrt=target.tensorrt, shapes=shapes)
    ]


def only(made: onnx.ModelProto, **options: Any) -> str:
    """The one error."""
    (finding,) = found(made, **options)
    assert finding.is_error
    return str(finding)


@pytest.mark.parametrize("id", GRAPHS)
def test_our_graphs_pass_for_every_target(graphs: dict[str, onnx.ModelProto], id: str) -> None:
    assert found_for_every_target(id, graphs[id]) == []


@pytest.mark.parametrize(
    ("config", "kind"), [(RobertaConfig, RobertaModel), (MPNetConfig, MPNetModel)]
)
def test_encoders_that_count_positions_from_the_padding_pass_and_say_the_same(
    config: Any, kind: Any
) -> None:
    torch.manual_seed(0)
    backbone = kind(
        config(
            vocab_size=50,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=140,
        )
    ).eval()
    encoder = TextEncoder(backbone)
    mask = torch.arange(6) < torch.tensor([6, 2, 4])[:, None]
    ids = torch.where(mask, torch.arange(18).view(3, 6) + 5, 1)
    with torch.inference_mode():
        counted = backbone(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        assert torch.allclose(encoder.hidden(ids, mask.long())[mask], counted[mask], atol=1e-6)
    graph = export_text(encoder, MAX_TOKENS, 18, 10)
    assert found_for_every_target("text", graph) == []


def test_a_finding_says_where_what_and_what_to_do() -> None:
    said = only(model(node("DFT", "x")))
    assert said == (
        "graph 'audio', node 'the_DFT' (DFT): TensorRT 10.1 and later does not have it; write the "
        "module with operators of targets/dcet/targets/tensorrt/operators.csv"
    )


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (model(node("STFT", "x", "h"), h=np.int64(4)), "TensorRT 10.1 to 10.4 does not have it"),
        (model(node("Attention", "x", "x", "x"), opset=20), "operators does not know it"),
        (model(node("Erf", "x"), kind=TensorProto.DOUBLE), "got FP64 in 'x'; cast it before"),
        (model(node("Cast", "x", to=TensorProto.DOUBLE)), "got FP64 in 'y'; cast it before"),
        (
            model(node("Identity", "x"), kind=TensorProto.INT8),
            "expected FP32, FP16, BF16, INT32, INT64, BOOL for TensorRT",
        ),
        (
            model(node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2])),
            "expected dilations to be ones",
        ),
        (
            model(node("MaxPool", "x", kernel_shape=[2]), shape=(1, 1, 8)),
            "expected kernel_shape to be 2 or 3 long",
        ),
        (model(node("GridSample", "x", "x"), shape=(1, 1, 2, 4, 3)), "expected X to be rank 4"),
        (
            model(
                node("ReduceSum", "x", "a"), node("Identity", "b", output="a"), b=np.ones(1, int)
            ),
            "expected axes to be constant",
        ),
        (
            model(node("Resize", "x", "", "s", mode="cubic"), s=np.ones(4, np.float32)),
            "expected mode to be one of nearest|linear",
        ),
        (model(node("Relu", "x"), ir_version=11), "expected IR version 10 or less for TensorRT"),
        (model(node("Relu", "x"), shape=(1, "steps")), "no optimisation profile for its size 'ste"),
        (
            model(node("Add", "x", "x"), kind=TensorProto.UINT8),
            "reads the uint8 input 'x', of which TensorRT takes a Cast alone",
        ),
    ],
)
def test_what_tensorrt_refuses(made: onnx.ModelProto, message: str) -> None:
    findings = [str(finding) for finding in found(made) if finding.is_error]
    assert [said for said in findings if message in said], findings


@pytest.mark.parametrize(
    ("opset", "tensorrt", "is_in"),
    [
        (8, RANGE, False),
        (9, RANGE, True),
        (20, RANGE, True),
        (21, RANGE, False),
        (21, TensorrtRange(min="11", max="11"), True),
    ],
)
def test_the_opset_is_one_of_every_parser(opset: int, tensorrt: TensorrtRange, is_in: bool) -> None:
    errors = [
        str(finding)
        for finding in found(model(node("Relu", "x"), opset=opset, ir_version=3), tensorrt=tensorrt)
    ]
    assert errors == [] if is_in else "expected opset 9 to 2" in errors[0]


def test_limits_end_with_the_version_that_lifted_them() -> None:
    made = model(
        node("Pad", "x", "p", "", "a"),
        node("Identity", "b", output="a"),
        p=np.zeros(2, int),
        b=np.ones(1, int),
    )
    assert "TensorRT 10.1 to 10.3" in only(made)
    assert found(made, tensorrt=TensorrtRange(min="10.4", max="11")) == []


def test_branches_are_left_out() -> None:
    constant = helper.make_node("Constant", [], ["out"], value_float=1.0)
    out = helper.make_tensor_value_info("out", FLOAT, ())
    branch = helper.make_graph([constant], "branch", [], [out])
    made = model(node("If", "x", then_branch=branch, else_branch=branch), kind=TensorProto.BOOL)
    assert "branches and loops are left out" in only(made)


def test_an_operator_of_another_domain() -> None:
    made = model(helper.make_node("FusedConv", ["x"], ["y"], domain="com.microsoft"))
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert "is of the domain 'com.microsoft', no plain ONNX" in only(made)


def test_weights_in_another_file() -> None:
    made = model(node("Add", "x", "w"), w=np.ones(8, np.float32))
    made.graph.initializer[0].data_location = TensorProto.EXTERNAL
    assert "the weights 'w' lie in another file; export with the weights inside" in only(made)


def quantised(zero: Any, *, kind: int = FLOAT, opset: int = 18) -> onnx.ModelProto:
    scale = np.ones((), helper.tensor_dtype_to_np_dtype(kind))
    zeros = {} if zero is None else {"z": zero}
    made = model(
        node("QuantizeLinear", "x", "s", *zeros, output="q"),
        node("DequantizeLinear", "q", "s", *zeros),
        kind=kind,
        opset=opset,
        s=scale,
        **zeros,
    )
    made.graph.output[0].type.tensor_type.elem_type = kind
    return made


def test_symmetric_int8_passes() -> None:
    assert found(quantised(np.int8(0))) == []


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (quantised(np.uint8(0)), "quantises to uint8, and TensorRT knows int8 alone"),
        (quantised(None), "quantises to uint8, and TensorRT knows int8 alone"),
        (quantised(np.int8(3)), "expected y_zero_point to be zeros"),
        (quantised(np.int8(3)), "expected x_zero_point to be zeros"),
        (quantised(np.int8(0), opset=12), "expected opset 13 or more"),
        (quantised(np.int8(0), kind=HALF), "quantises float16 in opset 18, which has that from 19"),
        (
            model(node("DequantizeLinear", "b", "s"), b=np.ones(4, np.int32), s=np.float32(1)),
            "expected INT8, FP8, INT4 for TensorRT 10.1 and later, got INT32 in 'b'",
        ),
    ],
)
def test_what_tensorrt_cannot_quantise(made: onnx.ModelProto, message: str) -> None:
    findings = [str(finding) for finding in found(made) if finding.is_error]
    assert [said for said in findings if message in said], findings


def test_float16_can_be_quantised_from_opset_19() -> None:
    assert found(quantised(np.int8(0), kind=HALF, opset=19)) == []


def counting(*more: NodeProto) -> onnx.ModelProto:
    """int64 from data."""
    return model(
        node("Cast", "x", output="i", to=INT64),
        *more,
        node("Add", "i", "i", output="j"),
        node("Cast", "j", to=FLOAT),
    )


def test_whole_numbers_from_data_are_errors_in_the_step_alone() -> None:
    for id, is_error in (("step", True), ("text", False)):
        findings = found(counting(), id=id)
        assert [finding.is_error for finding in findings] == [is_error] * 2
        assert "computes int64 from data in 'i'" in str(findings[0])


def test_whole_numbers_from_shapes_are_free() -> None:
    made = model(
        node("Shape", "x", output="size"),
        node("Mul", "size", "two", output="twice"),
        node("Expand", "x", "twice"),
        two=np.int64(1),
    )
    assert found(made, id="step") == []


def test_weights_that_are_stored_as_float16_are_computed_in_float32(
    graphs: dict[str, onnx.ModelProto],
) -> None:
    (finding,) = found(store_fp16(graphs["step"]), id="step")
    assert not finding.is_error
    assert 'export with arithmetic = "fp16", a key of the target' in str(finding)


def test_what_no_graph_can_tell_is_a_warning() -> None:
    (finding,) = found(model(node("RandomNormalLike", "x")))
    assert not finding.is_error
    assert "the seed is ignored" in str(finding)


def test_sizes_that_depend_on_data_are_a_warning() -> None:
    findings = found(model(node("NonZero", "x")))
    assert "the size of its output is unknown" in str(findings[0])
    assert not any(finding.is_error for finding in findings)
