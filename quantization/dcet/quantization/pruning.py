"""Removal of what no output of a graph depends on."""

from onnx import GraphProto, NodeProto


def prune(graph: GraphProto) -> None:
    """Remove nodes and constants that no output depends on."""
    needed = {value.name for value in graph.output}
    left: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            left.append(node)
    left.reverse()
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:]
    del graph.initializer[:]
    graph.node.extend(left)
    graph.initializer.extend(constants)
