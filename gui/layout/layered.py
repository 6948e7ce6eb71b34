"""Any folded graph on the canvas: one row a stage, columns by the longest way to a node (Sugiyama et al. 1981)."""

from gui.graph import Graph, Node
from gui.layout.geometry import (
    LANE_GAP,
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
    input_edges,
    spatial_size,
)

STEP, SLOT, TITLE = 104.0, 46.0, 34.0


WIDE, TALL, ROUND = 82.0, 34.0, 22.0


def assign_stages(diagram: Graph) -> dict[str, int]:
    """The row of each node: one more wherever the spatial size of the output falls below any before."""
    row, least, found = 0, None, {}
    for i, node in enumerate(diagram.nodes):
        here = spatial_size(node)
        area = here[0] * here[1] if len(here) == 2 else None
        if area is not None and (least is None or area < least):
            row += least is not None and i > 1
            least = area
        found[node.name] = row
    return found


def assign_columns(diagram: Graph, rows: dict[str, int]) -> dict[str, int]:
    """The column of each node: the longest way to it inside its row."""
    links = input_edges(diagram)
    found: dict[str, int] = {}
    for node in diagram.nodes:
        before = [
            found[x.source]
            for x in links[node.name]
            if x.source in found and rows[x.source] == rows[node.name]
        ]
        found[node.name] = 1 + max(before, default=-1)
    return found


def order_columns(
    diagram: Graph, rows: dict[str, int], rank: dict[str, int]
) -> dict[tuple[int, int], list[str | None]]:
    """Who stands above whom in each (row, column); None is a free lane for a link that passes by."""
    columns: dict[tuple[int, int], list[tuple[float, int, str | None]]] = {}
    height: dict[str, float] = {}
    links = input_edges(diagram)
    for i, node in enumerate(diagram.nodes):
        near = [height[link.source] for link in links[node.name] if link.source in height]
        height[node.name] = sum(near) / len(near) if near else 0.0
        column = columns.setdefault((rows[node.name], rank[node.name]), [])
        height[node.name] += 0.5 * len(column)
        column.append((height[node.name], i, node.name))
    for i, (row, left, right) in enumerate(sorted(long_edges(diagram, rows, rank))):
        for k in range(left + 1, right):
            columns.setdefault((row, k), []).append((-1.0, i, None))
    return {
        at: [name for _, _, name in sorted(column, key=lambda x: x[:2])]
        for at, column in columns.items()
    }


def long_edges(
    diagram: Graph, rows: dict[str, int], rank: dict[str, int]
) -> set[tuple[int, int, int]]:
    """(row, first column, last column) of the links inside a row that are longer than one step."""
    return {
        (rows[link.source], rank[link.source], rank[link.target])
        for link in diagram.edges
        if rows[link.source] == rows[link.target] and rank[link.target] - rank[link.source] > 1
    }


def layout_layered(diagram: Graph) -> GraphLayout:
    """Places any diagram: no node on another, every link drawn, skips as lines of their own."""
    rows = assign_stages(diagram)
    rank = assign_columns(diagram, rows)
    columns = order_columns(diagram, rows, rank)
    count = max(rows.values()) + 1
    tops, y = [], 0.0
    high = [
        max(len(column) for (row, _), column in columns.items() if row == r) for r in range(count)
    ]
    for r in range(count):
        tops.append(y)
        y += TITLE + high[r] * SLOT + PAD + LANE_GAP
    places: dict[str, NodeBox] = {}
    nodes = {node.name: node for node in diagram.nodes}
    for (row, k), column in columns.items():
        free = (high[row] - len(column)) * SLOT / 2
        for i, name in enumerate(column):
            if name is not None:
                middle = PAD + STEP * (k + 0.5), tops[row] + TITLE + free + SLOT * (i + 0.5)
                places[name] = place_node(nodes[name], middle, row)
    width = 2 * PAD + STEP * (1 + max(rank.values()))
    bands = tuple(
        stage_band(diagram, rows, r, Rect(0, tops[r], width, TITLE + high[r] * SLOT + PAD))
        for r in range(count)
    )
    wires, arcs = edge_lines(diagram, places, tops)
    found = tuple(places[node.name] for node in diagram.nodes)
    return GraphLayout(
        "layered",
        found,
        wires,
        arcs,
        bands=bands,
        bounds=bounding_rect([b.rect for b in bands], MARGIN),
    )


