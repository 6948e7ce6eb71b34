"""From a placement to its painters: what is drawn of one net, and where to find each part again."""

from dataclasses import dataclass, field

from gui import layout
from gui.layout import Placement
from gui.state import Diagram
from gui.views.graph_dense import FanItem, MatrixItem, RibbonItem
from gui.views.graph_ink import Key, Look, Piece, rect_of, rounded
from gui.views.graph_items import BandsItem, NodeItem
from gui.views.graph_lines import FlowItem, WayItem

MERGES = ("add", "concat", "gate")


@dataclass(slots=True)
class Drawn:
    """The painters of a net by what they stand for."""

    nodes: dict[str, NodeItem] = field(default_factory=dict)
    ways: dict[Key, WayItem] = field(default_factory=dict)
    matrices: list[MatrixItem] = field(default_factory=list)
    fan: FanItem | None = None
    grounds: list[Piece] = field(default_factory=list)

    @property
    def items(self) -> list[Piece]:
        fan = [self.fan] if self.fan else []
        return [*self.grounds, *self.matrices, *self.ways.values(), *self.nodes.values(), *fan]


def draw(diagram: Diagram, placement: Placement, look: Look) -> Drawn:
    """Painters for everything of a placement; they look at `look` whenever they paint."""
    bounds = rect_of(placement.bounds)
    merges = {node.name for node in diagram.nodes if node.kind in MERGES}
    into = [wire for wire in placement.wires if wire.target in merges]
    loose = tuple(wire for wire in placement.wires if wire.target not in merges)
    weights = {wire.target: (wire.target, wire.operand) for wire in into if wire.role == "weight"}
    pairs = zip(placement.places, diagram.nodes, strict=True)
    return Drawn(
        nodes={place.name: NodeItem(look, place, node, weights.get(place.name)) for place, node in pairs},
        ways={way.key: way for way in [*(_skip(look, arc) for arc in placement.arcs), *(_wire(look, w) for w in into)]},
        matrices=[MatrixItem(look, matrix, _ups(placement, matrix)) for matrix in placement.matrices],
        fan=FanItem(look, bounds) if placement.matrices else None,
        grounds=[BandsItem(look, placement.bands, bounds), FlowItem(look, loose, bounds), *_ribbons(look, placement)],
    )


def _skip(look: Look, arc: layout.Arc) -> WayItem:
    path, mark = rounded(arc.points, arc.radius), 0.88 if arc.projected else 0.5
    return WayItem(look, (arc.merge, arc.operand), arc.kind, path, skip=True, words=arc.projected or "", mark=mark)


def _wire(look: Look, wire: layout.Wire) -> WayItem:
    kind = "gate" if wire.role == "weight" else "edge"
    return WayItem(look, (wire.target, wire.operand), kind, rounded(wire.points, wire.radius), skip=False)


def _ribbons(look: Look, placement: Placement) -> list[RibbonItem]:
    ends = dict.fromkeys(strip.end for strip in placement.strips)
    return [RibbonItem(look, tuple(strip for strip in placement.strips if strip.end == end)) for end in ends]


def _ups(placement: Placement, matrix: layout.Matrix) -> tuple[layout.Point, ...]:
    """Where each row of a matrix leads: under the layer that reads it, under its bar for the last."""
    found = []
    for merge, reader in zip(matrix.rows, matrix.readers, strict=True):
        place = placement.place(reader if reader in matrix.columns else merge)
        assert place
        found.append((place.rect.middle[0], place.rect.bottom))
    return tuple(found)
