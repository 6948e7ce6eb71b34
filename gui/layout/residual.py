"""A model with additive skips and gates on the canvas: one row a stage, blocks left to right, shortcuts as arcs above."""

from itertools import pairwise

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
    text_width,
)
from gui.layout.residual_sizes import LayoutRow, fit_rows

MAX_CORNER_RADIUS = 20.0  # greatest radius of an arc's corners


def wrap_label(op: str, width: float) -> tuple[str, ...]:
    """An operation in one line, or in two where that is too wide."""
    parts = op.split(", ")
    if len(parts) < 2 or text_width(op, 7.6) <= width:
        return (op,) if op else ()
    half = -(-len(parts) // 2)
    return ", ".join(parts[:half]), ", ".join(parts[half:])


def shorten_label(words: str, width: float) -> str:
    """The words of a projection, without how it is made and then without its stride where they are too wide."""
    tries = words, words.split(",")[0], words.split(" ")[0]
    return next((short for short in tries if text_width(short, 8) <= width), tries[-1])


class ResidualLayout:
    """Collects places and lines while it walks along the spine."""

    def __init__(self, diagram: Graph, spine: ResidualChain, room: Point) -> None:
        self.diagram, self.spine = diagram, spine
        self.nodes = {node.name: node for node in diagram.nodes}
        self.lines, self.g = fit_rows(diagram, spine, room)
        self.lead = max(self.g.end * max(len(line.head) for line in self.lines), self.title_width())
        self.tail = self.g.end * max(len(line.tail) for line in self.lines)
        self.body = self.g.pitch * max(len(line.body) for line in self.lines)
        self.places: dict[str, NodeBox] = {}
        self.forks: dict[str, Point] = {}
        self.line_of: dict[str, int] = {}
        self.wires: list[Wire] = []
        self.tops: list[float] = []

    def placement(self) -> GraphLayout:
        self.set_row_tops()
        for i, line in enumerate(self.lines):
            self.set_line(i, line)
        self.set_spine()
        arcs = tuple(self.arc(skip) for skip in self.diagram.skips)
        self.place_gate_weights()
        places = tuple(self.places[node.name] for node in self.diagram.nodes)
        bands = self.bands()
        box = bounding_rect([band.rect for band in bands], MARGIN)
        return GraphLayout("spine", places, tuple(self.wires), arcs, bands=bands, bounds=box)

    def title_width(self) -> float:
        """What the titles need left of the first block, where each stands in one line."""
        last = [self.nodes[(line.body or line.tail)[-1][-1]] for line in self.lines]
        words = max((f"{format_spatial_size(node)}  {node.shape[0]} ch" for node in last), key=len)
        return 0.0 if self.g.has_room_for_names else text_width(words, 10.5) + 5.0 * self.g.gap

    def set_row_tops(self) -> None:
        y = 0.0
        for i, line in enumerate(self.lines):
            if i:
                y += LANE_GAP if line.row != self.lines[i - 1].row else LINE_GAP - PAD
            self.tops.append(y)
            y += self.g.line

    def spine_y(self, i: int) -> float:
        return self.tops[i] + PAD + self.g.arc_height

    def set_line(self, i: int, line: LayoutRow) -> None:
        y, g = self.spine_y(i), self.g
        x = PAD + self.lead - g.end * len(line.head)
        for piece in line.pieces:
            ends = piece in line.head or piece in line.tail
            at = x + g.gap * 1.5
            for name in piece:
                width = g.end - 2 * g.gap if ends else self.width(name)
                self.place_node(name, at, y, width, i)
                at += width + g.gap
            x += g.end if ends else g.pitch

    def width(self, name: str) -> float:
        kind = self.nodes[name].kind
        return self.g.plus if kind == "add" else self.g.gate if kind == "gate" else self.g.block

    def place_node(self, name: str, x: float, y: float, width: float, i: int) -> None:
        node = self.nodes[name]
        tall = width if node.kind in MERGE_KINDS else self.g.tall
        rect = Rect(x, y - tall / 2, width, tall)
        self.places[name] = NodeBox(
            name,
            rect,
            SHAPES.get(node.kind, "box"),
            self.node_lines(node, width),
            self.lines[i].row,
        )
        self.line_of[name] = i

    def node_lines(self, node: Node, width: float) -> tuple[str, ...]:
        if node.kind in MERGE_KINDS:
            return ()
        if self.g.has_room_for_names:
            return (
                (node.label, *wrap_label(node.op, width))
                if node.kind == "block" and width >= 60
                else (node.label,)
            )
        last = node.label.rpartition(".")[2]
        fits = text_width(node.label, 8) <= width - 4
        return (node.label if fits else last,)

    def set_spine(self) -> None:
        order, g = self.spine.order, self.g
        for source, target in pairwise(order):
            a, b = self.places[source].rect, self.places[target].rect
            start, end = (a.right, a.center[1]), (b.x, b.center[1])
            self.forks[source] = (end[0] - g.gap * 0.9, end[1])
            operand = next(
                x.operand for x in self.diagram.edges if (x.source, x.target) == (source, target)
            )
            if self.diagram.skip(target, operand):
                continue  # what a gate weighs: its own line, drawn as a skip
            if self.line_of[source] == self.line_of[target]:
                role = "branch" if self.places[target].shape in ("plus", "diamond") else "spine"
                self.wires.append(Wire(source, target, operand, (start, end), role, 0.0))
            else:
                points = self.turn(start, end, self.line_of[target])
                self.wires.append(
                    Wire(source, target, operand, points, "turn", min(10.0, g.plus * 0.8))
                )

    def turn(self, start: Point, end: Point, line: int) -> tuple[Point, ...]:
        """From the end of one line to the start of the next, through the gap between them."""
        between = LANE_GAP if self.lines[line].row != self.lines[line - 1].row else LINE_GAP - PAD
        y, out, into = (
            self.tops[line] - between / 2,
            start[0] + 1.6 * self.g.gap,
            end[0] - 3.2 * self.g.gap,
        )
        return start, (out, start[1]), (out, y), (into, y), (into, end[1]), end

    def arc(self, skip: SkipConnection) -> Arc:
        fork, merge = self.forks[skip.source], self.places[skip.merge].rect
        way = self.spine.projection_nodes.get((skip.merge, skip.operand), ())
        if skip.kind == "gate":
            source = self.places[skip.source].rect
            line = (source.right, source.center[1]), (merge.x, merge.center[1])
            return Arc(skip.kind, skip.source, skip.merge, skip.operand, skip.projection, line, 0.0)
        x, span = merge.center[0], merge.center[0] - fork[0]
        top = fork[1] - self.g.arc_height + 11.0 - (0 if self.g.has_room_for_names else 5)
        points = fork, (fork[0], top), (x, top), (x, merge.y)
        radius = min(
            fork[1] - top,
            span / 2,
            MAX_CORNER_RADIUS,
            span / 5 if way and self.g.pitch > 60 else span,
        )
        self.place_projections(way, skip, fork[0] + radius, x - radius, top)
        return Arc(
            skip.kind, skip.source, skip.merge, skip.operand, skip.projection, points, radius
        )

    def place_projections(
        self, way: tuple[str, ...], skip: SkipConnection, left: float, right: float, y: float
    ) -> None:
        """The projection's nodes on the flat part of its arc, side by side."""
        for i, name in enumerate(way):
            tall = 18.0 if self.g.has_room_for_names else max(9.0, min(15.0, self.g.pitch * 0.17))
            each = max(right - left, self.g.pitch / 3) / len(way)
            words = (
                (skip.projection or self.nodes[name].label)
                if len(way) == 1
                else self.nodes[name].label
            )
            words = shorten_label(words, each - 8)
            width = min(each - 2, text_width(words, 9.5) + 12)
            x = (left + right) / 2 + each * (i - len(way) / 2) + (each - width) / 2
            self.places[name] = NodeBox(
                name, Rect(x, y - tall / 2, width, tall), "pill", (words,), self.row(skip.merge)
            )

    def row(self, name: str) -> int:
        return self.places[name].row

    def place_gate_weights(self) -> None:
        """What makes a gate's weight, under the block that it reads, with its two wires."""
        for gate, way in self.spine.gate_weight_nodes.items():
            source, merge = self.fork_point(gate), self.places[gate].rect
            left, each = source.x + source.w * 0.12, source.w * 0.76 / len(way)
            if each < 14:  # a narrow block: up to under the gate
                left, each = source.x, (merge.center[0] - source.x) * 0.85 / len(way)
            tall = 18.0 if self.g.has_room_for_names else 8.0
            y = source.center[1] + self.g.depth_below - tall / 2
            for i, name in enumerate(way):
                rect = Rect(left + i * each + 1, y - tall / 2, each - 2, tall)
                self.places[name] = NodeBox(
                    name, rect, "side", self.side_words(name), self.row(gate)
                )
            self.wire_side(gate, way, source, merge)

    def side_words(self, name: str) -> tuple[str, ...]:
        node = self.nodes[name]
        return (node.label.rpartition(".")[2] if self.g.has_room_for_names else "",)

    def wire_side(self, gate: str, way: tuple[str, ...], source: Rect, merge: Rect) -> None:
        first, last = self.places[way[0]].rect, self.places[way[-1]].rect
        fork = next(skip.source for skip in self.diagram.skips if skip.merge == gate)
        operand = next(
            x.operand for x in self.diagram.edges if (x.source, x.target) == (way[-1], gate)
        )
        down = (first.center[0], source.bottom), (first.center[0], first.y)
        self.wires.append(Wire(fork, way[0], 0, down, "weight", 0.0))
        for a, b in pairwise(way):
            x, y = self.places[a].rect.right, self.places[a].rect.center[1]
            self.wires.append(Wire(a, b, 0, ((x, y), (self.places[b].rect.x, y)), "weight", 0.0))
        up = (
            (last.right, last.center[1]),
            (merge.center[0], last.center[1]),
            (merge.center[0], merge.bottom),
        )
        self.wires.append(Wire(way[-1], gate, operand, up, "weight", min(8.0, self.g.gap)))

    def fork_point(self, gate: str) -> Rect:
        return self.places[
            next(skip.source for skip in self.diagram.skips if skip.merge == gate)
        ].rect

    def bands(self) -> tuple[StageBand, ...]:
        width = 2 * PAD + self.lead + self.body + self.tail
        found: list[StageBand] = []
        for row in sorted({line.row for line in self.lines}):
            mine = [i for i, line in enumerate(self.lines) if line.row == row]
            names = [name for i in mine for piece in self.lines[i].body for name in piece]
            node = self.nodes[names[-1]]
            top, bottom = self.tops[mine[0]], self.tops[mine[-1]] + self.g.line
            stacked = self.g.has_room_for_names and PAD + self.g.arc_height - self.g.tall / 2 > 41
            note = f"{node.shape[0]} {'channels' if stacked else 'ch'}"
            found.append(
                StageBand(
                    Rect(0, top, width, bottom - top),
                    format_spatial_size(node),
                    note,
                    (PAD + 3, top + 7),
                    stacked,
                )
            )
        return tuple(found)


def layout_residual(diagram: Graph, spine: ResidualChain, room: Point) -> GraphLayout:
    """Places a chain with shortcuts; `room` (width, height) is what the drawing should fill at zoom 1."""
    return ResidualLayout(diagram, spine, room).placement()
