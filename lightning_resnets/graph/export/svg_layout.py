"""Assign the nodes of a graph to rows and lanes of a drawing.

Rows are longest paths from the input (Sugiyama et al. 1981). The spine is the main path back from
the output. Every other path gets the nearest free lane to its right, from its fork to its end.
"""

from dataclasses import dataclass

from lightning_resnets.graph.data import GraphData, Node
from lightning_resnets.merges import MergeKind


@dataclass(frozen=True, slots=True)
class DenseBlock:
    """A run of concats, each of all inputs of the one before and one part more."""

    sources: tuple[str, ...]
    merges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GridLayout:
    """Rows and lanes of the nodes of a graph.

    Attributes:
        rows: row of every node.
        lanes: lane of every node.
        main_input: the input that stands above each node in its path; None for a first node.
        lane_ends: by last node of each path, the row down to which its lane is its own.
        dense: the dense blocks.
    """

    rows: dict[str, int]
    lanes: dict[str, int]
    main_input: dict[str, str | None]
    lane_ends: dict[str, int]
    dense: tuple[DenseBlock, ...]


@dataclass(frozen=True, slots=True)
class _Path:
    """Nodes in one lane, from the last to the first, and the rows that they take."""

    start: int
    end: int
    names: list[str]


def assign_rows_and_lanes(graph: GraphData) -> GridLayout:
    """Assign every node to a row and a lane.

    Args:
        graph: the graph.

    Returns:
        The layout.
    """
    inputs = graph.all_inputs()
    rows: dict[str, int] = {}
    for node in graph.nodes:
        rows[node.name] = 1 + max((rows[source] for source in inputs[node.name]), default=-1)
    main = _main_inputs(graph, inputs)
    paths = _paths(graph, inputs, rows, main)
    lanes = _assign_lanes(paths)
    lane_ends = {path.names[0]: path.end for path in paths}
    return GridLayout(rows, lanes, main, lane_ends, _dense_blocks(graph, inputs))


def _main_inputs(graph: GraphData, inputs: dict[str, tuple[str, ...]]) -> dict[str, str | None]:
    """Return the main input of every node."""
    order = {node.name: position for position, node in enumerate(graph.nodes)}
    skipped: dict[str, set[int]] = {}
    for skip in graph.skips:
        skipped.setdefault(skip.merge, set()).add(skip.operand)
    return {
        node.name: _main_input(node, inputs[node.name], skipped.get(node.name, set()), order)
        for node in graph.nodes
    }


def _main_input(
    node: Node, sources: tuple[str, ...], skipped: set[int], order: dict[str, int]
) -> str | None:
    """Return the first input that is not a skip; the newest of a concat with skips."""
    if not sources:
        return None
    if node.kind is MergeKind.GATE:
        return sources[0]
    candidates = [source for operand, source in enumerate(sources) if operand not in skipped]
    # Every input may be a skip.
    candidates = candidates or list(sources)
    # A dense layer's own output is the newest part; the others come through the ribbon.
    if node.kind is MergeKind.CONCAT and skipped:
        return max(candidates, key=order.__getitem__)
    return candidates[0]


def _paths(
    graph: GraphData,
    inputs: dict[str, tuple[str, ...]],
    rows: dict[str, int],
    main: dict[str, str | None],
) -> list[_Path]:
    """Return the paths of main inputs: the spine first, the others from top to bottom."""
    last_reads = _last_reading_rows(inputs, rows)
    visited: set[str] = set()
    paths: list[_Path] = []
    # From the output back, so that the spine is the first path.
    for node in reversed(graph.nodes):
        names: list[str] = []
        name: str | None = node.name
        while name is not None and name not in visited:
            visited.add(name)
            names.append(name)
            name = main[name]
        if names:
            # Just below its fork, or in the row of an input of the model.
            start = rows[name] + 1 if name else rows[names[-1]]
            paths.append(_Path(start, last_reads[names[0]], names))
    return [*paths[:1], *reversed(paths[1:])]


def _last_reading_rows(inputs: dict[str, tuple[str, ...]], rows: dict[str, int]) -> dict[str, int]:
    """Return the last row that reads each node, its own if none does."""
    last_reads = dict(rows)
    for name, sources in inputs.items():
        for source in sources:
            last_reads[source] = max(last_reads[source], rows[name])
    return last_reads


def _assign_lanes(paths: list[_Path]) -> dict[str, int]:
    """Give the spine lane 0 and every other path the first lane that is free in its rows."""
    lanes: dict[str, int] = {}
    used: list[list[tuple[int, int]]] = []  # by lane, the rows in use
    for path in paths:
        lane = _first_free_lane(used, path)
        if lane == len(used):
            used.append([])
        used[lane].append((path.start, path.end))
        lanes |= dict.fromkeys(path.names, lane)
    return lanes


def _first_free_lane(used: list[list[tuple[int, int]]], path: _Path) -> int:
    """Return the lane for a path; a new one if all are in use."""
    # Lane 0 belongs to the spine, which is the first path.
    for lane in range(1, len(used)):
        if _is_free(used[lane], path.start, path.end):
            return lane
    return len(used)


def _is_free(used: list[tuple[int, int]], start: int, end: int) -> bool:
    """Return True if no used span of rows overlaps the given one."""
    return all(end < first or last < start for first, last in used)


def _dense_blocks(graph: GraphData, inputs: dict[str, tuple[str, ...]]) -> tuple[DenseBlock, ...]:
    """Return the runs of at least two concats that accumulate their inputs."""
    blocks: list[DenseBlock] = []
    for node in graph.nodes:
        if node.kind is not MergeKind.CONCAT:
            continue
        sources = inputs[node.name]
        # One part more than the concat before it.
        if blocks and sources[:-1] == blocks[-1].sources:
            blocks[-1] = DenseBlock(sources, (*blocks[-1].merges, node.name))
        else:
            blocks.append(DenseBlock(sources, (node.name,)))
    return tuple(block for block in blocks if len(block.merges) > 1)


def arc_levels(spans: list[tuple[int, int]]) -> list[int]:
    """Assign arcs to levels so that none overlap, short ones inside.

    Args:
        spans: first and last row of each arc.

    Returns:
        The level of each arc.
    """
    # Short arcs first, so that they get the inner levels.
    order = sorted(range(len(spans)), key=lambda i: (spans[i][1] - spans[i][0], spans[i][0]))
    levels = [0] * len(spans)
    used: list[list[tuple[int, int]]] = []
    for i in order:
        levels[i] = _first_free_level(used, spans[i])
        if levels[i] == len(used):
            used.append([])
        used[levels[i]].append(spans[i])
    return levels


def _first_free_level(used: list[list[tuple[int, int]]], span: tuple[int, int]) -> int:
    """Return the first level where an arc fits; arcs of one level may meet at their ends."""
    start, end = span
    for level, spans in enumerate(used):
        if all(end <= first or last <= start for first, last in spans):
            return level
    return len(used)
