"""Checks that find, before a graph is exported, what TensorRT would refuse or get wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from dcet.quantization.inspect import inspect_precision
from dcet.runtime.bundle.manifest import Profile
from dcet.targets import TensorrtRange
from dcet.targets.tensorrt import Operator, operators, parsers

CONTROL_FLOW = ("If", "Loop", "Scan")
QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
UNKNOWN_SIZES = ("NonMaxSuppression", "NonZero")  # of outputs, until the engine has run
OPERATOR_CURE = "write the module with operators of targets/dcet/targets/tensorrt/operators.csv"
TYPES: Mapping[int, str] = {
    TensorProto.FLOAT: "FP32",
    TensorProto.FLOAT16: "FP16",
    TensorProto.BFLOAT16: "BF16",
    TensorProto.DOUBLE: "FP64",
    TensorProto.FLOAT8E4M3FN: "FP8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a graph, and what to do about it."""

    graph: str
    node: str  # its name and operator; empty where it is the whole graph
    problem: str
    cure: str
    is_error: bool = True  # or it works, but worse than it should

    def __str__(self) -> str:
        node = f", node {self.node}" if self.node else ""
        return f"graph {self.graph!r}{node}: {self.problem}; {self.cure}"


def lint(
    id: str, model: ModelProto, tensorrt: TensorrtRange, profiles: Mapping[str, Profile]
) -> list[Finding]:
    """Find everything in a graph that one of the versions of TensorRT would not take.

    `profiles` are those of the graph's inputs, by name.
    """
    graph = _Graph(id, model)
    findings = [*_versions(graph, tensorrt), *_inputs(graph, profiles), *_weights(graph)]
    rows = operators(tensorrt)
    for node in model.graph.node:
        findings += _operator(graph, node, rows)
        if node.op_type in QUANTISERS:
            findings += _quantiser(graph, node)
        findings += _whole_numbers(graph, node)
    return findings


class _Graph:
    """A graph with what its tensors are."""

    def __init__(self, id: str, model: ModelProto) -> None:
        self.id, self.model = id, model
        self.opset = next((row.version for row in model.opset_import if row.domain == ""), 1)
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        self._types = {value.name: value.type.tensor_type for value in values}
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = node.attribute[0].t

    def type(self, name: str) -> int:
        """Return the element type of a tensor, UNDEFINED where it cannot be told."""
        if name in self.constants:
            return int(self.constants[name].data_type)
        return int(self._types[name].elem_type) if name in self._types else TensorProto.UNDEFINED

    def rank(self, name: str) -> int | None:
        if name in self.constants:
            return len(self.constants[name].dims)
        kind = self._types.get(name)
        return len(kind.shape.dim) if kind is not None and kind.HasField("shape") else None

    @cached_property
    def from_data(self) -> set[str]:
        """Tensors whose values depend on those of the inputs, and not on their shapes alone."""
        found = {value.name for value in self.model.graph.input} - self.constants.keys()
        for node in self.model.graph.node:
            if node.op_type not in ("Shape", "Size") and found & set(node.input):
                found |= set(node.output)
        return found

    def finding(
        self, node: NodeProto | None, problem: str, cure: str, *, is_error: bool = True
    ) -> Finding:
        where = "" if node is None else f"{node.name or node.output[0]!r} ({node.op_type})"
        return Finding(graph=self.id, node=where, problem=problem, cure=cure, is_error=is_error)


def _versions(graph: _Graph, tensorrt: TensorrtRange) -> Iterator[Finding]:
    for row in parsers(tensorrt):
        versions = _spoken(row.versions)
        if not row.opset_min <= graph.opset <= row.opset_max:
            yield graph.finding(
                None,
                f"expected opset {row.opset_min} to {row.opset_max} for TensorRT {versions}, "
                f"got {graph.opset}",
                "change opset in the target's file",
            )
        if graph.model.ir_version > row.ir_version_max:
            yield graph.finding(
                None,
                f"expected IR version {row.ir_version_max} or less for TensorRT {versions}, "
                f"got {graph.model.ir_version}",
                "change ir_version in the target's file",
            )


def _inputs(graph: _Graph, profiles: Mapping[str, Profile]) -> Iterator[Finding]:
    for value in graph.model.graph.input:
        sizes = value.type.tensor_type.shape.dim
        varying = [size.dim_param or "?" for size in sizes if not size.HasField("dim_value")]
        if varying and value.name not in profiles:
            yield graph.finding(
                None,
                f"input {value.name!r} has no optimisation profile for its size {varying[0]!r}",
                "give that size a range in dcet.export.finalize_files, or fix it",
            )
        if value.type.tensor_type.elem_type != TensorProto.UINT8:
            continue
        for node in graph.model.graph.node:
            if value.name in node.input and node.op_type != "Cast":
                yield graph.finding(
                    node,
                    f"reads the uint8 input {value.name!r}, of which TensorRT takes a Cast alone",
                    "cast the input to float32 first",
                )


def _weights(graph: _Graph) -> Iterator[Finding]:
    for name, tensor in graph.constants.items():
        if tensor.data_location == TensorProto.EXTERNAL:
            yield graph.finding(
                None,
                f"the weights {name!r} lie in another file",
                "export with the weights inside (external_data=False)",
            )
    if not any(tensor.data_type == TensorProto.FLOAT16 for tensor in graph.constants.values()):
        return
    found = inspect_precision(graph.model)
    if (found.precision, found.arithmetic) == ("fp16", "fp32"):
        yield graph.finding(
            None,
            "weights are stored as float16 and multiplied as float32, and so TensorRT multiplies "
            "them: it is strongly typed",
            'export with arithmetic = "fp16", a key of the target',
            is_error=False,
        )


