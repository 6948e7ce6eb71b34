"""From a placement to its painters: what is drawn of one model, and where to find each part again."""

from dataclasses import dataclass, field

from gui import layout
from gui.graph import Graph
from gui.layout import GraphLayout
from gui.views.graph.dense_items import ConnectivityMatrixItem, RibbonItem, SelectedArcsItem
from gui.views.graph.edge_items import FlowEdgesItem, MergeInputItem
from gui.views.graph.node_items import NodeItem, StageBandsItem
from gui.views.graph.painting import GraphItem, MergeInput, PaintState, rounded_polyline, to_qrectf

MERGES = ("add", "concat", "gate")


@dataclass(slots=True)
class SceneItems:
    """The painters of a model by what they stand for."""

    nodes: dict[str, NodeItem] = field(default_factory=dict)
    merge_inputs: dict[MergeInput, MergeInputItem] = field(default_factory=dict)
    matrices: list[ConnectivityMatrixItem] = field(default_factory=list)
    selected_arcs: SelectedArcsItem | None = None
    backgrounds: list[GraphItem] = field(default_factory=list)

    @property
    def items(self) -> list[GraphItem]:
        fan = [self.selected_arcs] if self.selected_arcs else []
        return [
            *self.backgrounds,
            *self.matrices,
            *self.merge_inputs.values(),
            *self.nodes.values(),
            *fan,
        ]


def build_items(diagram: Graph, placement: GraphLayout, look: PaintState) -> SceneItems:
    """Painters for everything of a placement; they look at `look` whenever they paint."""
    bounds = to_qrectf(placement.bounds)
    merges = {node.name for node in diagram.nodes if node.kind in MERGES}
    into = [wire for wire in placement.wires if wire.target in merges]
    loose = tuple(wire for wire in placement.wires if wire.target not in merges)
    weights = {wire.target: (wire.target, wire.operand) for wire in into if wire.role == "weight"}
    pairs = zip(placement.boxes, diagram.nodes, strict=True)
    return SceneItems(
        nodes={
            place.name: NodeItem(look, place, node, weights.get(place.name))
            for place, node in pairs
        },
        merge_inputs={
            way.key: way
            for way in [
                *(_skip(look, arc) for arc in placement.arcs),
                *(_wire(look, w) for w in into),
            ]
        },
        matrices=[
            ConnectivityMatrixItem(look, matrix, _ups(placement, matrix))
            for matrix in placement.matrices
        ],
        selected_arcs=SelectedArcsItem(look, bounds) if placement.matrices else None,
        backgrounds=[
            StageBandsItem(look, placement.bands, bounds),
            FlowEdgesItem(look, loose, bounds),
            *_ribbons(look, placement),
        ],
    )


def _skip(look: PaintState, arc: layout.Arc) -> MergeInputItem:
    path, mark = rounded_polyline(arc.points, arc.radius), 0.88 if arc.projected else 0.5
    return MergeInputItem(
        look,
        (arc.merge, arc.operand),
        arc.kind,
        path,
        skip=True,
        words=arc.projected or "",
        mark=mark,
    )


def _wire(look: PaintState, wire: layout.Wire) -> MergeInputItem:
    kind = "gate" if wire.role == "weight" else "outline"
    return MergeInputItem(
        look,
        (wire.target, wire.operand),
        kind,
        rounded_polyline(wire.points, wire.radius),
        skip=False,
    )


def _ribbons(look: PaintState, placement: GraphLayout) -> list[RibbonItem]:
    ends = dict.fromkeys(strip.end for strip in placement.strips)
    return [
        RibbonItem(look, tuple(strip for strip in placement.strips if strip.end == end))
        for end in ends
    ]


def _ups(placement: GraphLayout, matrix: layout.ConnectivityMatrix) -> tuple[layout.Point, ...]:
    """Where each row of a matrix leads: under the layer that reads it, under its bar for the last."""
    found = []
    for merge, reader in zip(matrix.rows, matrix.consumers, strict=True):
        place = placement.box(reader if reader in matrix.columns else merge)
        assert place
        found.append((place.rect.center[0], place.rect.bottom))
    return tuple(found)
