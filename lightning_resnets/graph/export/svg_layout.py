"""Assign the nodes of a graph to rows and lanes of a drawing.

Rows are longest paths from the input (Sugiyama et al. 1981). The spine is the main path back from
the output. Every other path gets the nearest free lane to its right, from its fork to its end.
"""

from dataclasses import dataclass

from lightning_resnets.graph.data import GraphData
from lightning_resnets.merges import MergeKind


@dataclass(frozen=True, slots=True)
class DenseBlock:
    """A run of concatenations, each of all that the one before had and one part more."""

    sources: tuple[str, ...]
    merges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GridLayout:
    """Row and lane of every block, the block above each on its own way, and the last row that each lane's way spans."""

    rows: dict[str, int]
    lanes: dict[str, int]
    main_input: dict[str, str | None]
    lane_ends: dict[
        str, int
    ]  # of the last block of a way: the row down to which its lane is its own
    dense: tuple[DenseBlock, ...]


def assign_rows_and_lanes(graph: GraphData) -> GridLayout:
    """Assign every node to a row and a lane.

    Args:
        graph: the graph.

    Returns:
        The layout.
    """
    given = graph.all_inputs()
    rows: dict[str, int] = {}
    for block in graph.nodes:
        rows[block.name] = 1 + max((rows[source] for source in given[block.name]), default=-1)
    main = _main(graph, given)
    lanes, ends = _lanes(graph, given, rows, main)
    return GridLayout(rows, lanes, main, ends, _dense(graph, given))


def _main(graph: GraphData, given: dict[str, tuple[str, ...]]) -> dict[str, str | None]:
    """Return the main input of every node."""
    order = {block.name: place for place, block in enumerate(graph.nodes)}
    skipped: dict[str, set[int]] = {}
    for skip in graph.skips:
        skipped.setdefault(skip.merge, set()).add(skip.operand)
    found: dict[str, str | None] = {}
    for block in graph.nodes:
        sources = given[block.name]
        rest = [
            source
            for place, source in enumerate(sources)
            if place not in skipped.get(block.name, ())
        ] or sources
        if block.kind is MergeKind.GATE:
            rest = sources[:1]
        newest = block.kind is MergeKind.CONCAT and block.name in skipped
        found[block.name] = (
            (max(rest, key=order.__getitem__) if newest else rest[0]) if rest else None
        )
    return found


def _lanes(
    graph: GraphData,
    given: dict[str, tuple[str, ...]],
    rows: dict[str, int],
    main: dict[str, str | None],
) -> tuple[dict[str, int], dict[str, int]]:
    read = dict(rows)  # the last row that reads a block
    for name, sources in given.items():
        for source in sources:
            read[source] = max(read[source], rows[name])
    lanes: dict[str, int] = {}
    ends: dict[str, int] = {}
    taken: list[list[tuple[int, int]]] = []  # by lane, the rows in use
    ways: list[
        tuple[int, int, list[str]]
    ] = []  # (first row, last row, blocks from the last to the first)
    for block in reversed(graph.nodes):
        way: list[str] = []
        name: str | None = block.name
        while name is not None and name not in lanes:
            lanes[name] = 0
            way.append(name)
            name = main[name]
        if way:
            start = rows[name] + 1 if name else rows[way[-1]]
            ways.append((start, read[way[0]], way))
    spine = ways[:1]
    for place, (start, end, way) in enumerate((*spine, *reversed(ways[1:]))):
        free = (lane for lane in range(1, len(taken)) if _free(taken[lane], start, end))
        lane = next(free, max(1, len(taken))) if place else 0
        if lane == len(taken):
            taken.append([])
        taken[lane].append((start, end))
        lanes |= dict.fromkeys(way, lane)
        ends[way[0]] = end
    return lanes, ends


def _free(taken: list[tuple[int, int]], start: int, end: int) -> bool:
    return all(end < first or last < start for first, last in taken)


def _dense(graph: GraphData, given: dict[str, tuple[str, ...]]) -> tuple[DenseBlock, ...]:
    found: list[DenseBlock] = []
    for block in graph.nodes:
        sources = given[block.name]
        if block.kind is not MergeKind.CONCAT:
            continue
        if found and sources[:-1] == found[-1].sources:
            found[-1] = DenseBlock(sources, (*found[-1].merges, block.name))
        else:
            found.append(DenseBlock(sources, (block.name,)))
    return tuple(dense for dense in found if len(dense.merges) > 1)


def arc_levels(spans: list[tuple[int, int]]) -> list[int]:
    """Assign arcs to levels so that none overlap, short ones inside.

    Args:
        spans: first and last row of each arc.

    Returns:
        The level of each arc.
    """
    order = sorted(range(len(spans)), key=lambda i: (spans[i][1] - spans[i][0], spans[i][0]))
    found = [0] * len(spans)
    used: list[list[tuple[int, int]]] = []
    for i in order:
        start, end = spans[i]
        level = next(
            (n for n, held in enumerate(used) if all(end <= a or b <= start for a, b in held)),
            len(used),
        )
        if level == len(used):
            used.append([])
        used[level].append((start, end))
        found[i] = level
    return found
