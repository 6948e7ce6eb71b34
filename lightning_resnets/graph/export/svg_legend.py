"""What the signs and lines of an image mean, and how many there are of each: only what occurs in it."""

from collections import Counter
from collections.abc import Iterator

from lightning_resnets.graph.data import GraphData
from lightning_resnets.graph.export.svg_drawing import Point
from lightning_resnets.graph.export.svg_layout import assign_rows_and_lanes
from lightning_resnets.graph.export.svg_shapes import svg_merge_symbol, svg_text
from lightning_resnets.merges import MergeKind

LegendItem = tuple[str, str]  # how its mark looks, and words


ROW_HEIGHT = 22.0


LEGEND_TEXT = {MergeKind.ADD: "adds", MergeKind.CONCAT: "concatenates", MergeKind.GATE: "gates"}


def legend_items(graph: GraphData) -> list[LegendItem]:
    """What occurs in the graph: (its mark, words)."""
    times = {block.name: block.repeat_count for block in graph.nodes}
    merges, skips, projected = Counter[MergeKind](), Counter[MergeKind](), 0
    for block in graph.merges:
        assert block.kind
        merges[block.kind] += block.repeat_count
    for skip in graph.skips:
        skips[skip.kind] += times[skip.merge]
        projected += times[skip.merge] if skip.projection else 0
    found: list[tuple[object, str, str]] = [
        *((merges[kind], kind, f"{words} ({merges[kind]})") for kind, words in LEGEND_TEXT.items()),
        (
            skips[MergeKind.ADD] - projected,
            "add skip",
            f"skip, identity ({skips[MergeKind.ADD] - projected})",
        ),
        (projected, "add skip dashed", f"skip, projected ({projected})"),
        (skips[MergeKind.CONCAT], "concat skip", f"skip into a concat ({skips[MergeKind.CONCAT]})"),
        (
            assign_rows_and_lanes(graph).dense,
            "ribbon",
            "all parts so far, as wide as their channels",
        ),
        (skips[MergeKind.GATE], "gate skip", "way to a gate's weight"),
        (
            max(times.values(), default=1) > 1,
            "frame",
            "equal neighbors, drawn once; numbers are of all",
        ),
        (True, "", "in a block, right: what comes out, and parameters"),
    ]
    return [(look, words) for there, look, words in found if there]


def wrap_items(
    items: list[LegendItem], width: float, top: float
) -> tuple[list[tuple[Point, LegendItem]], int]:
    """Where each item of the legend stands, and in how many rows."""
    found: list[tuple[Point, LegendItem]] = []
    x, row = 16.0, 0
    for item in items:
        wide = 40 + len(item[1]) * 6.3
        if x > 16 and x + wide > width - 10:
            x, row = 16.0, row + 1
        found.append(((x, top + row * ROW_HEIGHT), item))
        x += wide + 10
    return found, row + 1 if items else 0


def draw_legend_item(x: float, y: float, item: LegendItem) -> Iterator[str]:
    look, words = item
    if look in set(MergeKind):
        yield from svg_merge_symbol(MergeKind(look), x + 13, y, 24.0)
    elif look == "frame":
        yield f'<rect class="frame" x="{x:.1f}" y="{y - 7:.1f}" width="26" height="14" rx="4"/>'
    elif look == "ribbon":
        yield f'<path class="concat-fill" fill-opacity="0.42" d="M{x:.1f} {y - 6:.1f}h26v6h-26z"/>'
        yield f'<path class="concat-fill" fill-opacity="0.22" d="M{x + 10:.1f} {y:.1f}h16v6h-16z"/>'
    elif look:
        yield f'<path class="{look}" d="M{x:.1f} {y:.1f}h26"/>'
    yield svg_text(x + (33 if look else 0), y + 4, words, "soft", 11)
