"""Graphs and edits of the app from and to those of the library."""

from gui.graph import Edge, Edit, Graph, MergeKind, Node, NodeKind, SkipConnection, short_name
from lightning_resnets.graph.data import Node as ModelNode
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.interventions import (
    Intervention,
    RemoveBlock,
    ScaleInput,
    SetInput,
    ZeroChannels,
)

# The same words on both sides; the tables narrow them to the app's types.
MERGE_KINDS: dict[str, MergeKind] = {"add": "add", "concat": "concat", "gate": "gate"}
NODE_KINDS: dict[str, NodeKind] = {"input": "input", "output": "output", "linear": "head"}


def to_gui_graph(graph: ModelGraph) -> Graph:
    """Convert a folded graph.

    Args:
        graph: the folded graph of a model.

    Returns:
        The same graph as plain data.
    """
    skips = [
        SkipConnection(
            MERGE_KINDS[skip.kind], skip.source, skip.merge, skip.operand, skip.projection
        )
        for skip in graph.skips
    ]
    return Graph(
        nodes=tuple(_to_gui_node(node) for node in graph.nodes),
        edges=tuple(Edge(*edge) for edge in graph.edges),
        skips=tuple(skips),
    )


def _to_gui_node(node: ModelNode) -> Node:
    return Node(
        node.name,
        short_name(node.name),
        node_kind(node),
        node.op,
        node.shape,
        node.parameters,
        node.macs,
        node.hook_point,
    )


def node_kind(node: ModelNode) -> NodeKind:
    """Choose the kind that decides how a node is drawn.

    Args:
        node: the node.

    Returns:
        Its kind of merge, or that of its operation.
    """
    if node.kind:
        return MERGE_KINDS[node.kind]
    # Everything else is a block, whatever it computes.
    return NODE_KINDS.get(node.op, "block")


def hook_point_of(diagram: Graph, name: str) -> str:
    """Return the module whose output a node stands for.

    Args:
        diagram: the folded graph.
        name: name of the node.

    Returns:
        The module's name; the node's own name if it is unknown.
    """
    node = diagram.node(name)
    if node:
        return node.hook_point
    return name


def to_intervention(edit: Edit, diagram: Graph) -> Intervention:
    """Convert an edit.

    Args:
        edit: the edit.
        diagram: the folded graph that it belongs to.

    Returns:
        The intervention that performs it.
    """
    match edit.kind:
        case "drop":
            return RemoveBlock(edit.target)
        case "zero":
            return ZeroChannels(hook_point_of(diagram, edit.target), edit.channels)
        case "hold":
            return SetInput(edit.target, edit.operand, edit.value)
        case "scale":
            return ScaleInput(edit.target, edit.operand, edit.value)
