"""Inputs of merges: list them, find where one starts, and find the one that a node belongs to."""

from gui.graph import Graph, Node
from gui.layout.geometry import MERGE_KINDS, GraphLayout, input_edges

MergeInput = tuple[str, int]  # (merge, operand)


def merge_inputs(diagram: Graph, name: str | None) -> list[MergeInput]:
    """List the inputs of a merge.

    Args:
        diagram: The folded graph.
        name: The name of a node.

    Returns:
        The inputs by operand, none for a node that is not a merge.
    """
    node = diagram.node(name)
    if node is None or node.kind not in MERGE_KINDS:
        return []
    return [(node.name, edge.operand) for edge in input_edges(diagram)[node.name]]


def input_endpoints(diagram: Graph, way: MergeInput) -> frozenset[str]:
    """Return the merge of an input and the node where the input starts.

    Args:
        diagram: The folded graph.
        way: The input.

    Returns:
        Their names; only the merge if it does not have such an operand.
    """
    merge, operand = way
    skip = diagram.skip(merge, operand)
    if skip:
        return frozenset({merge, skip.source})
    links = input_edges(diagram).get(merge, ())
    return frozenset({merge, *(edge.source for edge in links if edge.operand == operand)})


def input_for_node(diagram: Graph, placement: GraphLayout, name: str | None) -> MergeInput | None:
    """Choose the input of a merge that the menu of a node acts on.

    Args:
        diagram: The folded graph.
        placement: Its layout.
        name: The name of the node.

    Returns:
        Of an addition or concatenation its skip, of a gate its weight, of a projection or squeeze
        path the input that it is part of, of a block its branch; None for any other node.
    """
    node = diagram.node(name)
    box = placement.box(name)
    if node is None or box is None:
        return None
    if inputs := merge_inputs(diagram, name):
        return _preferred_input(diagram, node, inputs)
    edges = [edge for edge in diagram.edges if edge.source == name]
    outgoing = [(edge.target, edge.operand) for edge in edges if merge_inputs(diagram, edge.target)]
    is_beside_spine = box.shape in ("pill", "side")
    # A node may feed several merges; its branch or the path beside the spine is meant.
    return next((way for way in outgoing if is_beside_spine or _is_branch(diagram, way)), None)


def _preferred_input(diagram: Graph, node: Node, inputs: list[MergeInput]) -> MergeInput:
    """Choose the weight of a gate, or the skip of another merge."""
    skips = [way for way in inputs if diagram.skip(*way)]
    others = [way for way in inputs if way not in skips]
    # The skip of a gate is the gated value, which a menu on the block itself acts on.
    candidates = others or skips if node.kind == "gate" else skips or others
    return candidates[0]


def _is_branch(diagram: Graph, way: MergeInput) -> bool:
    """Return True unless an input is a shortcut around another block or a concatenation."""
    skip = diagram.skip(*way)
    node = diagram.node(way[0])
    return node is not None and node.kind != "concat" and (skip is None or skip.kind == "gate")