def place_node(node: Node, middle: Point, row: int) -> NodeBox:
    wide, tall = (
        (8.0, TALL)
        if node.kind == "concat"
        else (ROUND, ROUND)
        if node.kind in MERGE_KINDS
        else (WIDE, TALL)
    )
    rect = Rect(middle[0] - wide / 2, middle[1] - tall / 2, wide, tall)
    words = (
        ()
        if node.kind in MERGE_KINDS
        else (node.label, node.op)
        if node.kind == "block"
        else (node.label,)
    )
    return NodeBox(node.name, rect, SHAPES.get(node.kind, "box"), words, row)


def stage_band(diagram: Graph, rows: dict[str, int], row: int, rect: Rect) -> StageBand:
    node = [
        node
        for node in diagram.nodes
        if (rows[node.name] == row and spatial_size(node)) or not rows[node.name]
    ][-1]
    return StageBand(
        rect, format_spatial_size(node), f"{node.shape[0]} channels", (PAD, rect.y + 8), False
    )


def edge_lines(
    diagram: Graph, places: dict[str, NodeBox], tops: list[float]
) -> tuple[tuple[Wire, ...], tuple[Arc, ...]]:
    """A line for every link; those that are skips become arcs, and a skip over other nodes gets one of its own."""
    wires: list[Wire] = []
    arcs: list[Arc] = []
    for link in diagram.edges:
        skip = diagram.skip(link.target, link.operand)
        points = route_edge(places[link.source], places[link.target], tops)
        if skip and skip.source == link.source:
            arcs.append(
                Arc(skip.kind, skip.source, skip.merge, skip.operand, skip.projection, points, 10.0)
            )
        else:
            role = "turn" if places[link.source].row != places[link.target].row else "spine"
            wires.append(Wire(link.source, link.target, link.operand, points, role, 10.0))
    drawn = {(arc.merge, arc.operand) for arc in arcs}
    for skip in diagram.skips:
        if (skip.merge, skip.operand) not in drawn:
            a, b = places[skip.source], places[skip.merge]
            points = route_edge(a, b, tops)
            arcs.append(
                Arc(
                    skip.kind,
                    skip.source,
                    skip.merge,
                    skip.operand,
                    skip.projection,
                    points,
                    10.0,
                )
            )
    return tuple(wires), tuple(arcs)


def route_edge(a: NodeBox, b: NodeBox, tops: list[float]) -> tuple[Point, ...]:
    """Straight to a neighbor, over the top of what lies between, through the gap to another row."""
    start, end = (a.rect.right, a.rect.center[1]), (b.rect.x, b.rect.center[1])
    if a.row != b.row:
        y = tops[b.row] - LANE_GAP / 2
        out, into = start[0] + 10, end[0] - 10
        return start, (out, start[1]), (out, y), (into, y), (into, end[1]), end
    if end[0] - start[0] <= STEP:
        return (
            (start, end)
            if start[1] == end[1]
            else (start, (end[0] - 12, start[1]), (end[0] - 12, end[1]), end)
        )
    y = tops[a.row] + TITLE - 4 + 8 * (stable_jitter(a.name) % 3)
    out, into = start[0] + 7, b.rect.center[0]
    return start, (out, start[1]), (out, y), (into, y), (into, b.rect.y)


def stable_jitter(name: str) -> int:
    """A small number that is the same in every run, to keep parallel lines apart."""
    return sum(map(ord, name))
