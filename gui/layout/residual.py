"""Layout of additive skips and gates: one row per stage, blocks left to right, arcs above."""

from itertools import chain, pairwise

from gui.graph import Graph, Node, SkipConnection
from gui.layout.chains import ResidualChain
from gui.layout.geometry import (
    LANE_GAP,
    LINE_GAP,
    MARGIN,
    MERGE_KINDS,
    PAD,
    SHAPES,
    Arc,
    GraphLayout,
    NodeBox,
    Point,
    Rect,
    StageBand,
    Wire,
    bounding_rect,
    format_spatial_size,
    skip_arc,
    text_width,
)
from gui.layout.labels import shorten_label, wrap_label
from gui.layout.residual_sizes import LayoutRow, fit_rows

MAX_CORNER_RADIUS = 20.0  # greatest radius of an arc's corners


class ResidualLayout:
    """Collect boxes and lines along the spine.

    Args:
        diagram: The folded graph.
        spine: Its chain.
        room: The width and height in units that the drawing should fill at zoom 1.
    """

    def __init__(self, diagram: Graph, spine: ResidualChain, room: Point) -> None:
        self.diagram = diagram
        self.spine = spine
        self.nodes = {node.name: node for node in diagram.nodes}
        # Of two edges between the same nodes the first operand counts.
        edges = reversed(diagram.edges)
        self.operands = {(edge.source, edge.target): edge.operand for edge in edges}
        self.lines, self.g = fit_rows(diagram, spine, room)  # g: in nearly every line
        self.lead = max(
            self.g.end * max(len(line.head) for line in self.lines), self._title_width()
        )
        self.tail = self.g.end * max(len(line.tail) for line in self.lines)
        self.body = self.g.pitch * max(len(line.body) for line in self.lines)
        self.places: dict[str, NodeBox] = {}
        self.forks: dict[str, Point] = {}
        self.line_of: dict[str, int] = {}
        self.wires: list[Wire] = []
        self.tops: list[float] = []

    def placement(self) -> GraphLayout:
        """Build the layout."""
        self._set_row_tops()
        for i, line in enumerate(self.lines):
            self._set_line(i, line)
        self._set_spine()
        arcs = tuple(self._arc(skip) for skip in self.diagram.skips)
        self._place_gate_weights()
        places = tuple(self.places[node.name] for node in self.diagram.nodes)
        bands = self._bands()
        box = bounding_rect([band.rect for band in bands], MARGIN)
        return GraphLayout("spine", places, tuple(self.wires), arcs, bands=bands, bounds=box)

    def _title_width(self) -> float:
        """Return the width of the widest title of one line, left of the first block."""
        # With room for names, titles are stacked above the blocks instead.
        last = [self.nodes[(line.body or line.tail)[-1][-1]] for line in self.lines]
        words = max((f"{format_spatial_size(node)}  {node.shape[0]} ch" for node in last), key=len)
        return 0.0 if self.g.has_room_for_names else text_width(words, 10.5) + 5.0 * self.g.gap

    def _set_row_tops(self) -> None:
        """Stack the lines from top to bottom."""
        y = 0.0
        for i, line in enumerate(self.lines):
            if i:
                y += LANE_GAP if line.row != self.lines[i - 1].row else LINE_GAP - PAD
            self.tops.append(y)
            y += self.g.line

    def _spine_y(self, i: int) -> float:
        """Return the y of the centers of the blocks on line `i`."""
        return self.tops[i] + PAD + self.g.arc_height

    def _set_line(self, i: int, line: LayoutRow) -> None:
        """Place the groups of a line from left to right."""
        y = self._spine_y(i)
        g = self.g
        # Heads end where the blocks begin, so that blocks stand below each other.
        x = PAD + self.lead - g.end * len(line.head)
        for piece in line.pieces:
            ends = piece in line.head or piece in line.tail
            at = x + g.gap * 1.5
            for name in piece:
                width = g.end - 2 * g.gap if ends else self._width(name)
                self._place_node(name, at, y, width, i)
                at += width + g.gap
            x += g.end if ends else g.pitch

    def _width(self, name: str) -> float:
        """Return the width of a node's box by its kind."""
        widths = {"add": self.g.plus, "gate": self.g.gate}
        return widths.get(self.nodes[name].kind, self.g.block)

    def _place_node(self, name: str, x: float, y: float, width: float, i: int) -> None:
        """Place a node on line `i`; additions and gates are as high as wide."""
        node = self.nodes[name]
        tall = width if node.kind in MERGE_KINDS else self.g.tall
        rect = Rect(x, y - tall / 2, width, tall)
        self.places[name] = NodeBox(
            name,
            rect,
            SHAPES.get(node.kind, "box"),
            self._node_lines(node, width),
            self.lines[i].row,
        )
        self.line_of[name] = i

    def _node_lines(self, node: Node, width: float) -> tuple[str, ...]:
        """Return the text in a node's box; merges have a symbol instead."""
        if node.kind in MERGE_KINDS:
            return ()
        if self.g.has_room_for_names:
            # Below 60 units an operation does not fit on two lines.
            has_op = node.kind == "block" and width >= 60
            return (node.label, *wrap_label(node.op, width)) if has_op else (node.label,)
        last = node.label.rpartition(".")[2]
        fits = text_width(node.label, 8) <= width - 4
        return (node.label if fits else last,)

    def _set_spine(self) -> None:
        """Connect the nodes of the spine, and record where arcs fork off."""
        for source, target in pairwise(self.spine.order):
            end = self.places[target].rect
            # Just before the next node, where an arc leaves the line without touching a box.
            self.forks[source] = (end.x - self.g.gap * 0.9, end.center[1])
            operand = self._operand(source, target)
            # The gated value is a skip, so it has an arc instead of a wire.
            if not self.diagram.skip(target, operand):
                self.wires.append(self._spine_wire(source, target, operand))

    def _operand(self, source: str, target: str) -> int:
        """Return the operand of the edge from `source` to `target`."""
        return self.operands[source, target]

    def _spine_wire(self, source: str, target: str, operand: int) -> Wire:
        """Connect two nodes on a line, or the end of a line and the start of the next."""
        first = self.places[source].rect
        second = self.places[target].rect
        start = (first.right, first.center[1])
        end = (second.x, second.center[1])
        if self.line_of[source] == self.line_of[target]:
            is_branch = self.places[target].shape in ("plus", "diamond")
            role = "branch" if is_branch else "spine"
            return Wire(source, target, operand, (start, end), role, 0.0)
        points = self._turn(start, end, self.line_of[target])
        return Wire(source, target, operand, points, "turn", min(10.0, self.g.plus * 0.8))

    def _turn(self, start: Point, end: Point, line: int) -> tuple[Point, ...]:
        """Route a wire to the start of the next line, through the gap between the lines."""
        between = LANE_GAP if self.lines[line].row != self.lines[line - 1].row else LINE_GAP - PAD
        y = self.tops[line] - between / 2
        out = start[0] + 1.6 * self.g.gap
        into = end[0] - 3.2 * self.g.gap
        return start, (out, start[1]), (out, y), (into, y), (into, end[1]), end

    def _arc(self, skip: SkipConnection) -> Arc:
        """Build the arc of a skip, and place its projection on it."""
        merge = self.places[skip.merge].rect
        if skip.kind == "gate":
            # The gated value runs along the spine, straight into the gate.
            source = self.places[skip.source].rect
            line = ((source.right, source.center[1]), (merge.x, merge.center[1]))
            return skip_arc(skip, line, 0.0)
        fork = self.forks[skip.source]
        x = merge.center[0]
        span = x - fork[0]
        top = fork[1] - self.g.arc_height + 11.0 - (0 if self.g.has_room_for_names else 5)
        path = self.spine.projection_nodes.get((skip.merge, skip.operand), ())
        radius = min(fork[1] - top, span / 2, MAX_CORNER_RADIUS)
        # A projection needs a flat part of the arc to lie on.
        if path and self.g.pitch > 60:
            radius = min(radius, span / 5)
        # A pill may cover the corners of its arc, but neither its fork nor its merge.
        margin = min(radius, self.g.plus / 2)
        self.place_projections(path, skip, fork[0] + margin, x - margin, top)
        return skip_arc(skip, (fork, (fork[0], top), (x, top), (x, merge.y)), radius)

    def place_projections(
        self, path: tuple[str, ...], skip: SkipConnection, left: float, right: float, y: float
    ) -> None:
        """Place the nodes of a projection on the flat part of its arc, side by side."""
        tall = 18.0 if self.g.has_room_for_names else max(9.0, min(15.0, self.g.pitch * 0.17))
        for i, name in enumerate(path):
            each = max(right - left, self.g.pitch / 3) / len(path)
            label = shorten_label(self._projection_label(path, skip, name), each - 8)
            width = min(each - 2, text_width(label, 9.5) + 12)
            x = (left + right) / 2 + each * (i - len(path) / 2) + (each - width) / 2
            rect = Rect(x, y - tall / 2, width, tall)
            self.places[name] = NodeBox(name, rect, "pill", (label,), self._row(skip.merge))

    def _projection_label(self, path: tuple[str, ...], skip: SkipConnection, name: str) -> str:
        """Return the label of a node of a projection; a single node stands for all of it."""
        if len(path) == 1 and skip.projection:
            return skip.projection
        return self.nodes[name].label

    def _row(self, name: str) -> int:
        """Return the stage of a placed node."""
        return self.places[name].row

    def _place_gate_weights(self) -> None:
        """Place the nodes of each gate's weight under its block, with their wires."""
        tall = 18.0 if self.g.has_room_for_names else 8.0
        for gate, path in self.spine.gate_weight_nodes.items():
            source = self._fork_point(gate)
            merge = self.places[gate].rect
            left = source.x + source.w * 0.12
            each = source.w * 0.76 / len(path)
            if each < 14:  # a narrow block: use the space up to the gate
                left = source.x
                each = (merge.center[0] - source.x) * 0.85 / len(path)
            y = source.center[1] + self.g.depth_below - tall / 2
            for i, name in enumerate(path):
                rect = Rect(left + i * each + 1, y - tall / 2, each - 2, tall)
                words = self._side_words(name)
                self.places[name] = NodeBox(name, rect, "side", words, self._row(gate))
            self._wire_side(gate, path, source, merge)

    def _side_words(self, name: str) -> tuple[str, ...]:
        """Return the last part of a label, empty where names do not fit."""
        node = self.nodes[name]
        return (node.label.rpartition(".")[2] if self.g.has_room_for_names else "",)

    def _wire_side(self, gate: str, path: tuple[str, ...], source: Rect, merge: Rect) -> None:
        """Connect a block, the nodes of its gate's weight, and the gate."""
        first = self.places[path[0]].rect
        last = self.places[path[-1]].rect
        down = ((first.center[0], source.bottom), (first.center[0], first.y))
        self.wires.append(Wire(self._gate_source(gate), path[0], 0, down, "weight", 0.0))
        for before, after in pairwise(path):
            rect = self.places[before].rect
            y = rect.center[1]
            line = ((rect.right, y), (self.places[after].rect.x, y))
            self.wires.append(Wire(before, after, 0, line, "weight", 0.0))
        x = merge.center[0]
        up = ((last.right, last.center[1]), (x, last.center[1]), (x, merge.bottom))
        operand = self._operand(path[-1], gate)
        self.wires.append(Wire(path[-1], gate, operand, up, "weight", min(8.0, self.g.gap)))

    def _gate_source(self, gate: str) -> str:
        """Return the node whose output a gate scales."""
        return next(skip.source for skip in self.diagram.skips if skip.merge == gate)

    def _fork_point(self, gate: str) -> Rect:
        """Return the rectangle of the node whose output a gate scales."""
        return self.places[self._gate_source(gate)].rect

    def _bands(self) -> tuple[StageBand, ...]:
        """Build the background of each stage."""
        return tuple(self._band(row) for row in sorted({line.row for line in self.lines}))

    def _band(self, row: int) -> StageBand:
        """Build the background of one stage, titled by its last block."""
        mine = [i for i, line in enumerate(self.lines) if line.row == row]
        # Only a line with blocks has a last block; a later line may hold the tail alone.
        blocks = list(chain.from_iterable(self.lines[i].body for i in mine))
        node = self.nodes[blocks[-1][-1]]
        top = self.tops[mine[0]]
        bottom = self.tops[mine[-1]] + self.g.line
        width = 2 * PAD + self.lead + self.body + self.tail
        rect = Rect(0, top, width, bottom - top)
        # Two lines of title need 41 units above the blocks.
        stacked = self.g.has_room_for_names and PAD + self.g.arc_height - self.g.tall / 2 > 41
        unit = "channels" if stacked else "ch"
        subtitle = f"{node.shape[0]} {unit}"
        return StageBand(rect, format_spatial_size(node), subtitle, (PAD + 3, top + 7), stacked)


def layout_residual(diagram: Graph, spine: ResidualChain, room: Point) -> GraphLayout:
    """Lay out a chain with shortcuts.

    Args:
        diagram: The folded graph.
        spine: Its chain.
        room: The width and height in units that the drawing should fill at zoom 1.

    Returns:
        The layout in units.
    """
    return ResidualLayout(diagram, spine, room).placement()
