"""Builds the painters of a layout, and finds each of them again."""

import math
from collections.abc import Iterator
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
from gui.views.graph.rect_index import RectIndex
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
        ribbons: Those of the backgrounds that are ribbons.
    """

    nodes: dict[str, NodeItem] = field(default_factory=dict)
    merge_inputs: dict[MergeInput, MergeInputItem] = field(default_factory=dict)
    matrices: list[ConnectivityMatrixItem] = field(default_factory=list)
    selected_arcs: SelectedArcsItem | None = None
    backgrounds: list[GraphItem] = field(default_factory=list)
    ribbons: list[RibbonItem] = field(default_factory=list)
    _items: list[GraphItem] = field(init=False)
    _index: RectIndex = field(init=False)
    _node_index: RectIndex = field(init=False)
    _input_index: RectIndex = field(init=False)

    def __post_init__(self) -> None:
        items = [*self.backgrounds, *self.matrices, *self.merge_inputs.values()]
        items += self.nodes.values()
        # A stable sort: of equal depth, later ones lie above.
        self._items = sorted(items, key=lambda item: item.depth)
        self._index = RectIndex([item.rect for item in self._items])
        self._node_index = RectIndex([item.box for item in self.nodes.values()])
        self._input_index = RectIndex([item.rect for item in self.merge_inputs.values()])

    def visible(self, rect: QRectF) -> Iterator[GraphItem]:
        """Yield the painters that reach into a rectangle, from bottom to top.

        Args:
            rect: The rectangle in scene units.

        Yields:
            The painters, without that of the selected layer's arcs.
        """
        for i in self._index.touching(rect):
            yield self._items[i]

    def nodes_at(self, at: QPointF, slack: float) -> list[NodeItem]:
        """Find the nodes around a point.

        Args:
            at: The point in scene units.
            slack: How far outside of a node it may lie.

        Returns:
            Their painters.
        """
        nodes = list(self.nodes.values())
        return [nodes[i] for i in self._node_index.around(at, slack)]

    def inputs_at(self, at: QPointF, slack: float) -> list[MergeInputItem]:
        """Find the merge inputs that may be near a point.

        Args:
            at: The point in scene units.
            slack: How far from their rectangles it may lie.

        Returns:
            Their painters.
        """
        inputs = list(self.merge_inputs.values())
        return [inputs[i] for i in self._input_index.around(at, slack)]


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
    ribbons = _ribbon_items(placement, state)
    return SceneItems(
        nodes=_node_items(graph, placement, inputs, state),
        merge_inputs=_merge_input_items(placement, inputs, state),
        matrices=[
            ConnectivityMatrixItem(state, matrix, _row_targets(placement, matrix))
            for matrix in placement.matrices
        ],
        selected_arcs=SelectedArcsItem(state, bounds) if placement.matrices else None,
        backgrounds=[
            StageBandsItem(state, placement.bands, bounds),
            FlowEdgesItem(state, others, bounds),
            *ribbons,
        ],
        ribbons=ribbons,
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
    # Nodes lie above everything else, so they come first.
    for item in items.nodes_at(at, NODE_SLACK / zoom):
        return item.name, None
    for matrix in items.matrices:
        cell = matrix.cell(at)
        if cell:
            return None, (cell.merge, cell.operand)
    return None, _nearest_merge_input(items, at, HIT_RADIUS / zoom)


def _nearest_merge_input(items: SceneItems, at: QPointF, reach: float) -> MergeInput | None:
    """Return the merge input whose line is nearest, None where none is within reach."""
    # The rectangles are a quick test; the distance to a line takes longer. Of two lines that are
    # equally near, the skip connection is meant.
    near = items.inputs_at(at, reach)
    candidates = [(item.distance(at), not item.skip, item.key) for item in near]
    distance, _, key = min(candidates, default=(math.inf, False, None))
    if distance <= reach:
        return key
    return None


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
    # A ribbon ends at the last concatenation of its block.
    merges = {matrix.rows[-1]: matrix.rows for matrix in placement.matrices}
    return [
        RibbonItem(state, tuple(strips), merges.get(end, ())) for end, strips in ribbons.items()
    ]


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
