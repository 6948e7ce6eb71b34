"""Lines of a layered drawing: around nodes in a row, and through the gaps between rows."""

from itertools import chain, pairwise

from gui.graph import Graph
from gui.layout.chains import path_between
from gui.layout.geometry import (
    LANE_GAP,
    Arc,
    NodeBox,
    Point,
    Wire,
    WireRole,
    input_edges,
    skip_arc,
)

# In units: the distance of columns, the height of a row's title.
STEP = 104.0
TITLE = 34.0

CORNER_RADIUS = 10.0


def edge_lines(
    diagram: Graph, places: dict[str, NodeBox], tops: list[float]
) -> tuple[tuple[Wire, ...], tuple[Arc, ...]]:
    """Route every edge and every skip.

    Args:
        diagram: The folded graph.
        places: The box of each node by name.
        tops: The top of each row in units.

    Returns:
        The wires of plain edges, and the arcs of skips.
    """
    routes = skip_routes(diagram)
    arcs = tuple(
        skip_arc(diagram.skips[i], _route_along(names, places, tops), CORNER_RADIUS)
        for i, names in enumerate(routes)
    )
    # An edge that is part of a skip is drawn with it.
    drawn = set(chain.from_iterable(pairwise(names) for names in routes))
    wires: list[Wire] = []
    for edge in diagram.edges:
        if (edge.source, edge.target) in drawn:
            continue
        source = places[edge.source]
        target = places[edge.target]
        points = route_edge(source, target, tops)
        role = _wire_role(source, target)
        wires.append(Wire(edge.source, edge.target, edge.operand, points, role, CORNER_RADIUS))
    return tuple(wires), arcs


def skip_routes(diagram: Graph) -> list[tuple[str, ...]]:
    """List the nodes along each skip.

    Args:
        diagram: The folded graph.

    Returns:
        For each skip the names from its fork over its projection to its merge; if several paths
        lead there, only the last node before the merge and the merge.
    """
    links = input_edges(diagram)
    routes: list[tuple[str, ...]] = []
    for skip in diagram.skips:
        path = path_between(links, skip.merge, skip.operand, skip.source)
        if path is None:
            # Several paths lead there, so only the last leg is surely the skip's.
            last = next(edge for edge in links[skip.merge] if edge.operand == skip.operand)
            routes.append((last.source, skip.merge))
        else:
            routes.append((skip.source, *path, skip.merge))
    return routes


def _route_along(
    names: tuple[str, ...], places: dict[str, NodeBox], tops: list[float]
) -> tuple[Point, ...]:
    """Route a skip through the nodes of its projection, whose boxes lie on the line."""
    legs = [route_edge(places[a], places[b], tops) for a, b in pairwise(names)]
    return tuple(chain.from_iterable(legs))


def _wire_role(source: NodeBox, target: NodeBox) -> WireRole:
    """Return "turn" for an edge to another row, else "spine"."""
    if source.row == target.row:
        return "spine"
    return "turn"


def route_edge(source: NodeBox, target: NodeBox, tops: list[float]) -> tuple[Point, ...]:
    """Route an edge from the right of one node to another.

    Args:
        source: The box where the edge starts.
        target: The box where it ends.
        tops: The top of each row in units.

    Returns:
        The corners of the line: straight to a neighbor, above the nodes in between, or through
        the gap to another row.
    """
    start = (source.rect.right, source.rect.center[1])
    end = (target.rect.x, target.rect.center[1])
    if source.row != target.row:
        return _route_to_row(start, end, tops[target.row] - LANE_GAP / 2)
    if end[0] - start[0] <= STEP:
        return _route_to_neighbor(start, end)
    # Lines start at three heights, so that parallel ones do not hide each other.
    y = tops[source.row] + TITLE - 4 + 8 * (stable_jitter(source.name) % 3)
    out = start[0] + 7
    into = target.rect.center[0]
    return start, (out, start[1]), (out, y), (into, y), (into, target.rect.y)


def _route_to_row(start: Point, end: Point, gap_y: float) -> tuple[Point, ...]:
    """Route an edge to another row through the gap above that row."""
    # Short stubs keep the corners clear of both nodes.
    out = start[0] + 10
    into = end[0] - 10
    return start, (out, start[1]), (out, gap_y), (into, gap_y), (into, end[1]), end


def _route_to_neighbor(start: Point, end: Point) -> tuple[Point, ...]:
    """Route an edge to the next column, with a bend where the heights differ."""
    if start[1] == end[1]:
        return start, end
    # Just before the target, so that lines from one node stay together at first.
    bend = end[0] - 12
    return start, (bend, start[1]), (bend, end[1]), end


def stable_jitter(name: str) -> int:
    """Return a number that depends on the name only, to keep parallel lines apart.

    Args:
        name: The name of a node.
    """
    # Not `hash`, which differs from one start of Python to the next.
    return sum(map(ord, name))
