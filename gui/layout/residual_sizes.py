"""Sizes of a drawing in rows, chosen so that the model is shown as large as its room allows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from gui.graph import Graph, Node
from gui.layout.chains import ResidualChain, group_by_resolution, unbreakable_groups
from gui.layout.geometry import LANE_GAP, LINE_GAP, MARGIN, PAD, Point, spatial_size

Group = tuple[str, ...]

# In units, between these pitches sizes grow in proportion.
MIN_PITCH = 38.0
PITCH_RANGE = 110.0

# In units, the greatest pitch of groups with one block, and with several.
MAX_PITCH = 204.0
MAX_PITCH_OF_SEVERAL_BLOCKS = 260.0


class StageGroups(NamedTuple):
    """The groups of one stage: before its first block, its blocks, after its last block."""

    head: list[Group]
    body: list[Group]
    tail: list[Group]


@dataclass(frozen=True, slots=True)
class ResidualSizes:
    """All sizes of a drawing in units; `pitch` is the length of one group."""

    pitch: float
    end: float  # length of a group that is not a block: input, stem, head, output
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
        """Return the height of one row."""
        return self.arc_height + self.depth_below + 2 * PAD


@dataclass(frozen=True, slots=True)
class LayoutRow:
    """One line of groups; `row` is the index of its stage."""

    row: int
    head: tuple[Group, ...]
    body: tuple[Group, ...]
    tail: tuple[Group, ...]

    @property
    def pieces(self) -> tuple[Group, ...]:
        """Return all groups from left to right."""
        return (*self.head, *self.body, *self.tail)


@dataclass(frozen=True, slots=True)
class MaxCounts:
    """The greatest number of nodes of each kind in one group.

    A block of our models is one node; one of other libraries may be several.
    """

    adds: int
    gates: int
    blocks: int

    @classmethod
    def from_groups(cls, pieces: list[Group], kinds: Mapping[str, str]) -> "MaxCounts":
        """Count the nodes of each group.

        Args:
            pieces: The groups of all stages.
            kinds: The kind of each node by name.

        Returns:
            The greatest counts; at least one addition and one block.
        """
        counts = [Counter(kinds[name] for name in piece) for piece in pieces]
        adds = max((count["add"] for count in counts), default=0)
        gates = max((count["gate"] for count in counts), default=0)
        others = [count.total() - count["add"] - count["gate"] for count in counts]
        # At least one block, because sizes are divided by their number.
        return cls(max(1, adds), gates, max([1, *others]))

    @property
    def min_pitch(self) -> float:
        """Return the shortest pitch, at which only numbers fit into a block."""
        return 38.0 + 17.0 * self.gates + 15.0 * (self.adds - 1) + 20.0 * (self.blocks - 1)


def sizes_for_pitch(pitch: float, most: MaxCounts, stretch: float = 1.0) -> ResidualSizes:
    """Compute all sizes for a pitch.

    Args:
        pitch: The length of one group in units, between `most.min_pitch` and 260.
        most: The greatest number of nodes in one group.
        stretch: The factor of the heights, 1 to 2.

    Returns:
        The sizes in units.
    """
    # 0 for the shortest pitch, 1 from the greatest on: from compact to roomy.
    ease = min(1.0, max(0.0, (pitch - MIN_PITCH) / PITCH_RANGE))
    plus = 11 + 10 * ease
    gap = 3.6 + 8.4 * ease
    # A diamond looks smaller than a circle of its width.
    gate = plus + 3
    # Wide blocks stretch less, else they would look like squares.
    tall = (30 + 10 * ease) * min(stretch, 1.5 - 0.2 * ease)
    gate_depth = 0.0
    if most.gates:
        gate_depth = (12 + 16 * ease) * min(stretch, 1.4)
    merges = most.adds * (plus + gap) + most.gates * (gate + gap)
    block = (pitch - merges - 2 * gap) / most.blocks - gap * (most.blocks - 1) / most.blocks
    return ResidualSizes(
        pitch=pitch,
        end=34 + 32 * ease,
        block=block,
        tall=tall,
        plus=plus,
        gate=gate,
        gap=gap,
        arc_height=tall / 2 + (18 + 12 * ease) * stretch,
        depth_below=tall / 2 + gate_depth,
        has_room_for_names=block >= 52,
    )


def stage_rows(diagram: Graph, spine: ResidualChain) -> list[StageGroups]:
    """Split the chain into stages.

    Args:
        diagram: The folded graph.
        spine: Its chain.

    Returns:
        The groups of each stage.
    """
    nodes = {node.name: node for node in diagram.nodes}
    groups = unbreakable_groups(spine.order, diagram.skips)
    stages: list[StageGroups] = []
    for i, stage in enumerate(group_by_resolution(groups, nodes)):
        # Only the first stage has a stem before its blocks.
        count = 0 if i else _stem_length(stage, nodes)
        body = stage[count:]
        last = len(body)
        # One group stays, so that no stage is without a body.
        while last > 1 and is_tail(body[last - 1], nodes):
            last -= 1
        stages.append(StageGroups(stage[:count], body[:last], body[last:]))
    return stages


def _stem_length(stage: list[Group], nodes: dict[str, Node]) -> int:
    """Count the groups before the first block of a stage, 0 if it has no block."""
    for count, group in enumerate(stage):
        if is_repeated_block(group, nodes):
            return count
    return 0


def is_tail(piece: Group, nodes: dict[str, Node]) -> bool:
    """Return True for a group after all stages, one whose outputs are all vectors.

    Args:
        piece: The names of the group.
        nodes: The nodes of the graph by name.
    """
    return all(
        nodes[name].kind in ("head", "output") or not spatial_size(nodes[name]) for name in piece
    )


def is_repeated_block(piece: Group, nodes: dict[str, Node]) -> bool:
    """Return True for a block of a stage: it has a skip around it, or its name ends in a number.

    Args:
        piece: The names of the group.
        nodes: The nodes of the graph by name.
    """
    first = piece[0]
    return len(piece) > 1 or (nodes[first].kind == "block" and first.rpartition(".")[2].isdigit())


def wrap_rows(stages: list[StageGroups], cap: int) -> list[LayoutRow]:
    """Wrap stages into lines, those of one stage about equally long.

    Args:
        stages: The groups of each stage.
        cap: The greatest number of blocks on a line.

    Returns:
        The lines from top to bottom.
    """
    lines: list[LayoutRow] = []
    for i, stage in enumerate(stages):
        parts = _split_evenly(stage.body, cap)
        for k, part in enumerate(parts):
            head = tuple(stage.head) if k == 0 else ()
            tail = tuple(stage.tail) if k == len(parts) - 1 else ()
            lines.append(LayoutRow(i, head, part, tail))
    return lines


def _split_evenly(groups: list[Group], cap: int) -> list[tuple[Group, ...]]:
    """Split groups into the fewest parts of at most `cap`, as equal as possible."""
    # A stage without blocks is still one line, for its stem or its head.
    if not groups:
        return [()]
    # Rounded up twice: the fewest parts, then the greatest length of one.
    part_count = -(-len(groups) // cap)
    size = -(-len(groups) // part_count)
    return [tuple(groups[k : k + size]) for k in range(0, len(groups), size)]


class _Fit(NamedTuple):
    """The zoom at which a drawing with at most `cap` blocks on a line fits, and its sizes."""

    zoom: float
    cap: int
    sizes: ResidualSizes


def fit_rows(
    diagram: Graph, spine: ResidualChain, room: Point
) -> tuple[list[LayoutRow], ResidualSizes]:
    """Choose the lines and sizes with which the drawing is shown largest.

    Args:
        diagram: The folded graph.
        spine: Its chain.
        room: The width and height in units that the drawing should fill at zoom 1.

    Returns:
        The lines from top to bottom, and the sizes in units.
    """
    stages = stage_rows(diagram, spine)
    kinds = {node.name: node.kind for node in diagram.nodes}
    blocks = list(chain.from_iterable(stage.body for stage in stages))
    most = MaxCounts.from_groups(blocks, kinds)
    longest = max(len(stage.body) for stage in stages)
    fits = [_fit_cap(stages, most, cap, room) for cap in range(1, longest + 1)]
    # Of drawings shown at about the same zoom, the one with the fewest lines is easiest to read.
    best = max(fits, key=lambda fit: (round(fit.zoom * 12), fit.cap))
    return wrap_rows(stages, best.cap), best.sizes


def _fit_cap(stages: list[StageGroups], most: MaxCounts, cap: int, room: Point) -> _Fit:
    """Fit a drawing with at most `cap` blocks on a line into a room."""
    end_count = max(len(stage.head) for stage in stages) + max(len(stage.tail) for stage in stages)
    pitch = _fit_pitch(most, end_count, cap, room[0])
    sizes = sizes_for_pitch(pitch, most)
    # As many as `wrap_rows` makes; a stage without blocks is still one line.
    line_count = sum(max(1, -(-len(stage.body) // cap)) for stage in stages)
    width = 2 * MARGIN + 2 * PAD + sizes.end * end_count + pitch * cap
    stage_gaps = (len(stages) - 1) * LANE_GAP
    line_gaps = (line_count - len(stages)) * (LINE_GAP - PAD)
    spare = stage_gaps + line_gaps + 2 * MARGIN
    # Never enlarged: a small model gets a longer pitch instead.
    zoom = min(room[0] / width, room[1] / (sizes.line * line_count + spare), 1.0)
    # Make the lines taller while there is room.
    for step in range(1, 13):
        taller = sizes_for_pitch(pitch, most, 1 + step / 12)
        if (taller.line * line_count + spare) * zoom <= room[1]:
            sizes = taller
    return _Fit(zoom, cap, sizes)


def _fit_pitch(most: MaxCounts, end_count: int, cap: int, width: float) -> float:
    """Compute the pitch at which `cap` blocks and the ends fill a width."""
    free = width - 2 * MARGIN - 2 * PAD
    max_pitch = MAX_PITCH if most.blocks == 1 else MAX_PITCH_OF_SEVERAL_BLOCKS
    pitch = free
    # The ends shrink with the pitch, so it takes a few rounds to settle.
    for _ in range(4):
        ends = sizes_for_pitch(pitch, most).end * end_count
        pitch = min(max_pitch, max(most.min_pitch, (free - ends) / cap))
    return pitch