def _operator(
    graph: _Graph, node: NodeProto, rows: Mapping[str, list[Operator]]
) -> Iterator[Finding]:
    if node.domain not in ("", "ai.onnx"):
        yield graph.finding(node, f"is of the domain {node.domain!r}, no plain ONNX", OPERATOR_CURE)
        return
    if node.op_type in CONTROL_FLOW:
        yield graph.finding(
            node,
            "branches and loops are left out of graphs for TensorRT",
            "unroll it, or use Where",
        )
        return
    if node.op_type not in rows:
        yield graph.finding(
            node, "the table of TensorRT's operators does not know it", OPERATOR_CURE
        )
    if node.op_type in UNKNOWN_SIZES:
        yield graph.finding(
            node,
            "the size of its output is unknown until it has run",
            "keep the shape, and mask what is not wanted",
            is_error=False,
        )
    for row in rows.get(node.op_type, ()):
        versions = _spoken(row.versions)
        if not row.supported:
            yield graph.finding(node, f"TensorRT {versions} does not have it", OPERATOR_CURE)
            continue
        for name in _data(node):
            found = graph.type(name)
            if found != TensorProto.UNDEFINED and _type_name(found) not in row.types:
                yield graph.finding(
                    node,
                    f"expected {', '.join(row.types)} for TensorRT {versions}, got "
                    f"{_type_name(found)} in {name!r}",
                    "cast it before",
                )
        for subject, rule in row.limits:
            yield from _limit(graph, node, subject, rule, versions)


def _data(node: NodeProto) -> list[str]:
    """Return the tensors whose types the table lists: the data, not shapes, axes or indices."""
    if node.op_type == "Cast":
        return [node.input[0], node.output[0]]
    if node.op_type in ("Constant", "ConstantOfShape") or not node.input:
        return [node.output[0]]
    return [node.input[1 if node.op_type == "Where" else 0]]


def _limit(
    graph: _Graph, node: NodeProto, subject: str, rule: str, versions: str
) -> Iterator[Finding]:
    if subject == "note":
        yield graph.finding(node, f"TensorRT {versions}: {rule}", "make sure of it", is_error=False)
        return
    schema = onnx.defs.get_schema(node.op_type, graph.opset)
    holds = True
    if subject in schema.attributes:
        holds = _attribute_holds(node, subject, rule)
    for ports, names in ((schema.inputs, node.input), (schema.outputs, node.output)):
        place = next((i for i, port in enumerate(ports) if port.name == subject), len(names))
        if place < len(names) and names[place]:
            holds = holds and _tensor_holds(graph, names[place], rule)
    if not holds:
        yield graph.finding(
            node, f"expected {subject} to be {rule} for TensorRT {versions}", "export it so"
        )


def _attribute_holds(node: NodeProto, name: str, rule: str) -> bool:
    found: Any = next(
        (helper.get_attribute_value(each) for each in node.attribute if each.name == name), None
    )
    if found is None:
        return True  # every default is allowed
    if rule == "ones":
        return all(value == 1 for value in found)
    if rule.endswith(" long"):
        return str(len(found)) in rule.split()
    if rule.startswith("one of "):
        text = found.decode() if isinstance(found, bytes) else str(found)
        return text in rule.removeprefix("one of ").split("|")
    return rule != "absent"


def _tensor_holds(graph: _Graph, name: str, rule: str) -> bool:
    """Tell whether a rule holds for an input or output that is present."""
    constant = graph.constants.get(name)
    if rule == "constant":
        return constant is not None
    if rule == "zeros":
        return constant is not None and not np.any(numpy_helper.to_array(constant))
    if rule.startswith("rank "):
        return graph.rank(name) in (None, int(rule.removeprefix("rank ")))
    return rule != "absent"


def _quantiser(graph: _Graph, node: NodeProto) -> Iterator[Finding]:
    if graph.opset < 13:
        yield graph.finding(
            node,
            f"expected opset 13 or more, whose scales may differ by channel, got {graph.opset}",
            "change opset in the target's file",
        )
    # Without a zero point, ONNX says that the numbers are uint8.
    kind = graph.type(node.input[2]) if len(node.input) > 2 else TensorProto.UINT8
    if node.op_type == "DequantizeLinear":
        kind = graph.type(node.input[0])
    elif kind == TensorProto.UINT8:
        yield graph.finding(
            node,
            "quantises to uint8, and TensorRT knows int8 alone",
            "quantise symmetrically, to int8 with a zero point of 0",
        )
    halves = {graph.type(name) for name in (node.input[1], *_data(node))} & {TensorProto.FLOAT16}
    if halves and graph.opset < 19:
        yield graph.finding(
            node,
            f"quantises float16 in opset {graph.opset}, which has that from 19 on",
            "leave float32 around Q/DQ nodes, or raise opset in the target's file",
        )


def _whole_numbers(graph: _Graph, node: NodeProto) -> Iterator[Finding]:
    """Find int64 that is computed from data; ONNX needs it for indices and shapes alone."""
    for name in node.output:
        if name in graph.from_data and graph.type(name) == TensorProto.INT64:
            yield graph.finding(
                node,
                f"computes int64 from data in {name!r}, which TensorRT neither fuses nor tunes",
                "compute in int32 or float32",
                is_error=graph.id == "step",
            )


def _type_name(element_type: int) -> str:
    return TYPES.get(element_type) or str(onnx.TensorProto.DataType.Name(element_type))


def _spoken(versions: str) -> str:
    since, _, until = versions.partition("-")
    if until == "":
        return f"{since} and later"
    return f"{since}.x" if since == until else f"{since} to {until}"
