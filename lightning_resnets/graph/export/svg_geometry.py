"""The image of a graph as plain shapes: boxes, lines with a look, ribbons, bands of stages, frames of repeats.

Units are pixels, y grows downwards. The spine runs straight down; what forks off stands to its right; identity skips
are arcs to its left, longer ones further out; the parts that dense layers pile up are a ribbon that widens.
"""

from dataclasses import dataclass, field

from lightning_resnets.graph.data import GraphData, Node
from lightning_resnets.graph.export.svg_layout import (
    DenseBlock,
    GridLayout,
    arc_levels,
    assign_rows_and_lanes,
)
from lightning_resnets.merges import MergeKind

Point = tuple[float, float]


Rect = tuple[float, float, float, float]  # left, top, width, height


BOX_WIDTH, BOX_HEIGHT, MERGE_SIZE, ROW_GAP = (
    256.0,
    42.0,
    26.0,
    20.0,
)  # a block's width and height, a merge's, and between rows


MARGIN, TITLE_WIDTH, RIBBON_WIDTH, ARC_STEP, LANE_GAP = 16.0, 132.0, 92.0, 10.0, 34.0


CONCAT_BAR_WIDTH = 96.0


@dataclass(frozen=True, slots=True)
class NodeBox:
    """A block and where it stands."""

    node: Node
    rect: Rect

    @property
    def middle(self) -> Point:
        x, y, wide, high = self.rect
        return x + wide / 2, y + high / 2

    @property
    def bottom(self) -> float:
        return self.rect[1] + self.rect[3]

    @property
    def right(self) -> float:
        return self.rect[0] + self.rect[2]


@dataclass(frozen=True, slots=True)
class EdgeLine:
    """A way from one block to another: its corners, and a look: `flow`, or a kind, `dashed` where it is projected."""

    points: tuple[Point, ...]
    style: str
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class RibbonStripe:
    """The channels that one block adds to a ribbon."""

    rect: Rect
    source: str
    number: int


@dataclass(slots=True)
class Drawing:
    """All shapes, and the size of the whole."""

    boxes: dict[str, NodeBox] = field(default_factory=dict)
    lines: list[EdgeLine] = field(default_factory=list)
    ribbon_edges: list[EdgeLine] = field(
        default_factory=list
    )  # what merges take from a ribbon, drawn above it
    stripes: list[RibbonStripe] = field(default_factory=list)
    bands: list[tuple[Rect, str]] = field(default_factory=list)
    frames: list[tuple[Rect, int]] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def layout_drawing(graph: GraphData, top: float = 0.0) -> Drawing:
    """Lay out the shapes of a graph.

    Args:
        graph: the graph.
        top: y of the first row in pixels.

    Returns:
        The drawing.
    """
    return _Drawing(graph, top).draw()


