"""Compute where the rows and lanes of a drawing stand, in pixels."""

from dataclasses import dataclass
from itertools import chain

from lightning_resnets.graph.data import Edge, GraphData, Node
from lightning_resnets.graph.export.svg_drawing import (
    ARC_ROOM,
    ARC_STEP,
    BOX_HEIGHT,
    BOX_WIDTH,
    LANE_GAP,
    MARGIN,
    MERGE_SIZE,
    RIBBON_ROOM,
    ROW_GAP,
    TITLE_WIDTH,
)
from lightning_resnets.graph.export.svg_layout import GridLayout, arc_levels

STAGE_GAP = 14.0  # extra space where a stage begins


@dataclass(frozen=True, slots=True)
class Columns:
    """The lanes of a drawing: the middle of each, the levels of the arcs, the total width."""

    middles: list[float]
    levels: dict[Edge, int]
    ribbon_lanes: set[int]
    width: float


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a drawing: top, height and stage of each; y below the last."""

    tops: list[float]
    heights: list[float]
    stages: list[str]
    bottom: float


def place_columns(grid: GridLayout, arcs: list[Edge]) -> Columns:
    """Place the lanes from left to right.

    Args:
        grid: rows and lanes of the nodes.
        arcs: edges that are drawn as arcs left of their lane.

    Returns:
        The lanes. Left of each there is room for its arcs and ribbons.
    """
    lanes = grid.lanes
    merges = [dense.merges for dense in grid.dense]
    ribbon_lanes = {lanes[merge] for merge in chain.from_iterable(merges)}
    levels: dict[Edge, int] = {}
    middles: list[float] = []
    x = MARGIN + TITLE_WIDTH
    for lane in range(max(lanes.values(), default=0) + 1):
        lane_levels = _arc_levels_of_lane(grid, arcs, lane)
        levels |= lane_levels
        if lane > 0:
            x += LANE_GAP
        x += _room_left_of_lane(lane in ribbon_lanes, lane_levels)
        middles.append(x + BOX_WIDTH / 2)
        x += BOX_WIDTH
    return Columns(middles, levels, ribbon_lanes, x + 40)


def _room_left_of_lane(has_ribbon: bool, levels: dict[Edge, int]) -> float:
    """Return the room that a lane needs for its ribbon and, right of it, its arcs."""
    room = 0.0
    if has_ribbon:
        room += RIBBON_ROOM
    if levels:
        room += ARC_ROOM + ARC_STEP * (max(levels.values()) + 1)
    return room


def _arc_levels_of_lane(grid: GridLayout, arcs: list[Edge], lane: int) -> dict[Edge, int]:
    """Return the level of each arc of one lane."""
    own = [edge for edge in arcs if grid.lanes[edge[0]] == lane]
    levels = arc_levels([(grid.rows[source], grid.rows[target]) for source, target, _ in own])
    return dict(zip(own, levels, strict=True))


def place_rows(graph: GraphData, grid: GridLayout, top: float) -> Rows:
    """Place the rows from top to bottom.

    Args:
        graph: the graph.
        grid: rows and lanes of its nodes.
        top: y of the first row in pixels.

    Returns:
        The rows, with a little more room where a stage begins.
    """
    row_nodes = _nodes_by_row(graph, grid)
    names = [node.stage for node in graph.nodes]
    stages = [_stage_of_row(nodes, names) for nodes in row_nodes]
    # A row is as high as its highest node.
    heights = [max(_row_height(node) for node in nodes) for nodes in row_nodes]
    tops: list[float] = []
    y = top
    for row, height in enumerate(heights):
        if row > 0 and stages[row] != stages[row - 1]:
            y += STAGE_GAP
        tops.append(y)
        y += height + ROW_GAP
    return Rows(tops, heights, stages, y)


def _nodes_by_row(graph: GraphData, grid: GridLayout) -> list[list[Node]]:
    """Return the nodes of every row."""
    count = max(grid.rows.values(), default=-1) + 1
    row_nodes: list[list[Node]] = [[] for _ in range(count)]
    for node in graph.nodes:
        row_nodes[grid.rows[node.name]].append(node)
    return row_nodes


def _row_height(node: Node) -> float:
    """Return the height that a node needs."""
    return MERGE_SIZE if node.kind else BOX_HEIGHT


def _stage_of_row(nodes: list[Node], names: list[str]) -> str:
    """Return the stage that all nodes of a row share, else an empty name."""
    own = {node.stage for node in nodes}
    if len(own) != 1:
        return ""
    stage = own.pop()
    # A stage of one node needs no band: its title would repeat the node's name.
    if names.count(stage) == 1:
        return ""
    return stage
