"""The type and shape of every tensor of a graph, given the sizes that may vary."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, TypeProto, defs, helper
from onnx import numpy_helper as arrays
from onnx.reference import ReferenceEvaluator
from onnx.shape_inference import infer_node_outputs

from dcet.runtime.errors import DcetError

FOLDED_ELEMENTS = 64  # what shapes are made of; larger constants matter for their shape alone


class CostError(DcetError, ValueError):
    """The cost of a graph cannot be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    element_type: int  # of onnx.TensorProto
    shape: tuple[int, ...]
    is_constant: bool  # the same in every run: an engine computes it when it loads the graph

    @property
    def size(self) -> int:
        return prod(self.shape)


def find_tensors(model: ModelProto, sizes: Mapping[str, int]) -> dict[str, Tensor]:
    """Find every tensor of a graph; `sizes` gives its dimensions that may vary, by name.

    ONNX's own inference stops where a shape is computed from a shape. Here such constants are
    computed on the way. Raises CostError for a dimension without a size, control flow, an operator
    that is none of ONNX's, or a shape that depends on data.
    """
    walk = _Walk(model, sizes)
    for node in model.graph.node:
        walk.visit(node)
    return walk.tensors


class _Walk:
    """A walk through a graph in its order, which ONNX says is topological."""

    def __init__(self, model: ModelProto, sizes: Mapping[str, int]) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._model = model
        self._opset = next(row.version for row in model.opset_import if row.domain == "")
        self._types: dict[str, TypeProto] = {}
        self._values: dict[str, TensorProto] = {}
        for value in model.graph.input:
            self._add(value.name, _fixed(value.name, value.type, sizes), is_constant=False)
        for tensor in model.graph.initializer:
            kind = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            self._add(tensor.name, kind, is_constant=True)
            if self.tensors[tensor.name].size <= FOLDED_ELEMENTS:
                self._values[tensor.name] = tensor

    def visit(self, node: NodeProto) -> None:
        if any(each.type == AttributeProto.GRAPH for each in node.attribute):
            raise CostError(
                f"{node.op_type} {node.name!r}: expected a graph without branches and loops, whose "
                "cost depends on data; export it without"
            )
        inputs = [name for name in node.input if name]
        try:
            schema = defs.get_schema(node.op_type, self._opset, node.domain)
            types = infer_node_outputs(
                schema,
                node,
                {name: self._types[name] for name in inputs},
                {name: self._values[name] for name in inputs if name in self._values},
                opset_imports=list(self._model.opset_import),
                ir_version=self._model.ir_version,
            )
        except (defs.SchemaError, RuntimeError) as error:
            raise CostError(
                f"{node.op_type} {node.name!r}: expected an operator of ONNX with inputs that fit: "
                f"{error}"
            ) from error
        is_constant = node.op_type == "Shape" or all(
            self.tensors[name].is_constant for name in inputs
        )
        for name in filter(None, node.output):
            if name not in types or not _is_known(types[name]):
                raise CostError(
                    f"{node.op_type} {node.name!r}: the shape of its output {name!r} depends on "
                    "data; export a graph of fixed shapes"
                )
            self._add(name, types[name], is_constant=is_constant)
        if is_constant:
            self._fold(node, inputs)

    def _fold(self, node: NodeProto, inputs: list[str]) -> None:
        outputs = [name for name in node.output if name]
        if any(self.tensors[name].size > FOLDED_ELEMENTS for name in outputs):
            return
        if node.op_type == "Shape":
            shape = np.array(self.tensors[node.input[0]].shape, np.int64)
            axes = {each.name: each.i for each in node.attribute}
            values: Any = [shape[axes.get("start", 0) : axes.get("end", len(shape))]]
        elif all(name in self._values for name in inputs):
            feed = {name: arrays.to_array(self._values[name]) for name in inputs}
            opsets = {row.domain: row.version for row in self._model.opset_import}
            values = ReferenceEvaluator(node, opsets=opsets).run(None, feed)
        else:
            return
        for name, value in zip(node.output, values, strict=True):
            if name:
                self._values[name] = arrays.from_array(np.asarray(value), name)

    def _add(self, name: str, kind: TypeProto, *, is_constant: bool) -> None:
        tensor = kind.tensor_type
        self._types[name] = kind
        self.tensors[name] = Tensor(
            element_type=tensor.elem_type,
            shape=tuple(dimension.dim_value for dimension in tensor.shape.dim),
            is_constant=is_constant,
        )


def _fixed(name: str, kind: TypeProto, sizes: Mapping[str, int]) -> TypeProto:
    """Return the type of an input with a size for every dimension."""
    fixed = TypeProto()
    fixed.CopyFrom(kind)
    for dimension in fixed.tensor_type.shape.dim:
        if dimension.HasField("dim_value"):
            continue
        if dimension.dim_param not in sizes:
            raise CostError(
                f"input {name!r}: expected a size for its dimension {dimension.dim_param!r}, got "
                f"sizes for {', '.join(sizes) or 'none'}; add it"
            )
        dimension.dim_value = sizes[dimension.dim_param]
    return fixed


def _is_known(kind: TypeProto) -> bool:
    tensor = kind.tensor_type
    return tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim)
