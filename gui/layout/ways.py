"""Ways into merges: which ones a merge has, where one starts, and which one a node means."""

from gui.layout.plan import MERGES, Placement, incoming
from gui.state import Diagram

Way = tuple[str, int]  # (merge, operand)


def operands(diagram: Diagram, name: str | None) -> list[Way]:
    """All ways into a merge, by operand; none for any other node."""
    node = diagram.node(name)
    if node is None or node.kind not in MERGES:
        return []
    return [(node.name, link.operand) for link in incoming(diagram)[node.name]]


def ends(diagram: Diagram, way: Way) -> frozenset[str]:
    """The merge and where the way into it starts."""
    skip = diagram.skip(*way)
    links = incoming(diagram).get(way[0], ())
    source = skip.source if skip else next((link.source for link in links if link.operand == way[1]), None)
    return frozenset({way[0], source}) if source else frozenset({way[0]})


def meant(diagram: Diagram, placement: Placement, name: str | None) -> Way | None:
    """The way into a merge that a menu on a node means.

    A merge: its skip, or the weight of a gate; a projection or squeeze path: its own way; a block: its branch.
    """
    node, place, ways = diagram.node(name), placement.place(name), operands(diagram, name)
    if node is None or place is None:
        return None
    if ways:
        skips = [way for way in ways if diagram.skip(*way)]
        others = [way for way in ways if way not in skips]
        return ((others or skips) if node.kind == "gate" else (skips or others))[0]
    into = [(x.target, x.operand) for x in diagram.links if x.source == name and operands(diagram, x.target)]
    aside = place.shape in ("pill", "side")
    return next((way for way in into if aside or _leads_on(diagram, way)), None)


def _leads_on(diagram: Diagram, way: Way) -> bool:
    """True where a way is what a block's output does next, and no shortcut around another block."""
    skip, node = diagram.skip(*way), diagram.node(way[0])
    return node is not None and node.kind != "concat" and (skip is None or skip.kind == "gate")
