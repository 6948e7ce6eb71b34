"""Lay out a graph as plain shapes.

The spine runs straight down and its forks stand to the right. Identity skips are arcs to the
left, longer ones further out. The inputs that dense layers accumulate are a ribbon that widens.
"""

from itertools import accumulate, chain

from lightning_resnets.graph.data import Edge, GraphData
from lightning_resnets.graph.export.svg_drawing import (
    BOX_HEIGHT,
    BOX_WIDTH,
    CONCAT_BAR_HEIGHT,
    CONCAT_BAR_WIDTH,
    MARGIN,
    MERGE_SIZE,
    RIBBON_WIDTH,
    Drawing,
    EdgeLine,
    NodeBox,
    Point,
    Rect,
    RibbonStripe,
)
from lightning_resnets.graph.export.svg_edge_styles import FLOW, choose_edge_styles
from lightning_resnets.graph.export.svg_grid import place_columns, place_rows
from lightning_resnets.graph.export.svg_layout import DenseBlock, assign_rows_and_lanes
from lightning_resnets.graph.export.svg_routes import EdgeRouter, leave_y
from lightning_resnets.merges import MergeKind

RIBBON_GAP = 22.0  # between a box and the ribbon beside it
BAND_PADDING = 9.0

NODE_SIZES: dict[MergeKind | None, tuple[float, float]] = {
    None: (BOX_WIDTH, BOX_HEIGHT),
    MergeKind.CONCAT: (CONCAT_BAR_WIDTH, CONCAT_BAR_HEIGHT),
    MergeKind.ADD: (MERGE_SIZE, MERGE_SIZE),
    MergeKind.GATE: (MERGE_SIZE, MERGE_SIZE),
}


def layout_drawing(graph: GraphData, top: float = 0.0) -> Drawing:
    """Lay out the shapes of a graph.

    Args:
        graph: the graph.
        top: y of the first row in pixels.

    Returns:
        The drawing.
    """
    return _DrawingLayout(graph, top).layout()


