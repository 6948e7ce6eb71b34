"""Choose the style of every edge: plain flow, a skip connection, or the weight of a gate."""

from lightning_resnets.graph.data import Edge, GraphData, SkipConnection
from lightning_resnets.merges import MergeKind

EdgeStyle = tuple[str, bool]  # kind of the merge, dashed

FLOW: EdgeStyle = ("flow", False)


def choose_edge_styles(graph: GraphData) -> dict[Edge, EdgeStyle]:
    """Choose the style of every edge that is not plain flow.

    Args:
        graph: the graph.

    Returns:
        The styles by edge. The edges between the fork and a skip look as the skip does.
    """
    skips = {(skip.merge, skip.operand): skip for skip in graph.skips}
    inputs = graph.all_inputs()
    styles: dict[Edge, EdgeStyle] = {}
    for edge in graph.edges:
        source, target, operand = edge
        skip = skips.get((target, operand))
        if skip is None:
            fork = _weight_fork(skips.get((target, 0)), operand)
            style: EdgeStyle = ("gate", False)
        else:
            fork = _skip_fork(skip)
            style = (str(skip.kind), skip.projection is not None)
        if fork is not None:
            styles |= dict.fromkeys([edge, *_path_edges(inputs, fork, source)], style)
    return styles


def _weight_fork(gate: SkipConnection | None, operand: int) -> str | None:
    """Return where the weight of a gate forks off; None for other edges."""
    if gate is None or gate.kind is not MergeKind.GATE or operand == 0:
        return None
    return gate.source


def _skip_fork(skip: SkipConnection) -> str | None:
    """Return where a skip forks off; None for the tensor that a gate weighs."""
    # The weighed tensor is the main path of an SE block, so it is drawn as plain flow.
    if skip.kind is MergeKind.GATE:
        return None
    return skip.source


def _path_edges(inputs: dict[str, tuple[str, ...]], fork: str, end: str) -> list[Edge]:
    """Return the edges of the only path from the fork to the end; none if it is not the only."""
    edges: list[Edge] = []
    node = end
    while node != fork and len(inputs[node]) == 1:
        source = inputs[node][0]
        edges.append((source, node, 0))
        node = source
    if node != fork:
        return []
    return edges
