"""Rows, columns and vertical order of a layered drawing (Sugiyama et al. 1981)."""

from gui.graph import Edge, Graph
from gui.layout.geometry import input_edges, spatial_size

LayerColumn = tuple[int, int]  # (row, column)


def assign_stages(diagram: Graph) -> dict[str, int]:
    """Assign each node to a row, a new one wherever the resolution falls below all before.

    Args:
        diagram: The folded graph.

    Returns:
        The row of each node by name, from 0.
    """
    row = 0
    # The smallest area so far: a decoder, which grows again, starts no new row.
    least: int | None = None
    rows: dict[str, int] = {}
    for i, node in enumerate(diagram.nodes):
        size = spatial_size(node)
        area = size[0] * size[1] if len(size) == 2 else None
        if area is not None and (least is None or area < least):
            # The input stays in the first row, whatever the stem does to its resolution.
            if least is not None and i > 1:
                row += 1
            least = area
        rows[node.name] = row
    return rows


def assign_columns(diagram: Graph, rows: dict[str, int]) -> dict[str, int]:
    """Assign each node to a column by the longest path to it inside its row.

    Args:
        diagram: The folded graph.
        rows: The row of each node by name.

    Returns:
        The column of each node by name, from 0.
    """
    links = input_edges(diagram)
    columns: dict[str, int] = {}
    for node in diagram.nodes:
        row = rows[node.name]
        sources = [edge.source for edge in links[node.name]]
        # Sources in other rows do not count: their edges come through the gap.
        before = [columns[name] for name in sources if name in columns and rows[name] == row]
        columns[node.name] = 1 + max(before, default=-1)
    return columns


def order_columns(
    diagram: Graph, rows: dict[str, int], rank: dict[str, int]
) -> dict[LayerColumn, list[str | None]]:
    """Order the nodes of each column from top to bottom.

    Args:
        diagram: The folded graph.
        rows: The row of each node by name.
        rank: The column of each node by name.

    Returns:
        The names by (row, column); None is a free lane for an edge that passes by.
    """
    columns: dict[LayerColumn, list[tuple[float, int, str | None]]] = {}
    height: dict[str, float] = {}
    links = input_edges(diagram)
    for i, node in enumerate(diagram.nodes):
        column = columns.setdefault((rows[node.name], rank[node.name]), [])
        # Half a step per node above keeps nodes with the same sources in execution order.
        height[node.name] = _mean_height(links[node.name], height) + 0.5 * len(column)
        column.append((height[node.name], i, node.name))
    for i, (row, first, last) in enumerate(sorted(long_edges(diagram, rows, rank))):
        for k in range(first + 1, last):
            # Less than every height: free lanes lie above the nodes.
            columns.setdefault((row, k), []).append((-1.0, i, None))
    return {key: _names_from_top(column) for key, column in columns.items()}


def _mean_height(links: tuple[Edge, ...], height: dict[str, float]) -> float:
    """Return the mean height of the sources, which keeps edges short; 0 without sources."""
    near = [height[edge.source] for edge in links if edge.source in height]
    if not near:
        return 0.0
    return sum(near) / len(near)


def _names_from_top(column: list[tuple[float, int, str | None]]) -> list[str | None]:
    """Sort a column by height, then by execution order."""
    return [name for _, _, name in sorted(column, key=lambda entry: entry[:2])]


def long_edges(
    diagram: Graph, rows: dict[str, int], rank: dict[str, int]
) -> set[tuple[int, int, int]]:
    """Find the edges inside a row that pass over a column.

    Args:
        diagram: The folded graph.
        rows: The row of each node by name.
        rank: The column of each node by name.

    Returns:
        Their (row, first column, last column).
    """
    return {
        (rows[edge.source], rank[edge.source], rank[edge.target])
        for edge in diagram.edges
        if rows[edge.source] == rows[edge.target] and rank[edge.target] - rank[edge.source] > 1
    }