class _Drawing:
    def __init__(self, graph: GraphData, top: float) -> None:
        self.graph, self.top = graph, top
        self.places: GridLayout = assign_rows_and_lanes(graph)
        self.image = Drawing()
        self.skips = {(skip.merge, skip.operand): skip for skip in graph.skips}
        self.ribbons = {merge: dense for dense in self.places.dense for merge in dense.merges}
        self.given = graph.all_inputs()
        self.looks = self._looks()
        self.arcs = [edge for edge in graph.edges if self._is_arc(*edge)]

    def draw(self) -> Drawing:
        self._set_columns()
        self._set_rows()
        self._set_boxes()
        for dense in self.places.dense:
            self._set_ribbon(dense)
        for edge in self.graph.edges:
            if edge not in self.level and not self._in_ribbon(*edge):
                self._line(edge, self._route(edge[0], edge[1]))
        for edge in self.arcs:
            self._line(edge, self._arc(edge))
        self._set_bands()
        self._set_frames()
        return self.image

    def _looks(self) -> dict[tuple[str, str, int], tuple[str, bool]]:
        """How each link looks that is part of a skip or of a gate's weight, and all on the way from where they fork."""
        found: dict[tuple[str, str, int], tuple[str, bool]] = {}
        for source, target, operand in self.graph.edges:
            skip, gate = self.skips.get((target, operand)), self.skips.get((target, 0))
            weight = gate is not None and gate.kind is MergeKind.GATE and operand > 0
            fork = skip.source if skip else gate.source if gate and weight else None
            if fork is None or (skip and skip.kind is MergeKind.GATE):
                continue
            look = (str(skip.kind), skip.projection is not None) if skip else ("gate", False)
            found |= dict.fromkeys([(source, target, operand), *self._way(fork, source)], look)
        return found

    def _way(self, fork: str, end: str) -> list[tuple[str, str, int]]:
        """The links from the fork to the end, where that is one single way; none where it is not."""
        way: list[tuple[str, str, int]] = []
        while end != fork and len(self.given[end]) == 1:
            end, target = self.given[end][0], end
            way.append((end, target, 0))
        return way if end == fork else []

    def _is_arc(self, source: str, target: str, operand: int) -> bool:
        """A link inside one lane that is not simply the next step."""
        lanes, main = self.places.lanes, self.places.main_input
        second = (
            self.given[target].count(source) > 1 and self.given[target].index(source) != operand
        )
        same = lanes[source] == lanes[target] and (main[target] != source or second)
        return same and not self._in_ribbon(source, target, operand)

    def _in_ribbon(self, source: str, target: str, operand: int) -> bool:
        return target in self.ribbons and operand < len(self.given[target]) - 1

    def _set_columns(self) -> None:
        """The middle of every lane, left of which there is room for its arcs and ribbons."""
        rows, lanes = self.places.rows, self.places.lanes
        self.level: dict[tuple[str, str, int], int] = {}
        self.middles: list[float] = []
        x = MARGIN + TITLE_WIDTH
        for lane in range(max(lanes.values(), default=0) + 1):
            arcs = [edge for edge in self.arcs if lanes[edge[0]] == lane]
            found = arc_levels([(rows[source], rows[target]) for source, target, _ in arcs])
            self.level |= dict(zip(arcs, found, strict=True))
            ribbon = any(lanes[merge] == lane for merge in self.ribbons)
            x += (
                (LANE_GAP if lane else 0)
                + (RIBBON_WIDTH + 30 if ribbon else 0)
                + (14 + ARC_STEP * (max(found) + 1) if found else 0)
            )
            self.middles.append(x + BOX_WIDTH / 2)
            x += BOX_WIDTH
        self.ribboned = {lanes[merge] for merge in self.ribbons}
        self.image.width = x + 40

    def _set_rows(self) -> None:
        """The top and the height of every row; a little more room where a stage begins."""
        count = max(self.places.rows.values(), default=-1) + 1
        self.held: list[list[Node]] = [[] for _ in range(count)]
        for block in self.graph.nodes:
            self.held[self.places.rows[block.name]].append(block)
        staged = [block.stage for block in self.graph.nodes]
        self.stage = [self._stage_of(row, staged) for row in self.held]
        self.tops: list[float] = []
        self.heights = [
            max(MERGE_SIZE if block.kind else BOX_HEIGHT for block in row) for row in self.held
        ]
        y = self.top
        for row, high in enumerate(self.heights):
            y += 14 if row and self.stage[row] != self.stage[row - 1] else 0
            self.tops.append(y)
            y += high + ROW_GAP
        self.image.height = y

    def _stage_of(self, row: list[Node], staged: list[str]) -> str:
        names = {block.stage for block in row}
        stage = names.pop() if len(names) == 1 else ""
        return stage if staged.count(stage) > 1 else ""

    def _set_boxes(self) -> None:
        for block in self.graph.nodes:
            row, x = self.places.rows[block.name], self.middles[self.places.lanes[block.name]]
            wide, high = {
                None: (BOX_WIDTH, BOX_HEIGHT),
                MergeKind.CONCAT: (CONCAT_BAR_WIDTH, 14.0),
            }.get(block.kind, (MERGE_SIZE, MERGE_SIZE))
            y = self.tops[row] + (self.heights[row] - high) / 2
            self.image.boxes[block.name] = NodeBox(block, (x - wide / 2, y, wide, high))

    def _line(self, edge: tuple[str, str, int], points: tuple[Point, ...]) -> None:
        look, dashed = self.looks.get(edge, ("flow", False))
        self.image.lines.append(EdgeLine(points, look, dashed))

    def _route(self, source: str, target: str) -> tuple[Point, ...]:
        """Straight down; aside just below a fork; down one's own lane and in from the side; else between the lanes."""
        a, b = self.image.boxes[source], self.image.boxes[target]
        (ax, _), (bx, by) = a.middle, b.middle
        rows, lanes = self.places.rows, self.places.lanes
        below = self.tops[rows[source]] + self.heights[rows[source]] + ROW_GAP / 2
        if self.places.main_input[target] == source:
            straight = lanes[source] == lanes[target]
            return (
                ((ax, a.bottom), (bx, b.rect[1]))
                if straight
                else ((ax, a.bottom), (ax, below), (bx, below), (bx, b.rect[1]))
            )
        side = b.right if ax > bx else b.rect[0]
        if ax > bx and self.places.lane_ends.get(source, -1) >= rows[target]:
            return (ax, a.bottom), (ax, by), (side, by)
        gutter = self.middles[lanes[target]] + (
            BOX_WIDTH / 2 + 12 if ax > bx else -BOX_WIDTH / 2 - 12
        )
        return (ax, a.bottom), (ax, below), (gutter, below), (gutter, by), (side, by)

    def _arc(self, edge: tuple[str, str, int]) -> tuple[Point, ...]:
        source, target, _ = edge
        a, b = self.image.boxes[source], self.image.boxes[target]
        lane = self.places.lanes[target]
        x = (
            self.middles[lane]
            - BOX_WIDTH / 2
            - 14
            - ARC_STEP * self.level[edge]
            - (RIBBON_WIDTH + 30 if lane in self.ribboned else 0)
        )
        out = a.middle[1] + (4 if a.node.kind else BOX_HEIGHT / 2 - 10)
        into = b.middle[1] - (4 if b.node.kind else 10)
        return (
            (a.rect[0] + (2 if a.node.kind else 0), out),
            (x, out),
            (x, into),
            (b.rect[0] + 1, into),
        )

    def _set_ribbon(self, dense: DenseBlock) -> None:
        """One stripe a source, as wide as its channels, from where it joins to the end; each concat reads some."""
        boxes = self.image.boxes
        channels = [boxes[source].node.shape[0] for source in dense.sources]
        edge = self.middles[self.places.lanes[dense.merges[0]]] - BOX_WIDTH / 2 - 22
        end, x = boxes[dense.merges[-1]].middle[1], edge
        outer: list[float] = []
        for number, (source, width) in enumerate(zip(dense.sources, channels, strict=True)):
            box, wide = boxes[source], RIBBON_WIDTH * width / sum(channels)
            start = box.middle[1] + (4 if box.node.kind else BOX_HEIGHT / 2 - 10)
            x -= wide
            outer.append(x)
            if number < len(dense.sources) - 1:  # the newest goes straight down
                self.image.lines.append(
                    EdgeLine(((box.rect[0], start), (x + wide / 2, start)), "concat")
                )
                self.image.stripes.append(
                    RibbonStripe((x, start, wide, end - start), source, number)
                )
        first = len(dense.sources) - len(dense.merges)
        for place, merge in enumerate(dense.merges):
            x, y = boxes[merge].rect[0], boxes[merge].middle[1]
            self.image.ribbon_edges.append(
                EdgeLine(((outer[first + place - 1], y), (x, y)), "concat")
            )

    def _set_bands(self) -> None:
        start = 0
        for row in range(1, len(self.stage) + 1):
            if row < len(self.stage) and self.stage[row] == self.stage[start]:
                continue
            if self.stage[start]:
                top, bottom = self.tops[start] - 9, self.tops[row - 1] + self.heights[row - 1] + 9
                rect = MARGIN / 2, top, self.image.width - MARGIN, bottom - top
                self.image.bands.append((rect, self.stage[start]))
            start = row

    def _set_frames(self) -> None:
        """A frame around the blocks of a cell that stands for several."""
        cells: dict[tuple[str, int], list[Rect]] = {}
        for box in self.image.boxes.values():
            if box.node.repeat_count > 1:
                x, y, wide, high = box.rect
                whole = (x - (BOX_WIDTH - wide) / 2, y, BOX_WIDTH, high)
                cells.setdefault(
                    (box.node.block or box.node.name, box.node.repeat_count), []
                ).append(whole)
        for (_, times), rects in cells.items():
            left, top = min(r[0] for r in rects) - 6, min(r[1] for r in rects) - 7
            right, bottom = max(r[0] + r[2] for r in rects) + 6, max(r[1] + r[3] for r in rects) + 7
            self.image.frames.append(((left, top, right - left, bottom - top), times))
