"""The cost of one run of a graph: arithmetic, and bytes moved, operator by operator.

Counted on the graph itself, with these conventions:

- A multiplication and the addition that follows it are 2 FLOPs; a bias is where the sum begins and
  costs nothing. Other arithmetic costs 1 FLOP an element, more where it is several operations.
- What is the same in every run is computed when an engine loads the graph, and costs nothing.
- A tensor is moved in the type it travels in. Behind QuantizeLinear and DequantizeLinear that is
  int8; a weight that is stored as float16 and cast to float32 is read as float32.
- An operator and the element-wise ones that follow it are one kernel: what passes between them
  stays in registers. Every other tensor is written once, and read once by each kernel.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from onnx import ModelProto, NodeProto, TensorProto, helper

from dcet.quantization.inspect import Precision
from dcet.quantization.tensors import CostError, Tensor, find_tensors

# Move nothing. What DequantizeLinear says is done by the int8 operator that reads its input.
_RENAMES = {"DequantizeLinear", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
_KEEPS_TYPE = _RENAMES | {"Transpose"}
# Reads no more of its first input than it gives.
_PARTIAL = {"Gather", "GatherElements", "GatherND", "Slice"}
_ELEMENTWISE = set(
    "Abs Add And BitShift Cast Ceil Celu Clip Cos Div Elu Equal Erf Exp Expand Floor Gelu Greater "
    "GreaterOrEqual HardSigmoid HardSwish IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Min Mish "
    "Mod Mul Neg Not Or PRelu Pow QuantizeLinear Reciprocal Relu Round Selu Sigmoid Sign Sin "
    "Softplus Softsign Sqrt Sub Sum Tan Tanh ThresholdedRelu Where Xor".split()
)
_FREE = set(
    "Cast Concat Constant ConstantOfShape DepthToSpace Expand Gather GatherElements GatherND Pad "
    "Range ScatterElements ScatterND Shape Slice SpaceToDepth Split Tile Transpose".split()
)
_FLOPS_PER_OUTPUT = {
    "BatchNormalization": 2,
    "GroupNormalization": 8,
    "InstanceNormalization": 8,
    "LayerNormalization": 8,
    "LogSoftmax": 5,
    "QuantizeLinear": 2,
    "Softmax": 5,
}
_FLOPS_PER_INPUT = {"AveragePool", "CumSum", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"}
_NOT_COUNTED = {"Attention", "DFT", "DeformConv", "Einsum", "GRU", "LSTM", "RNN", "STFT"}
_INTEGER = {"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"}
# Where the multiplications are: of an operator with these inputs and this output.
_MULTIPLY_ADDS: Mapping[str, Callable[[NodeProto, Sequence[Tensor], Tensor], int]] = {
    "Conv": lambda node, inputs, output: output.size * prod(inputs[1].shape[1:]),
    "ConvInteger": lambda node, inputs, output: output.size * prod(inputs[1].shape[1:]),
    "ConvTranspose": lambda node, inputs, output: inputs[0].size * prod(inputs[1].shape[1:]),
    "Gemm": lambda node, inputs, output: (
        output.size * inputs[0].shape[0 if _attribute(node, "transA") else 1]
    ),
    "MatMul": lambda node, inputs, output: output.size * inputs[0].shape[-1],
    "MatMulInteger": lambda node, inputs, output: output.size * inputs[0].shape[-1],
    "QLinearConv": lambda node, inputs, output: output.size * prod(inputs[3].shape[1:]),
    "QLinearMatMul": lambda node, inputs, output: output.size * inputs[0].shape[-1],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCost:
    """One operator by itself."""

    name: str
    op_type: str
    arithmetic: Precision  # in which it computes
    flops: int
    read_bytes: int  # weights and activations
    written_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """Operators that an engine computes in one pass over memory."""

    nodes: tuple[NodeCost, ...]
    weight_bytes: int  # read
    read_bytes: int  # activations
    written_bytes: int

    @property
    def name(self) -> str:
        return self.nodes[0].name

    @property
    def activation_bytes(self) -> int:
        return self.read_bytes + self.written_bytes

    @property
    def flops(self) -> Mapping[str, int]:
        """The FLOPs by the type of the arithmetic."""
        flops: Counter[str] = Counter()
        for node in self.nodes:
            flops[node.arithmetic] += node.flops
        return flops


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphCost:
    """One run of a graph at given sizes."""

    kernels: tuple[Kernel, ...]

    @property
    def nodes(self) -> tuple[NodeCost, ...]:
        return tuple(node for kernel in self.kernels for node in kernel.nodes)

    @property
    def flops(self) -> Mapping[str, int]:
        """The FLOPs by the type of the arithmetic."""
        flops: Counter[str] = Counter()
        for kernel in self.kernels:
            flops.update(kernel.flops)
        return flops

    @property
    def weight_bytes(self) -> int:
        return sum(kernel.weight_bytes for kernel in self.kernels)

    @property
    def activation_bytes(self) -> int:
        return sum(kernel.activation_bytes for kernel in self.kernels)

    @property
    def largest_activation_bytes(self) -> int:
        """The bytes of the kernel that moves the most."""
        return max((kernel.activation_bytes for kernel in self.kernels), default=0)


def graph_cost(model: ModelProto, sizes: Mapping[str, int]) -> GraphCost:
    """Count one run of a graph; `sizes` gives its dimensions that may vary, by name.

    Raises CostError for a graph that cannot be counted: see `find_tensors`, and operators whose
    arithmetic is not known here.
    """
    return _Count(model, find_tensors(model, sizes)).cost()


class _Count:
    def __init__(self, model: ModelProto, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self._graph = model.graph
        self._makers = {name: node for node in model.graph.node for name in node.output}

    def cost(self) -> GraphCost:
        """Group the nodes, then see what passes between the groups.

        A node joins the youngest group that feeds it, so a group is fed by older ones only, and
        their order is one in which they can run.
        """
        groups: list[list[NodeProto]] = []
        group_of: dict[str, int] = {}  # by the tensors a group makes
        readers: defaultdict[str, set[int]] = defaultdict(set)
        for node in self._graph.node:
            if self._is_free(node):
                continue
            carriers = {self._carrier(name) for name in node.input if self._is_activation(name)}
            feeding = [group_of[name] for name in carriers if name in group_of]
            if node.op_type in _ELEMENTWISE and feeding:
                group = max(feeding)
            else:
                group = len(groups)
                groups.append([])
            groups[group].append(node)
            group_of |= dict.fromkeys(node.output, group)
            for name in carriers:
                readers[name].add(group)
        for value in self._graph.output:
            readers[self._carrier(value.name)].add(-1)  # the host
        return GraphCost(
            kernels=tuple(
                self._kernel(nodes, {name for name in readers if readers[name] - {group}})
                for group, nodes in enumerate(groups)
            )
        )

    def _kernel(self, nodes: Iterable[NodeProto], read_elsewhere: set[str]) -> Kernel:
        made = {name for node in nodes for name in node.output}
        weights: dict[str, int] = {}
        read: dict[str, int] = {}
        for node in nodes:
            for name, size_bytes in self._reads(node).items():
                kind = read if self._is_activation(name) else weights
                if name not in made:
                    kind[name] = max(size_bytes, kind.get(name, 0))
        return Kernel(
            nodes=tuple(self._node(node) for node in nodes),
            weight_bytes=sum(weights.values()),
            read_bytes=sum(read.values()),
            written_bytes=sum(self._bytes(name) for name in made & read_elsewhere),
        )

    def _node(self, node: NodeProto) -> NodeCost:
        return NodeCost(
            name=node.name or node.output[0],
            op_type=node.op_type,
            arithmetic=self._arithmetic(node),
            flops=self._flops(node),
            read_bytes=sum(self._reads(node).values()),
            written_bytes=sum(self._bytes(name) for name in node.output if name),
        )

    def _reads(self, node: NodeProto) -> dict[str, int]:
        """Return the bytes that a node reads of each tensor in memory."""
        read = {}
        for position, name in enumerate(node.input):
            if not name:
                continue
            size_bytes = self._bytes(name)
            if position == 0 and node.op_type in _PARTIAL:
                share = self._tensors[node.output[0]].size / max(1, self._tensors[name].size)
                size_bytes = round(min(1, share) * size_bytes)
            read[self._carrier(name)] = size_bytes
        return read

    def _is_free(self, node: NodeProto) -> bool:
        """Tell whether a node needs no kernel: a view, a constant, or part of an int8 operator."""
        return node.op_type in _RENAMES or self._tensors[node.output[0]].is_constant

    def _is_activation(self, name: str) -> bool:
        return name != "" and not self._tensors[name].is_constant

    def _carrier(self, name: str) -> str:
        """Name the tensor that lies in memory where a node reads this one."""
        maker = self._makers.get(name)
        if maker is None or maker.op_type not in _RENAMES:
            return name
        return self._carrier(maker.input[0])

    def _bytes(self, name: str) -> int:
        return self._tensors[name].size * _size_of(self._stored_type(name))

    def _stored_type(self, name: str) -> int:
        """Return the element type of a tensor where it lies in memory."""
        maker = self._makers.get(name)
        if maker is None or maker.op_type not in _KEEPS_TYPE:
            return self._tensors[name].element_type
        return self._stored_type(maker.input[0])

    def _is_dequantised(self, name: str) -> bool:
        maker = self._makers.get(name)
        if maker is None or maker.op_type not in _KEEPS_TYPE:
            return False
        return maker.op_type == "DequantizeLinear" or self._is_dequantised(maker.input[0])

    def _arithmetic(self, node: NodeProto) -> Precision:
        if node.op_type in _INTEGER:
            return "int8"
        if node.op_type in _MULTIPLY_ADDS and all(map(self._is_dequantised, node.input[:2])):
            return "int8"
        types = {self._tensors[name].element_type for name in node.output if name}
        return "fp16" if types & {TensorProto.FLOAT16, TensorProto.BFLOAT16} else "fp32"

    def _flops(self, node: NodeProto) -> int:
        kind = node.op_type
        if kind in _NOT_COUNTED:
            raise CostError(
                f"{kind} {node.name!r}: the arithmetic of this operator is not known to "
                "dcet.quantization.cost; export a graph without it"
            )
        if kind in _MULTIPLY_ADDS:
            inputs = [self._tensors[name] for name in node.input if name]
            return 2 * _MULTIPLY_ADDS[kind](node, inputs, self._tensors[node.output[0]])
        output, first = (self._tensors[names[0]].size for names in (node.output, node.input))
        if kind in _FREE:
            return 0
        if kind.startswith(("Arg", "Reduce")):
            return first
        if kind in _FLOPS_PER_INPUT:
            window = _attribute(node, "kernel_shape")
            return output * prod(window) if window else first
        return output * _FLOPS_PER_OUTPUT.get(kind, 1)


def _size_of(element_type: int) -> int:
    return helper.tensor_dtype_to_np_dtype(element_type).itemsize


def _attribute(node: NodeProto, name: str) -> Any:
    """Return the value of an attribute, None where the node has none of this name."""
    found = next((each for each in node.attribute if each.name == name), None)
    return None if found is None else helper.get_attribute_value(found)
