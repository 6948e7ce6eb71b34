"""A graph as an image: SVG of plain shapes and text, light or dark as the reader's screen is; nothing in it runs.

Blue circles add, orange bars concatenate, magenta diamonds gate: the app's colors, and never by
color alone.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from lightning_resnets.graph.data import GraphData, Node
from lightning_resnets.graph.export.svg_drawing import BOX_WIDTH, Drawing, EdgeLine, NodeBox
from lightning_resnets.graph.export.svg_geometry import layout_drawing
from lightning_resnets.graph.export.svg_legend import (
    ROW_HEIGHT,
    draw_legend_item,
    legend_items,
    wrap_items,
)
from lightning_resnets.graph.export.svg_shapes import (
    svg_merge_symbol,
    svg_path,
    svg_text,
    truncate_left,
    truncate_right,
)
from lightning_resnets.graph.export.xml_text import escape_xml
from lightning_resnets.merges import MergeKind
from lightning_resnets.utils.format import format_count, format_shape

Theme = Literal["auto", "light", "dark"]


FONT_FAMILY = "Inter, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


# ground, band, box, outline, ink, soft ink, add, concat, gate: as in the app's themes
LIGHT = (
    "#FFFFFF",
    "#F4F2EE",
    "#FFFFFF",
    "#6E747E",
    "#1D2026",
    "#5A606A",
    "#2458C5",
    "#B45F00",
    "#A8216B",
)


DARK = (
    "#131519",
    "#1B1E24",
    "#252932",
    "#8E97A6",
    "#ECEEF2",
    "#A9B1BD",
    "#5C9DFF",
    "#FFB347",
    "#F25FA5",
)


HEADER_HEIGHT = 64.0  # under the title


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
    items = legend_items(graph)
    width = max(layout_drawing(graph).width, 460.0)
    marks, rows = wrap_items(items, width, HEADER_HEIGHT + 8)
    image = layout_drawing(graph, HEADER_HEIGHT + rows * ROW_HEIGHT + 20)
    lines = [*_head(width, image.height + 8, theme, title or "model"), *_title(graph, title)]
    for (x, y), item in marks:
        lines += draw_legend_item(x, y, item)
    lines += _shapes(graph, image)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _head(width: float, height: float, theme: Theme, title: str) -> Iterator[str]:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{FONT_FAMILY}">'
    yield f"<title>{escape_xml(title)}</title>"
    rules = _rules(DARK if theme == "dark" else LIGHT)
    dark = f"@media (prefers-color-scheme: dark) {{ {_rules(DARK)} }}" if theme == "auto" else ""
    yield f"<style>{rules} {STATIC_CSS} {dark}</style>"
    yield f'<rect class="ground" width="{width:.0f}" height="{height:.0f}"/>'


STATIC_CSS = (
    ".flow,.add,.concat,.gate{fill:none;stroke-width:1.6} .skip{stroke-width:2.4} .dashed{stroke-dasharray:6 4} "
    ".name{font-weight:600} .box{stroke-width:1} .frame{fill:none;stroke-width:1.2;stroke-dasharray:2 3}"
)


def _rules(colors: tuple[str, ...]) -> str:
    ground, band, box, outline, ink, soft, *kinds = colors
    rules = [
        f".ground{{fill:{ground}}}",
        f".band{{fill:{band}}}",
        f".box{{fill:{box};stroke:{outline}}}",
        f".flow{{stroke:{outline}}}",
        f".tip{{fill:{outline}}}",
        f".frame{{stroke:{ink}}}",
        f".ink{{fill:{ink}}}",
        f".soft{{fill:{soft}}}",
        f".inverse{{fill:{ground}}}",
    ]
    for kind, color in zip(MergeKind, kinds, strict=True):
        rules += [
            f".{kind}{{stroke:{color}}}",
            f".{kind}-fill{{fill:{color}}}",
            f".{kind}-mark{{fill:{box};stroke:{color}}}",
        ]
    return " ".join(rules)


def _title(graph: GraphData, title: str) -> Iterator[str]:
    if title:
        yield svg_text(16, 30, title, "ink name", 18)
    totals = f"{graph.parameters:,} parameters · {format_count(graph.macs)} MACs"
    yield svg_text(16, 50, totals, "soft", 12)


def _shapes(graph: GraphData, image: Drawing) -> Iterator[str]:
    totals, parts = _totals(graph), Counter(stage for _, stage in image.bands)
    for (x, y, wide, high), stage in image.bands:
        yield f'<rect class="band" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="8"/>'
        yield svg_text(x + 10, y + 22, truncate_left(stage, 118, 12), "ink name", 12, stage)
        told = totals[stage][: int((high - 26) / 15)] if parts[stage] == 1 else ()
        for place, words in enumerate(told):
            yield svg_text(x + 10, y + 39 + 15 * place, words, "soft", 11)
    for (x, y, wide, high), _ in image.frames:
        yield f'<rect class="frame" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="8"/>'
    ends = {line.points[-1] for line in image.lines}
    for line in image.lines:
        yield from _line(line)
    for stripe in image.stripes:
        x, y, wide, high = stripe.rect
        faint = 0.22 if stripe.number % 2 else 0.42
        rect = (
            f'x="{x:.2f}" y="{y:.1f}" width="{wide:.2f}" height="{high:.1f}" fill-opacity="{faint}"'
        )
        yield f'<rect class="concat-fill" {rect}><title>{escape_xml(stripe.source)}</title></rect>'
    for line in image.ribbon_edges:
        yield from _line(line, 3)
    for box in image.boxes.values():
        yield from _box(box, (box.right, box.middle[1]) in ends)
    for (x, y, wide, _), times in image.frames:
        words = f"×{times}"
        yield f'<rect class="ink" x="{x + wide - 34:.1f}" y="{y - 8:.1f}" width="40" height="17" rx="8"/>'
        yield svg_text(x + wide - 14, y + 4.5, words, "inverse name", 12, anchor="middle")


def _totals(graph: GraphData) -> dict[str, tuple[str, ...]]:
    """For each stage what comes out of it and what it costs."""
    found: dict[str, list[Node]] = {}
    for block in graph.nodes:
        found.setdefault(block.stage, []).append(block)
    return {
        stage: (
            format_shape(blocks[-1].shape),
            f"{format_count(sum(block.parameters for block in blocks))} parameters",
            f"{format_count(sum(block.macs for block in blocks))} MACs",
        )
        for stage, blocks in found.items()
    }


def _line(line: EdgeLine, wide: float = 0.0) -> Iterator[str]:
    """A polyline with round corners and, where it goes straight into a block, a tip."""
    kind = "flow" if line.style == "flow" else f"{line.style} skip"
    style = f' style="stroke-width:{wide:g}"' if wide else ""
    yield f'<path class="{kind}{" dashed" if line.dashed else ""}"{style} d="{svg_path(line.points)}"/>'
    (ax, ay), (bx, by) = line.points[-2:]
    fill = "tip" if line.style == "flow" else f"{line.style}-fill"
    if ax == bx and by > ay:
        yield f'<path class="{fill}" d="M{bx:.1f} {by:.1f}l-4 -7h8z"/>'
    elif len(line.points) > 2 or wide:
        turn = 7 if bx > ax else -7
        yield f'<path class="{fill}" d="M{bx:.1f} {by:.1f}l{-turn} -4v8z"/>'


def _box(box: NodeBox, joined: bool) -> Iterator[str]:
    block, (x, y, wide, high) = box.node, box.rect
    yield f"<g><title>{escape_xml(_told(block))}</title>"
    if block.kind:
        yield from svg_merge_symbol(block.kind, *box.middle, wide)
        words = (
            format_shape(block.shape)
            if block.kind is MergeKind.CONCAT
            else f"{block.op} · {format_shape(block.shape)}"
        )
        yield svg_text(box.right + 8, box.middle[1] + (-6 if joined else 4), words, "soft", 11)
    else:
        ends = high / 2 if block.op in ("input", "output") else 6
        yield f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="{ends:g}"/>'
        yield from _words(block, x, y)
    yield "</g>"


def _words(block: Node, x: float, y: float) -> Iterator[str]:
    name = block.name.removeprefix(f"{block.stage}.") if block.stage else block.name
    name = block.name if name.isdigit() else name
    shape, cost = (
        format_shape(block.shape),
        format_count(block.parameters) if block.parameters else "",
    )
    inset = 20 if block.op in ("input", "output") else 10
    second = block.op if block.op != name else ""
    first = y + (18 if second or cost else 26)
    yield svg_text(
        x + inset, first, truncate_left(name, BOX_WIDTH - 40 - len(shape) * 6.8, 12), "ink name", 12
    )
    yield svg_text(x + BOX_WIDTH - inset, first, shape, "ink", 11, anchor="end")
    yield svg_text(
        x + inset,
        y + 33,
        truncate_right(second, BOX_WIDTH - 26 - len(cost) * 6, 10.5),
        "soft",
        10.5,
    )
    yield svg_text(x + BOX_WIDTH - inset, y + 33, cost, "soft", 10.5, anchor="end")


def _told(block: Node) -> str:
    """All of a block in words."""
    counts = f"{block.parameters:,} parameters, {block.macs:,} MACs"
    times = f" ×{block.repeat_count}" if block.repeat_count > 1 else ""
    return f"{block.name}{times}: {block.op}, {format_shape(block.shape)}, {counts}"
