"""The sizes of a drawing in rows: how many blocks go on a line so that the model is shown as large as its room allows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from gui.graph import Graph, Node
from gui.layout.chains import ResidualChain, group_by_resolution, unbreakable_groups
from gui.layout.geometry import LANE_GAP, LINE_GAP, MARGIN, PAD, Point, spatial_size

Group = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResidualSizes:
    """All sizes of a drawing; `pitch` is the length of one piece, `roomy` where blocks have space for their names."""

    pitch: float
    end: float  # length of a piece that is no block: input, stem, head, output
    block: float
    tall: float
    plus: float
    gate: float
    gap: float
    arc_height: float  # of an arc above the spine
    depth_below: float  # from the spine down
    has_room_for_names: bool

    @property
    def line(self) -> float:
        return self.arc_height + self.depth_below + 2 * PAD


@dataclass(frozen=True, slots=True)
class LayoutRow:
    """One line of pieces: those before the first block, the blocks, those after the last; `row` is its stage."""

    row: int
    head: tuple[Group, ...]
    body: tuple[Group, ...]
    tail: tuple[Group, ...]

    @property
    def pieces(self) -> tuple[Group, ...]:
        return (*self.head, *self.body, *self.tail)


@dataclass(frozen=True, slots=True)
class MaxCounts:
    """The most that one piece holds, of each kind; our own blocks are one node, foreign ones may be several."""

    adds: int
    gates: int
    blocks: int

    @classmethod
    def from_groups(cls, pieces: list[Group], kinds: Mapping[str, str]) -> "MaxCounts":
        counts = [Counter(kinds[name] for name in piece) for piece in pieces]
        others = [
            len(piece) - count["add"] - count["gate"]
            for piece, count in zip(pieces, counts, strict=True)
        ]
        adds, gates = (
            max((count[kind] for count in counts), default=0) for kind in ("add", "gate")
        )
        return cls(max(1, adds), gates, max([1, *others]))

    @property
    def min_pitch(self) -> float:
        """The shortest pitch, where only numbers fit."""
        return 38.0 + 17.0 * self.gates + 15.0 * (self.adds - 1) + 20.0 * (self.blocks - 1)


def sizes_for_pitch(pitch: float, most: MaxCounts, stretch: float = 1.0) -> ResidualSizes:
    """Sizes for a pitch between `most.least` and 204 units."""
    ease = min(1.0, max(0.0, (pitch - 38) / 110))
    plus, gap = 11 + 10 * ease, 3.6 + 8.4 * ease
    gate = plus + 3
    tall = (30 + 10 * ease) * min(stretch, 1.5 - 0.2 * ease)
    below = tall / 2 + ((12 + 16 * ease) * min(stretch, 1.4) if most.gates else 0)
    merges = most.adds * (plus + gap) + most.gates * (gate + gap)
    block = (pitch - merges - 2 * gap) / most.blocks - gap * (most.blocks - 1) / most.blocks
    rise = tall / 2 + (18 + 12 * ease) * stretch
    return ResidualSizes(
        pitch, 34 + 32 * ease, block, tall, plus, gate, gap, rise, below, block >= 52
    )


def stage_rows(
    diagram: Graph, spine: ResidualChain
) -> list[tuple[list[Group], list[Group], list[Group]]]:
    """Each stage as what comes before its first block, its blocks, what comes after the last."""
    nodes = {node.name: node for node in diagram.nodes}
    pieces = unbreakable_groups(spine.order, diagram.skips)
    rows: list[tuple[list[Group], list[Group], list[Group]]] = []
    for i, row in enumerate(group_by_resolution(pieces, nodes)):
        count = 0
        while i == 0 and count < len(row) and not is_repeated_block(row[count], nodes):
            count += 1
        lead, rest = (row[:count], row[count:]) if count < len(row) else ([], row)
        last = len(rest)
        while last > 1 and is_tail(rest[last - 1], nodes):
            last -= 1
        rows.append((lead, rest[:last], rest[last:]))
    return rows


def is_tail(piece: Group, nodes: dict[str, Node]) -> bool:
    """True for what comes after all stages: anything that puts out a vector."""
    return all(
        nodes[name].kind in ("head", "output") or not spatial_size(nodes[name]) for name in piece
    )


def is_repeated_block(piece: Group, nodes: dict[str, Node]) -> bool:
    """True for a block of a stage: it has a skip around it, or its name ends in a number."""
    first = piece[0]
    return len(piece) > 1 or (nodes[first].kind == "block" and first.rpartition(".")[2].isdigit())


def wrap_rows(
    rows: list[tuple[list[Group], list[Group], list[Group]]], cap: int
) -> list[LayoutRow]:
    """Stages as lines of at most `cap` blocks, the lines of one stage about equally long."""
    lines: list[LayoutRow] = []
    for i, (lead, body, tail) in enumerate(rows):
        count = max(1, -(-len(body) // cap))
        size = -(-len(body) // count)
        parts = [tuple(body[k : k + size]) for k in range(0, max(len(body), 1), size or 1)]
        for k, part in enumerate(parts):
            first, last = k == 0, k == len(parts) - 1
            lines.append(
                LayoutRow(i, tuple(lead) if first else (), part, tuple(tail) if last else ())
            )
    return lines


def fit_rows(
    diagram: Graph, spine: ResidualChain, room: Point
) -> tuple[list[LayoutRow], ResidualSizes]:
    """The lines that let the drawing be shown largest in `room` (width, height), and the sizes that go with them."""
    rows = stage_rows(diagram, spine)
    kinds = {node.name: node.kind for node in diagram.nodes}
    pieces = [piece for _, body, _ in rows for piece in body]
    most = MaxCounts.from_groups(pieces, kinds)
    lead = max(len(row[0]) for row in rows)
    tail = max(len(row[2]) for row in rows)
    longest = max(len(body) for _, body, _ in rows)

    def measure(cap: int) -> tuple[float, int, ResidualSizes]:
        pitch = room[0] - 2 * MARGIN - 2 * PAD
        for _ in range(4):  # the ends shrink with the pitch
            ends = sizes_for_pitch(pitch, most).end * (lead + tail)
            longest_pitch = 204.0 if most.blocks == 1 else 260.0
            pitch = min(
                longest_pitch, max(most.min_pitch, (room[0] - 2 * MARGIN - 2 * PAD - ends) / cap)
            )
        sizes, lines = sizes_for_pitch(pitch, most), wrap_rows(rows, cap)
        width = 2 * MARGIN + 2 * PAD + sizes.end * (lead + tail) + pitch * cap
        spare = (
            (len(rows) - 1) * LANE_GAP + (len(lines) - len(rows)) * (LINE_GAP - PAD) + 2 * MARGIN
        )
        shown = min(room[0] / width, room[1] / (sizes.line * len(lines) + spare), 1.0)
        for step in range(1, 13):  # taller while there is room
            taller = sizes_for_pitch(pitch, most, 1 + step / 12)
            if (taller.line * len(lines) + spare) * shown <= room[1]:
                sizes = taller
        return shown, cap, sizes

    found = [measure(cap) for cap in range(1, longest + 1)]
    _, cap, sizes = max(
        found, key=lambda size: (round(size[0] * 12), size[1])
    )  # few lines where it is close
    return wrap_rows(rows, cap), sizes
