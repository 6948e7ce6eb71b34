"""Draw a graph as SVG: plain shapes and text, light or dark, without scripts.

Blue circles add, orange bars concatenate, magenta diamonds gate. These are the app's colors, and
shape says the same as color.
"""

from collections import Counter
from collections.abc import Iterator

from lightning_resnets.graph.data import GraphData, Node
from lightning_resnets.graph.export.svg_drawing import Drawing, EdgeLine, Rect, RibbonStripe
from lightning_resnets.graph.export.svg_geometry import layout_drawing
from lightning_resnets.graph.export.svg_legend import (
    ROW_HEIGHT,
    draw_legend_item,
    legend_items,
    wrap_items,
)
from lightning_resnets.graph.export.svg_nodes import draw_node
from lightning_resnets.graph.export.svg_shapes import svg_path, svg_text, truncate_left
from lightning_resnets.graph.export.svg_theme import Theme, style_sheet
from lightning_resnets.graph.export.xml_text import escape_xml
from lightning_resnets.utils.format import format_count, format_shape

FONT_FAMILY = "Inter, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"

HEADER_HEIGHT = 64.0  # of the title and the totals
MIN_WIDTH = 460.0
RIBBON_LINE_WIDTH = 3


def to_svg(graph: GraphData, title: str = "", theme: Theme = "auto") -> str:
    """Draw a graph from top to bottom, with totals and a legend above it.

    Fold the graph first: a drawing of every operation is long. Names are escaped, and each box
    has its full text as tool tip.

    Args:
        graph: the graph.
        title: heading of the drawing.
        theme: "auto" follows the reader's screen (prefers-color-scheme).

    Returns:
        The SVG document.
    """
    # The legend wraps at the width of the drawing, which then starts below the legend.
    width = max(layout_drawing(graph).width, MIN_WIDTH)
    items, row_count = wrap_items(legend_items(graph), width, HEADER_HEIGHT + 8)
    drawing = layout_drawing(graph, HEADER_HEIGHT + row_count * ROW_HEIGHT + 20)
    lines = [*_head(width, drawing.height + 8, theme, title or "model"), *_title(graph, title)]
    for (x, y), item in items:
        lines += draw_legend_item(x, y, item)
    lines += _shapes(graph, drawing)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _head(width: float, height: float, theme: Theme, title: str) -> Iterator[str]:
    """Yield the root element, the style sheet and the background."""
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{FONT_FAMILY}">'
    yield f"<title>{escape_xml(title)}</title>"
    yield f"<style>{style_sheet(theme)}</style>"
    yield f'<rect class="ground" width="{width:.0f}" height="{height:.0f}"/>'


def _title(graph: GraphData, title: str) -> Iterator[str]:
    """Yield the title and the totals of the graph."""
    if title:
        yield svg_text(16, 30, title, "ink name", 18)
    totals = f"{graph.parameters:,} parameters · {format_count(graph.macs)} MACs"
    yield svg_text(16, 50, totals, "soft", 12)


def _shapes(graph: GraphData, drawing: Drawing) -> Iterator[str]:
    """Yield all shapes, those in the back first."""
    yield from _bands(graph, drawing)
    for rect, _ in drawing.frames:
        yield _rounded_rect("frame", rect)
    for line in drawing.lines:
        yield from _line(line)
    for stripe in drawing.stripes:
        yield _stripe(stripe)
    for line in drawing.ribbon_edges:
        yield from _line(line, RIBBON_LINE_WIDTH)
    # The label of a merge makes way for a line that comes from the right.
    line_ends = {line.points[-1] for line in drawing.lines}
    for box in drawing.boxes.values():
        yield from draw_node(box, (box.right, box.middle[1]) in line_ends)
    for rect, count in drawing.frames:
        yield from _repeat_badge(rect, count)


def _rounded_rect(css_class: str, rect: Rect) -> str:
    """Write a rectangle with round corners."""
    x, y, width, height = rect
    size = f'width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{css_class}" x="{x:.1f}" y="{y:.1f}" {size} rx="8"/>'


def _bands(graph: GraphData, drawing: Drawing) -> Iterator[str]:
    """Yield the bands of the stages with their names and totals."""
    totals = _stage_totals(graph)
    band_counts = Counter(stage for _, stage in drawing.bands)
    for rect, stage in drawing.bands:
        x, y, _, height = rect
        yield _rounded_rect("band", rect)
        yield svg_text(x + 10, y + 22, truncate_left(stage, 118, 12), "ink name", 12, stage)
        # The totals would be wrong beside one band of a stage that has several.
        if band_counts[stage] > 1:
            continue
        # 15 pixels per line, below the name: a short band shows fewer lines.
        fitting = totals[stage][: int((height - 26) / 15)]
        for line_number, text in enumerate(fitting):
            yield svg_text(x + 10, y + 39 + 15 * line_number, text, "soft", 11)


def _stage_totals(graph: GraphData) -> dict[str, tuple[str, ...]]:
    """Return output shape, parameters and MACs of every stage as text."""
    stages: dict[str, list[Node]] = {}
    for node in graph.nodes:
        stages.setdefault(node.stage, []).append(node)
    return {
        stage: (
            format_shape(nodes[-1].shape),
            f"{format_count(sum(node.parameters for node in nodes))} parameters",
            f"{format_count(sum(node.macs for node in nodes))} MACs",
        )
        for stage, nodes in stages.items()
    }


def _stripe(stripe: RibbonStripe) -> str:
    """Draw a stripe of a ribbon; neighbors differ in opacity."""
    x, y, width, height = stripe.rect
    # Alternating, since neighbors of one color would run together.
    opacity = 0.22 if stripe.number % 2 else 0.42
    size = f'width="{width:.2f}" height="{height:.1f}"'
    rect = f'x="{x:.2f}" y="{y:.1f}" {size} fill-opacity="{opacity}"'
    return f'<rect class="concat-fill" {rect}><title>{escape_xml(stripe.source)}</title></rect>'


def _line(line: EdgeLine, width: float = 0.0) -> Iterator[str]:
    """Draw a line with round corners and its tip."""
    css_class = line.style
    if line.style != "flow":
        css_class += " skip"
    if line.dashed:
        css_class += " dashed"
    style = f' style="stroke-width:{width:g}"' if width else ""
    yield f'<path class="{css_class}"{style} d="{svg_path(line.points)}"/>'
    yield from _tip(line, bool(width))


def _tip(line: EdgeLine, is_from_ribbon: bool) -> Iterator[str]:
    """Draw the tip of a line; the short line from a node to a ribbon has none."""
    (before_x, before_y), (x, y) = line.points[-2:]
    css_class = "tip" if line.style == "flow" else f"{line.style}-fill"
    if before_x == x and y > before_y:
        yield f'<path class="{css_class}" d="M{x:.1f} {y:.1f}l-4 -7h8z"/>'
    elif len(line.points) > 2 or is_from_ribbon:
        back = -7 if x > before_x else 7
        yield f'<path class="{css_class}" d="M{x:.1f} {y:.1f}l{back} -4v8z"/>'


def _repeat_badge(rect: Rect, count: int) -> Iterator[str]:
    """Draw the number of repeats on the corner of a frame."""
    right = rect[0] + rect[2]
    y = rect[1]
    corner = f'x="{right - 34:.1f}" y="{y - 8:.1f}"'
    yield f'<rect class="ink" {corner} width="40" height="17" rx="8"/>'
    yield svg_text(right - 14, y + 4.5, f"×{count}", "inverse name", 12, anchor="middle")
