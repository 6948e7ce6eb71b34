"""Draw the legend: the symbols and lines that occur in a drawing, with their counts."""

from collections import Counter
from collections.abc import Iterator

from lightning_resnets.graph.data import GraphData
from lightning_resnets.graph.export.svg_drawing import Point
from lightning_resnets.graph.export.svg_layout import assign_rows_and_lanes
from lightning_resnets.graph.export.svg_shapes import svg_merge_symbol, svg_text
from lightning_resnets.merges import MergeKind

LegendItem = tuple[str, str]  # how its mark looks, text

ROW_HEIGHT = 22.0
LEFT = 16.0  # of every row
LETTER_WIDTH = 6.3  # mean, in pixels

# A projection is dashed, at an Add and at a Concat.
SKIP_LEGEND = {
    (MergeKind.ADD, False): ("add skip", "identity shortcut"),
    (MergeKind.ADD, True): ("add skip dashed", "projection shortcut"),
    (MergeKind.CONCAT, False): ("concat skip", "skip into a concat"),
    (MergeKind.CONCAT, True): ("concat skip dashed", "projection into a concat"),
}

LEGEND_TEXT = {MergeKind.ADD: "adds", MergeKind.CONCAT: "concatenates", MergeKind.GATE: "gates"}


def legend_items(graph: GraphData) -> list[LegendItem]:
    """Return what the legend of a graph explains.

    Args:
        graph: the graph.

    Returns:
        Mark and text of each item. Only what occurs in the graph has one.
    """
    items = [*_merge_items(graph), *_skip_items(graph)]
    if assign_rows_and_lanes(graph).dense:
        items.append(("ribbon", "all parts so far, as wide as their channels"))
    if any(skip.kind is MergeKind.GATE for skip in graph.skips):
        items.append(("gate skip", "path to a gate's weight"))
    if any(node.repeat_count > 1 for node in graph.nodes):
        items.append(("frame", "equal neighbors, drawn once; numbers are of all"))
    items.append(("", "in a block, right: output shape and parameters"))
    return items


def _merge_items(graph: GraphData) -> Iterator[LegendItem]:
    """Yield an item per kind of merge, with the number of merges."""
    counts = Counter[MergeKind]()
    for node in graph.merges:
        assert node.kind
        # A collapsed merge stands for several.
        counts[node.kind] += node.repeat_count
    for kind, text in LEGEND_TEXT.items():
        if counts[kind]:
            yield str(kind), f"{text} ({counts[kind]})"


def _skip_items(graph: GraphData) -> Iterator[LegendItem]:
    """Yield an item per kind of skip line, with the number of skips."""
    repeat_counts = {node.name: node.repeat_count for node in graph.nodes}
    # By kind of merge and whether the skip is a projection: each pair is a line of its own.
    counts = Counter[tuple[MergeKind, bool]]()
    for skip in graph.skips:
        counts[skip.kind, skip.projection is not None] += repeat_counts[skip.merge]
    for (kind, is_projection), (mark, text) in SKIP_LEGEND.items():
        count = counts[kind, is_projection]
        if count:
            yield mark, f"{text} ({count})"


def wrap_items(
    items: list[LegendItem], width: float, top: float
) -> tuple[list[tuple[Point, LegendItem]], int]:
    """Arrange the items of a legend in rows.

    Args:
        items: the items.
        width: width of the drawing in pixels.
        top: y of the first row in pixels.

    Returns:
        Each item with its position, and the number of rows.
    """
    positions: list[tuple[Point, LegendItem]] = []
    x = LEFT
    row = 0
    for item in items:
        item_width = 40 + len(item[1]) * LETTER_WIDTH
        # An item that is too wide for any row still gets one of its own.
        if x > LEFT and x + item_width > width - 10:
            x = LEFT
            row += 1
        positions.append(((x, top + row * ROW_HEIGHT), item))
        x += item_width + 10
    return positions, row + 1 if items else 0


def draw_legend_item(x: float, y: float, item: LegendItem) -> Iterator[str]:
    """Draw the mark and the text of a legend item.

    Args:
        x: left edge in pixels.
        y: middle in pixels.
        item: mark and text.

    Yields:
        The SVG elements.
    """
    mark, text = item
    yield from _draw_mark(x, y, mark)
    yield svg_text(x + (33 if mark else 0), y + 4, text, "soft", 11)


def _draw_mark(x: float, y: float, mark: str) -> Iterator[str]:
    """Draw a merge symbol, a frame, a piece of ribbon or a line."""
    if mark in set(MergeKind):
        yield from svg_merge_symbol(MergeKind(mark), x + 13, y, 24.0)
    elif mark == "frame":
        yield f'<rect class="frame" x="{x:.1f}" y="{y - 7:.1f}" width="26" height="14" rx="4"/>'
    elif mark == "ribbon":
        yield f'<path class="concat-fill" fill-opacity="0.42" d="M{x:.1f} {y - 6:.1f}h26v6h-26z"/>'
        yield f'<path class="concat-fill" fill-opacity="0.22" d="M{x + 10:.1f} {y:.1f}h16v6h-16z"/>'
    elif mark:
        yield f'<path class="{mark}" d="M{x:.1f} {y:.1f}h26"/>'