class _DrawingLayout:
    """Collects the shapes of one graph."""

    def __init__(self, graph: GraphData, top: float) -> None:
        self.graph = graph
        self.grid = assign_rows_and_lanes(graph)
        self.inputs = graph.all_inputs()
        self.styles = choose_edge_styles(graph)
        self.ribbon_merges = set(chain.from_iterable(dense.merges for dense in self.grid.dense))
        self.arcs = [edge for edge in graph.edges if self._is_arc(edge)]
        # Needs the arcs, which take room left of their lane.
        self.columns = place_columns(self.grid, self.arcs)
        self.rows = place_rows(graph, self.grid, top)
        self.drawing = Drawing(width=self.columns.width, height=self.rows.bottom)

    def layout(self) -> Drawing:
        """Return the drawing."""
        self._add_boxes()
        for dense in self.grid.dense:
            self._add_ribbon(dense)
        router = EdgeRouter(self.grid, self.columns, self.rows, self.drawing.boxes)
        for edge in self.graph.edges:
            # Arcs and ribbons are drawn apart.
            if edge not in self.columns.levels and not self._is_in_ribbon(edge):
                self._add_line(edge, router.route(edge[0], edge[1]))
        for edge in self.arcs:
            self._add_line(edge, router.arc(edge))
        self._add_bands()
        self._add_frames()
        return self.drawing

    def _is_arc(self, edge: Edge) -> bool:
        """Return True for an edge within one lane that does not lead to the next node."""
        source, target, operand = edge
        if self.grid.lanes[source] != self.grid.lanes[target] or self._is_in_ribbon(edge):
            return False
        # Of two edges between the same nodes only the first runs straight down.
        inputs = self.inputs[target]
        is_second = inputs.count(source) > 1 and inputs.index(source) != operand
        return self.grid.main_input[target] != source or is_second

    def _is_in_ribbon(self, edge: Edge) -> bool:
        """Return True for an edge that the ribbon replaces: all but the newest input."""
        _, target, operand = edge
        return target in self.ribbon_merges and operand < len(self.inputs[target]) - 1

    def _add_boxes(self) -> None:
        """Add the box of every node, centered in its row and lane."""
        for node in self.graph.nodes:
            row = self.grid.rows[node.name]
            x = self.columns.middles[self.grid.lanes[node.name]]
            width, height = NODE_SIZES[node.kind]
            y = self.rows.tops[row] + (self.rows.heights[row] - height) / 2
            rect = (x - width / 2, y, width, height)
            self.drawing.boxes[node.name] = NodeBox(node, rect)

    def _add_line(self, edge: Edge, points: tuple[Point, ...]) -> None:
        """Add a line in the style of its edge."""
        style, dashed = self.styles.get(edge, FLOW)
        self.drawing.lines.append(EdgeLine(points, style, dashed))

    def _add_ribbon(self, dense: DenseBlock) -> None:
        """Add a stripe per source, as wide as its channels; each concat reads some of them."""
        boxes = self.drawing.boxes
        lane = self.grid.lanes[dense.merges[0]]
        right = self.columns.middles[lane] - BOX_WIDTH / 2 - RIBBON_GAP
        channels = [boxes[source].node.shape[0] for source in dense.sources]
        # All channels together are as wide as the ribbon.
        widths = [RIBBON_WIDTH * count / sum(channels) for count in channels]
        lefts = list(accumulate(widths, lambda x, width: x - width, initial=right))[1:]
        end = boxes[dense.merges[-1]].middle[1]
        # The newest source goes straight down to its concat, so it has no stripe.
        for number, source in enumerate(dense.sources[:-1]):
            self._add_stripe(source, number, (lefts[number], widths[number]), end)
        first = len(dense.sources) - len(dense.merges)
        for position, merge in enumerate(dense.merges):
            x = boxes[merge].rect[0]
            y = boxes[merge].middle[1]
            points = ((lefts[first + position - 1], y), (x, y))
            self.drawing.ribbon_edges.append(EdgeLine(points, "concat"))

    def _add_stripe(self, source: str, number: int, span: tuple[float, float], end: float) -> None:
        """Add the stripe of a source and the line that leads to it."""
        x, width = span
        box = self.drawing.boxes[source]
        start = leave_y(box)
        points = ((box.rect[0], start), (x + width / 2, start))
        self.drawing.lines.append(EdgeLine(points, "concat"))
        rect = (x, start, width, end - start)
        self.drawing.stripes.append(RibbonStripe(rect, source, number))

    def _add_bands(self) -> None:
        """Add a band behind every run of rows of one stage."""
        stages = self.rows.stages
        start = 0
        for row in range(1, len(stages) + 1):
            if row < len(stages) and stages[row] == stages[start]:
                continue
            if stages[start]:
                self.drawing.bands.append((self._band_rect(start, row - 1), stages[start]))
            start = row

    def _band_rect(self, first: int, last: int) -> Rect:
        """Return the rectangle around two rows and all between them."""
        top = self.rows.tops[first] - BAND_PADDING
        bottom = self.rows.tops[last] + self.rows.heights[last] + BAND_PADDING
        return MARGIN / 2, top, self.drawing.width - MARGIN, bottom - top

    def _add_frames(self) -> None:
        """Add a frame around the nodes of each block that stands for several."""
        repeats: dict[tuple[str, int], list[Rect]] = {}
        for box in self.drawing.boxes.values():
            node = box.node
            if node.repeat_count > 1:
                # One frame around all nodes of a block.
                key = (node.block or node.name, node.repeat_count)
                repeats.setdefault(key, []).append(_full_width(box.rect))
        for (_, count), rects in repeats.items():
            self.drawing.frames.append((_enclose(rects), count))


def _full_width(rect: Rect) -> Rect:
    """Return a rectangle widened to that of a box."""
    x, y, width, height = rect
    return x - (BOX_WIDTH - width) / 2, y, BOX_WIDTH, height


def _enclose(rects: list[Rect]) -> Rect:
    """Return the rectangle around several, with a small margin."""
    left = min(rect[0] for rect in rects) - 6
    top = min(rect[1] for rect in rects) - 7
    right = max(rect[0] + rect[2] for rect in rects) + 6
    bottom = max(rect[1] + rect[3] for rect in rects) + 7
    return left, top, right - left, bottom - top
