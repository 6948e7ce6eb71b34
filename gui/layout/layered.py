"""Any folded graph on the canvas: one row a stage, columns by the longest way to a node (Sugiyama et al. 1981)."""

from gui.layout.plan import (
    LANE_GAP,
    MARGIN,
    MERGES,
    PAD,
    SHAPES,
    Arc,
    Band,
    Place,
    Placement,
    Point,
    Rect,
    Wire,
    bounds,
    extent,
    incoming,
    size_words,
)
from gui.state import Diagram, Node

STEP, SLOT, TITLE = 104.0, 46.0, 34.0
WIDE, TALL, ROUND = 82.0, 34.0, 22.0


def stage_of(diagram: Diagram) -> dict[str, int]:
    """The row of each node: one more wherever the spatial size of the output falls below any before."""
    row, least, found = 0, None, {}
    for i, node in enumerate(diagram.nodes):
        here = extent(node)
        area = here[0] * here[1] if len(here) == 2 else None
        if area is not None and (least is None or area < least):
            row += least is not None and i > 1
            least = area
        found[node.name] = row
    return found


def ranks(diagram: Diagram, rows: dict[str, int]) -> dict[str, int]:
    """The column of each node: the longest way to it inside its row."""
    links = incoming(diagram)
    found: dict[str, int] = {}
    for node in diagram.nodes:
        before = [found[x.source] for x in links[node.name] if x.source in found and rows[x.source] == rows[node.name]]
        found[node.name] = 1 + max(before, default=-1)
    return found


def ordered(diagram: Diagram, rows: dict[str, int], rank: dict[str, int]) -> dict[tuple[int, int], list[str | None]]:
    """Who stands above whom in each (row, column); None is a free lane for a link that passes by."""
    columns: dict[tuple[int, int], list[tuple[float, int, str | None]]] = {}
    height: dict[str, float] = {}
    links = incoming(diagram)
    for i, node in enumerate(diagram.nodes):
        near = [height[link.source] for link in links[node.name] if link.source in height]
        height[node.name] = sum(near) / len(near) if near else 0.0
        column = columns.setdefault((rows[node.name], rank[node.name]), [])
        height[node.name] += 0.5 * len(column)
        column.append((height[node.name], i, node.name))
    for i, (row, left, right) in enumerate(sorted(passing(diagram, rows, rank))):
        for k in range(left + 1, right):
            columns.setdefault((row, k), []).append((-1.0, i, None))
    return {at: [name for _, _, name in sorted(column, key=lambda x: x[:2])] for at, column in columns.items()}


def passing(diagram: Diagram, rows: dict[str, int], rank: dict[str, int]) -> set[tuple[int, int, int]]:
    """(row, first column, last column) of the links inside a row that are longer than one step."""
    return {
        (rows[link.source], rank[link.source], rank[link.target])
        for link in diagram.links
        if rows[link.source] == rows[link.target] and rank[link.target] - rank[link.source] > 1
    }


def place_layered(diagram: Diagram) -> Placement:
    """Places any diagram: no node on another, every link drawn, skips as lines of their own."""
    rows = stage_of(diagram)
    rank = ranks(diagram, rows)
    columns = ordered(diagram, rows, rank)
    count = max(rows.values()) + 1
    tops, y = [], 0.0
    high = [max(len(column) for (row, _), column in columns.items() if row == r) for r in range(count)]
    for r in range(count):
        tops.append(y)
        y += TITLE + high[r] * SLOT + PAD + LANE_GAP
    places: dict[str, Place] = {}
    nodes = {node.name: node for node in diagram.nodes}
    for (row, k), column in columns.items():
        free = (high[row] - len(column)) * SLOT / 2
        for i, name in enumerate(column):
            if name is not None:
                middle = PAD + STEP * (k + 0.5), tops[row] + TITLE + free + SLOT * (i + 0.5)
                places[name] = place(nodes[name], middle, row)
    width = 2 * PAD + STEP * (1 + max(rank.values()))
    bands = tuple(band(diagram, rows, r, Rect(0, tops[r], width, TITLE + high[r] * SLOT + PAD)) for r in range(count))
    wires, arcs = lines(diagram, places, tops)
    found = tuple(places[node.name] for node in diagram.nodes)
    return Placement("layered", found, wires, arcs, bands=bands, bounds=bounds([b.rect for b in bands], MARGIN))


def place(node: Node, middle: Point, row: int) -> Place:
    wide, tall = (8.0, TALL) if node.kind == "concat" else (ROUND, ROUND) if node.kind in MERGES else (WIDE, TALL)
    rect = Rect(middle[0] - wide / 2, middle[1] - tall / 2, wide, tall)
    words = () if node.kind in MERGES else (node.label, node.op) if node.kind == "block" else (node.label,)
    return Place(node.name, rect, SHAPES.get(node.kind, "box"), words, row)


def band(diagram: Diagram, rows: dict[str, int], row: int, rect: Rect) -> Band:
    node = [node for node in diagram.nodes if (rows[node.name] == row and extent(node)) or not rows[node.name]][-1]
    return Band(rect, size_words(node), f"{node.shape[0]} channels", (PAD, rect.y + 8), False)


def lines(diagram: Diagram, places: dict[str, Place], tops: list[float]) -> tuple[tuple[Wire, ...], tuple[Arc, ...]]:
    """A line for every link; those that are skips become arcs, and a skip over other nodes gets one of its own."""
    wires: list[Wire] = []
    arcs: list[Arc] = []
    for link in diagram.links:
        skip = diagram.skip(link.target, link.operand)
        points = route(places[link.source], places[link.target], tops)
        if skip and skip.source == link.source:
            arcs.append(Arc(skip.kind, skip.source, skip.merge, skip.operand, skip.projected, points, 10.0))
        else:
            role = "turn" if places[link.source].row != places[link.target].row else "spine"
            wires.append(Wire(link.source, link.target, link.operand, points, role, 10.0))
    drawn = {(arc.merge, arc.operand) for arc in arcs}
    for skip in diagram.skips:
        if (skip.merge, skip.operand) not in drawn:
            a, b = places[skip.source], places[skip.merge]
            points = route(a, b, tops)
            at = points[len(points) // 2]
            arcs.append(Arc(skip.kind, skip.source, skip.merge, skip.operand, skip.projected, points, 10.0, at))
    return tuple(wires), tuple(arcs)


def route(a: Place, b: Place, tops: list[float]) -> tuple[Point, ...]:
    """Straight to a neighbour, over the top of what lies between, through the gap to another row."""
    start, end = (a.rect.right, a.rect.middle[1]), (b.rect.x, b.rect.middle[1])
    if a.row != b.row:
        y = tops[b.row] - LANE_GAP / 2
        out, into = start[0] + 10, end[0] - 10
        return start, (out, start[1]), (out, y), (into, y), (into, end[1]), end
    if end[0] - start[0] <= STEP:
        return (start, end) if start[1] == end[1] else (start, (end[0] - 12, start[1]), (end[0] - 12, end[1]), end)
    y = tops[a.row] + TITLE - 4 + 8 * (hash_of(a.name) % 3)
    out, into = start[0] + 7, b.rect.middle[0]
    return start, (out, start[1]), (out, y), (into, y), (into, b.rect.y)


def hash_of(name: str) -> int:
    """A small number that is the same in every run, to keep parallel lines apart."""
    return sum(map(ord, name))
