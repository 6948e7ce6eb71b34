"""Layout of any folded graph: one row per stage, columns by longest path (Sugiyama et al. 1981)."""

from dataclasses import replace

from gui.graph import Graph, Node
from gui.layout.geometry import (
    LANE_GAP,
    MARGIN,
    MERGE_KINDS,
    PAD,
    SHAPES,
    GraphLayout,
    NodeBox,
    Point,
    Rect,
    StageBand,
    bounding_rect,
    format_spatial_size,
    spatial_size,
)
from gui.layout.labels import shorten_label
from gui.layout.layered_order import (
    LayerColumn,
    assign_columns,
    assign_stages,
    order_columns,
)
from gui.layout.layered_routes import STEP, TITLE, edge_lines, skip_routes

SLOT = 46.0  # the distance of nodes in a column, in units

# In units: a block's width, its height, the diameter of a merge, the width of a concat bar.
WIDE = 82.0
TALL = 34.0
ROUND = 22.0
BAR_WIDTH = 8.0

TITLE_LEFT = 25.0  # right of the lines that come from the row above


def layout_layered(diagram: Graph) -> GraphLayout:
    """Lay out any graph: nodes do not overlap, every edge and every skip is drawn.

    Args:
        diagram: The folded graph.

    Returns:
        The layout, in units.
    """
    rows = assign_stages(diagram)
    rank = assign_columns(diagram, rows)
    columns = order_columns(diagram, rows, rank)
    slots = _slots_per_row(columns)
    tops = _row_tops(slots)
    boxes = _place_columns(diagram, columns, slots, tops)
    # After all nodes: a projection gets a pill in place of its box.
    boxes |= _projection_pills(diagram, boxes)
    width = 2 * PAD + STEP * (1 + max(rank.values()))
    bands = tuple(
        stage_band(diagram, rows, row, Rect(0, top, width, TITLE + count * SLOT + PAD))
        for row, (top, count) in enumerate(zip(tops, slots, strict=True))
    )
    wires, arcs = edge_lines(diagram, boxes, tops)
    return GraphLayout(
        "layered",
        tuple(boxes[node.name] for node in diagram.nodes),
        wires,
        arcs,
        bands=bands,
        bounds=bounding_rect([band.rect for band in bands], MARGIN),
    )


def _slots_per_row(columns: dict[LayerColumn, list[str | None]]) -> list[int]:
    """Count the nodes and lanes in the fullest column of each row."""
    slots: dict[int, int] = {}
    for (row, _), column in columns.items():
        slots[row] = max(slots.get(row, 0), len(column))
    return [slots[row] for row in range(len(slots))]


def _row_tops(slots: list[int]) -> list[float]:
    """Stack the rows from top to bottom."""
    tops: list[float] = []
    y = 0.0
    for count in slots:
        tops.append(y)
        y += TITLE + count * SLOT + PAD + LANE_GAP
    return tops


def _place_columns(
    diagram: Graph,
    columns: dict[LayerColumn, list[str | None]],
    slots: list[int],
    tops: list[float],
) -> dict[str, NodeBox]:
    """Place the nodes of every column, centered in its row."""
    nodes = {node.name: node for node in diagram.nodes}
    boxes: dict[str, NodeBox] = {}
    for (row, k), column in columns.items():
        # Half of the free slots lie above, which centers the column.
        free = (slots[row] - len(column)) * SLOT / 2
        for i, name in enumerate(column):
            if name is not None:
                x = PAD + STEP * (k + 0.5)
                y = tops[row] + TITLE + free + SLOT * (i + 0.5)
                boxes[name] = place_node(nodes[name], (x, y), row)
    return boxes


def _projection_pills(diagram: Graph, boxes: dict[str, NodeBox]) -> dict[str, NodeBox]:
    """Return the boxes of the nodes of projections, with the shape that marks them."""
    pills: dict[str, NodeBox] = {}
    for skip, names in zip(diagram.skips, skip_routes(diagram), strict=True):
        for name in names[1:-1]:
            box = boxes[name]
            # A single node stands for the whole projection.
            label = skip.projection if len(names) == 3 else None
            lines = (shorten_label(label, box.rect.w - 8),) if label else box.lines[:1]
            pills[name] = replace(box, shape="pill", lines=lines)
    return pills


def place_node(node: Node, middle: Point, row: int) -> NodeBox:
    """Place one node.

    Args:
        node: The node.
        middle: The center of its box, in units.
        row: The row of its stage.

    Returns:
        Its box.
    """
    wide, tall = _node_size(node)
    rect = Rect(middle[0] - wide / 2, middle[1] - tall / 2, wide, tall)
    return NodeBox(node.name, rect, SHAPES.get(node.kind, "box"), _node_lines(node), row)


def _node_size(node: Node) -> Point:
    """Return the width and height of a node's box."""
    if node.kind == "concat":
        return BAR_WIDTH, TALL
    if node.kind in MERGE_KINDS:
        return ROUND, ROUND
    return WIDE, TALL


def _node_lines(node: Node) -> tuple[str, ...]:
    """Return the text in a node's box; merges have a symbol instead."""
    if node.kind in MERGE_KINDS:
        return ()
    if node.kind == "block":
        return node.label, node.op
    return (node.label,)


def stage_band(diagram: Graph, rows: dict[str, int], row: int, rect: Rect) -> StageBand:
    """Build the background of one stage, titled by its last output.

    Args:
        diagram: The folded graph.
        rows: The row of each node by name.
        row: The row of the stage.
        rect: Its rectangle in units.

    Returns:
        The band.
    """
    # The first row serves as a fallback for a row of nothing but vectors.
    candidates = [
        node
        for node in diagram.nodes
        if not rows[node.name] or (rows[node.name] == row and spatial_size(node))
    ]
    node = candidates[-1]
    subtitle = f"{node.shape[0]} channels"
    return StageBand(rect, format_spatial_size(node), subtitle, (TITLE_LEFT, rect.y + 8), False)
