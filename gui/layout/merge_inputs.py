"""Ways into merges: which ones a merge has, where one starts, and which one a node means."""

from gui.graph import Graph
from gui.layout.geometry import MERGE_KINDS, GraphLayout, input_edges

MergeInput = tuple[str, int]  # (merge, operand)


def merge_inputs(diagram: Graph, name: str | None) -> list[MergeInput]:
    """All ways into a merge, by operand; none for any other node."""
    node = diagram.node(name)
    if node is None or node.kind not in MERGE_KINDS:
        return []
    return [(node.name, link.operand) for link in input_edges(diagram)[node.name]]


def input_endpoints(diagram: Graph, way: MergeInput) -> frozenset[str]:
    """The merge and where the way into it starts."""
    skip = diagram.skip(*way)
    links = input_edges(diagram).get(way[0], ())
    source = (
        skip.source
        if skip
        else next((link.source for link in links if link.operand == way[1]), None)
    )
    return frozenset({way[0], source}) if source else frozenset({way[0]})


def input_for_node(diagram: Graph, placement: GraphLayout, name: str | None) -> MergeInput | None:
    """The way into a merge that a menu on a node means.

    A merge: its skip, or the weight of a gate; a projection or squeeze path: its own way; a block: its branch.
    """
    node, place, ways = diagram.node(name), placement.box(name), merge_inputs(diagram, name)
    if node is None or place is None:
        return None
    if ways:
        skips = [way for way in ways if diagram.skip(*way)]
        others = [way for way in ways if way not in skips]
        return ((others or skips) if node.kind == "gate" else (skips or others))[0]
    into = [
        (x.target, x.operand)
        for x in diagram.edges
        if x.source == name and merge_inputs(diagram, x.target)
    ]
    aside = place.shape in ("pill", "side")
    return next((way for way in into if aside or _leads_on(diagram, way)), None)


def _leads_on(diagram: Graph, way: MergeInput) -> bool:
    """True where a way is what a block's output does next, and no shortcut around another block."""
    skip, node = diagram.skip(*way), diagram.node(way[0])
    return node is not None and node.kind != "concat" and (skip is None or skip.kind == "gate")
