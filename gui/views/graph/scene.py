"""Builds the painters of a layout, and finds each of them again."""

import math
from dataclasses import dataclass, field

from PySide6.QtCore import QPointF, QRectF

from gui import layout
from gui.graph import Graph
from gui.layout import GraphLayout
from gui.layout.geometry import MERGE_KINDS
from gui.views.graph.dense_items import RibbonItem, SelectedArcsItem
from gui.views.graph.edge_items import FlowEdgesItem, MergeInputItem
from gui.views.graph.matrix_item import ConnectivityMatrixItem
from gui.views.graph.node_items import NodeItem
from gui.views.graph.painting import GraphItem, MergeInput, PaintState
from gui.views.graph.stage_bands import StageBandsItem
from gui.views.graph.strokes import rounded_polyline, to_qrectf

# A projection has its box in the middle of the arc, so its mark stands near the end.
PROJECTION_MARK = 0.88
MIDDLE_MARK = 0.5
NODE_SLACK = 3.0  # pixels around a node that still belong to it
HIT_RADIUS = 8.0  # pixels around a line that still belong to it


@dataclass(slots=True)
class SceneItems:
    """Painters of a model by what they stand for.

    Attributes:
        nodes: Painters of the nodes, by name.
        merge_inputs: Painters of the merge inputs.
        matrices: Painters of the dense blocks.
        selected_arcs: Painter of the arcs of the selected layer, None without dense blocks.
        backgrounds: Painters of everything that cannot be picked.
    """

    nodes: dict[str, NodeItem] = field(default_factory=dict)
    merge_inputs: dict[MergeInput, MergeInputItem] = field(default_factory=dict)
    matrices: list[ConnectivityMatrixItem] = field(default_factory=list)
    selected_arcs: SelectedArcsItem | None = None
    backgrounds: list[GraphItem] = field(default_factory=list)

    @property
    def items(self) -> list[GraphItem]:
        """Return all painters."""
        items: list[GraphItem] = [*self.backgrounds, *self.matrices]
        items += self.merge_inputs.values()
        items += self.nodes.values()
        if self.selected_arcs:
            items.append(self.selected_arcs)
        return items


def build_items(graph: Graph, placement: GraphLayout, state: PaintState) -> SceneItems:
    """Build the painters of a layout.

    Args:
        graph: The model.
        placement: Its layout.
        state: What the painters read whenever they paint.

    Returns:
        The painters.
    """
    bounds = to_qrectf(placement.bounds)
    # Only inputs of merges can be cut, so only they are painters of their own.
    merges = {node.name for node in graph.nodes if node.kind in MERGE_KINDS}
    inputs = [wire for wire in placement.wires if wire.target in merges]
    others = tuple(wire for wire in placement.wires if wire.target not in merges)
    return SceneItems(
        nodes=_node_items(graph, placement, inputs, state),
        merge_inputs=_merge_input_items(placement, inputs, state),
        matrices=[
            ConnectivityMatrixItem(state, matrix, _row_targets(placement, matrix))
            for matrix in placement.matrices
        ],
        selected_arcs=SelectedArcsItem(state, bounds) if placement.matrices else None,
        backgrounds=_backgrounds(placement, others, bounds, state),
    )


def find_item(items: SceneItems, at: QPointF, zoom: float) -> tuple[str | None, MergeInput | None]:
    """Find the node or the merge input under a point.

    Args:
        items: The painters.
        at: The point in scene units.
        zoom: Pixels per scene unit.

    Returns:
        Name of the node and None, or None and the merge input, or None twice.
    """
    slack = NODE_SLACK / zoom
    for name, item in items.nodes.items():
        if item.box.adjusted(-slack, -slack, slack, slack).contains(at):
            return name, None
    for matrix in items.matrices:
        cell = matrix.cell(at)
        if cell:
            return None, (cell.merge, cell.operand)
    return None, _nearest_merge_input(items, at, HIT_RADIUS / zoom)


def _nearest_merge_input(items: SceneItems, at: QPointF, reach: float) -> MergeInput | None:
    """Return the merge input whose line is nearest, None where none is within reach."""
    candidates = []
    for key, item in items.merge_inputs.items():
        # The rectangle is a quick test; the distance to the line takes longer.
        if item.rect.adjusted(-reach, -reach, reach, reach).contains(at):
            # Of two lines that are equally near, the skip connection is meant.
            candidates.append((item.distance(at), not item.skip, key))
    distance, _, key = min(candidates, default=(math.inf, False, None))
    return key if distance <= reach else None


def _node_items(
    graph: Graph, placement: GraphLayout, inputs: list[layout.Wire], state: PaintState
) -> dict[str, NodeItem]:
    weights = {wire.target: (wire.target, wire.operand) for wire in inputs if wire.role == "weight"}
    items = {}
    for box, node in zip(placement.boxes, graph.nodes, strict=True):
        items[box.name] = NodeItem(state, box, node, weights.get(box.name))
    return items


def _merge_input_items(
    placement: GraphLayout, inputs: list[layout.Wire], state: PaintState
) -> dict[MergeInput, MergeInputItem]:
    items = [_skip_item(state, arc) for arc in placement.arcs]
    items += [_wire_item(state, wire) for wire in inputs]
    return {item.key: item for item in items}


def _backgrounds(
    placement: GraphLayout, wires: tuple[layout.Wire, ...], bounds: QRectF, state: PaintState
) -> list[GraphItem]:
    """Build the painters of everything that cannot be picked."""
    return [
        StageBandsItem(state, placement.bands, bounds),
        FlowEdgesItem(state, wires, bounds),
        *_ribbon_items(placement, state),
    ]


def _skip_item(state: PaintState, arc: layout.Arc) -> MergeInputItem:
    path = rounded_polyline(arc.points, arc.radius)
    is_projection = bool(arc.projected)
    return MergeInputItem(
        state,
        (arc.merge, arc.operand),
        arc.kind,
        path,
        skip=True,
        is_projection=is_projection,
        mark=PROJECTION_MARK if is_projection else MIDDLE_MARK,
    )


def _wire_item(state: PaintState, wire: layout.Wire) -> MergeInputItem:
    kind = "gate" if wire.role == "weight" else "outline"
    path = rounded_polyline(wire.points, wire.radius)
    return MergeInputItem(state, (wire.target, wire.operand), kind, path, skip=False)


def _ribbon_items(placement: GraphLayout, state: PaintState) -> list[RibbonItem]:
    """Build one ribbon for each concatenation where strips end."""
    ribbons: dict[str, list[layout.RibbonStrip]] = {}
    for strip in placement.strips:
        ribbons.setdefault(strip.end, []).append(strip)
    return [RibbonItem(state, tuple(strips)) for strips in ribbons.values()]


def _row_targets(
    placement: GraphLayout, matrix: layout.ConnectivityMatrix
) -> tuple[layout.Point, ...]:
    """Return where each row of a matrix leads: below its layer, or below the bar of the last."""
    targets = []
    for merge, consumer in zip(matrix.rows, matrix.consumers, strict=True):
        box = placement.box(consumer if consumer in matrix.columns else merge)
        assert box
        targets.append((box.rect.center[0], box.rect.bottom))
    return tuple(targets)
