"""A graph as a picture: SVG of plain shapes and text, light or dark as the reader's screen is; nothing in it runs.

Blue circles add, orange bars concatenate, magenta diamonds gate: the app's colours, and never by
colour alone.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from lightning_resnets.blocks import Block, BlockGraph
from lightning_resnets.exports.geometry import BOX, Box, Line, Picture, draw
from lightning_resnets.exports.legend import ROW, flowing, item_strokes, legend
from lightning_resnets.exports.plain import short, sides, xml
from lightning_resnets.exports.strokes import cut, mark, path, tail, text
from lightning_resnets.merge import Kind

Theme = Literal["auto", "light", "dark"]
FONT = "Inter, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
# ground, band, box, outline, ink, soft ink, add, concat, gate: as in the app's themes
LIGHT = ("#FFFFFF", "#F4F2EE", "#FFFFFF", "#6E747E", "#1D2026", "#5A606A", "#2458C5", "#B45F00", "#A8216B")
DARK = ("#131519", "#1B1E24", "#252932", "#8E97A6", "#ECEEF2", "#A9B1BD", "#5C9DFF", "#FFB347", "#F25FA5")
TOP = 64.0  # under the title


def to_svg(graph: BlockGraph, title: str = "", theme: Theme = "auto") -> str:
    """The graph from top to bottom: text in boxes, totals and a legend of what occurs above it.

    `theme` "auto" follows the reader's screen (prefers-color-scheme). Fold the graph first: a picture of every
    operation is long. Anything of the net's own is escaped, and stands in full behind a box as its tool tip.
    """
    items = legend(graph)
    width = max(draw(graph).width, 460.0)
    marks, rows = flowing(items, width, TOP + 8)
    picture = draw(graph, TOP + rows * ROW + 20)
    lines = [*_head(width, picture.height + 8, theme, title or "net"), *_title(graph, title)]
    for (x, y), item in marks:
        lines += item_strokes(x, y, item)
    lines += _shapes(graph, picture)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _head(width: float, height: float, theme: Theme, title: str) -> Iterator[str]:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{FONT}">'
    yield f"<title>{xml(title)}</title>"
    rules = _rules(DARK if theme == "dark" else LIGHT)
    dark = f"@media (prefers-color-scheme: dark) {{ {_rules(DARK)} }}" if theme == "auto" else ""
    yield f"<style>{rules} {FIXED} {dark}</style>"
    yield f'<rect class="ground" width="{width:.0f}" height="{height:.0f}"/>'


FIXED = (
    ".flow,.add,.concat,.gate{fill:none;stroke-width:1.6} .skip{stroke-width:2.4} .dashed{stroke-dasharray:6 4} "
    ".name{font-weight:600} .box{stroke-width:1} .frame{fill:none;stroke-width:1.2;stroke-dasharray:2 3}"
)


def _rules(colours: tuple[str, ...]) -> str:
    ground, band, box, outline, ink, soft, *kinds = colours
    rules = [
        f".ground{{fill:{ground}}}", f".band{{fill:{band}}}", f".box{{fill:{box};stroke:{outline}}}",
        f".flow{{stroke:{outline}}}", f".tip{{fill:{outline}}}", f".frame{{stroke:{ink}}}", f".ink{{fill:{ink}}}",
        f".soft{{fill:{soft}}}", f".inverse{{fill:{ground}}}",
    ]  # fmt: skip
    for kind, colour in zip(Kind, kinds, strict=True):
        rules += [
            f".{kind}{{stroke:{colour}}}",
            f".{kind}-fill{{fill:{colour}}}",
            f".{kind}-mark{{fill:{box};stroke:{colour}}}",
        ]
    return " ".join(rules)


def _title(graph: BlockGraph, title: str) -> Iterator[str]:
    if title:
        yield text(16, 30, title, "ink name", 18)
    totals = f"{graph.parameters:,} parameters · {short(graph.macs)} multiply-adds"
    yield text(16, 50, totals, "soft", 12)


def _shapes(graph: BlockGraph, picture: Picture) -> Iterator[str]:
    totals, parts = _totals(graph), Counter(stage for _, stage in picture.bands)
    for (x, y, wide, high), stage in picture.bands:
        yield f'<rect class="band" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="8"/>'
        yield text(x + 10, y + 22, tail(stage, 118, 12), "ink name", 12, stage)
        told = totals[stage][: int((high - 26) / 15)] if parts[stage] == 1 else ()
        for place, words in enumerate(told):
            yield text(x + 10, y + 39 + 15 * place, words, "soft", 11)
    for (x, y, wide, high), _ in picture.frames:
        yield f'<rect class="frame" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="8"/>'
    ends = {line.points[-1] for line in picture.lines}
    for line in picture.lines:
        yield from _line(line)
    for stripe in picture.stripes:
        x, y, wide, high = stripe.rect
        faint = 0.22 if stripe.number % 2 else 0.42
        rect = f'x="{x:.2f}" y="{y:.1f}" width="{wide:.2f}" height="{high:.1f}" fill-opacity="{faint}"'
        yield f'<rect class="concat-fill" {rect}><title>{xml(stripe.source)}</title></rect>'
    for line in picture.reads:
        yield from _line(line, 3)
    for box in picture.boxes.values():
        yield from _box(box, (box.right, box.middle[1]) in ends)
    for (x, y, wide, _), times in picture.frames:
        words = f"×{times}"
        yield f'<rect class="ink" x="{x + wide - 34:.1f}" y="{y - 8:.1f}" width="40" height="17" rx="8"/>'
        yield text(x + wide - 14, y + 4.5, words, "inverse name", 12, anchor="middle")


def _totals(graph: BlockGraph) -> dict[str, tuple[str, ...]]:
    """For each stage what comes out of it and what it costs."""
    found: dict[str, list[Block]] = {}
    for block in graph.blocks:
        found.setdefault(block.stage, []).append(block)
    return {
        stage: (
            sides(blocks[-1].shape),
            f"{short(sum(block.parameters for block in blocks))} parameters",
            f"{short(sum(block.macs for block in blocks))} mult-adds",
        )
        for stage, blocks in found.items()
    }


def _line(line: Line, wide: float = 0.0) -> Iterator[str]:
    """A polyline with round corners and, where it goes straight into a block, a tip."""
    kind = "flow" if line.look == "flow" else f"{line.look} skip"
    style = f' style="stroke-width:{wide:g}"' if wide else ""
    yield f'<path class="{kind}{" dashed" if line.dashed else ""}"{style} d="{path(line.points)}"/>'
    (ax, ay), (bx, by) = line.points[-2:]
    fill = "tip" if line.look == "flow" else f"{line.look}-fill"
    if ax == bx and by > ay:
        yield f'<path class="{fill}" d="M{bx:.1f} {by:.1f}l-4 -7h8z"/>'
    elif len(line.points) > 2 or wide:
        turn = 7 if bx > ax else -7
        yield f'<path class="{fill}" d="M{bx:.1f} {by:.1f}l{-turn} -4v8z"/>'


def _box(box: Box, joined: bool) -> Iterator[str]:
    block, (x, y, wide, high) = box.block, box.rect
    yield f"<g><title>{xml(_told(block))}</title>"
    if block.kind:
        yield from mark(block.kind, *box.middle, wide)
        words = sides(block.shape) if block.kind is Kind.CONCAT else f"{block.op} · {sides(block.shape)}"
        yield text(box.right + 8, box.middle[1] + (-6 if joined else 4), words, "soft", 11)
    else:
        ends = high / 2 if block.op in ("input", "output") else 6
        yield f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="{ends:g}"/>'
        yield from _words(block, x, y)
    yield "</g>"


def _words(block: Block, x: float, y: float) -> Iterator[str]:
    name = block.name.removeprefix(f"{block.stage}.") if block.stage else block.name
    name = block.name if name.isdigit() else name
    shape, cost = sides(block.shape), short(block.parameters) if block.parameters else ""
    inset = 20 if block.op in ("input", "output") else 10
    second = block.op if block.op != name else ""
    first = y + (18 if second or cost else 26)
    yield text(x + inset, first, tail(name, BOX - 40 - len(shape) * 6.8, 12), "ink name", 12)
    yield text(x + BOX - inset, first, shape, "ink", 11, anchor="end")
    yield text(x + inset, y + 33, cut(second, BOX - 26 - len(cost) * 6, 10.5), "soft", 10.5)
    yield text(x + BOX - inset, y + 33, cost, "soft", 10.5, anchor="end")


def _told(block: Block) -> str:
    """All of a block in words."""
    counts = f"{block.parameters:,} parameters, {block.macs:,} multiply-adds"
    times = f" ×{block.times}" if block.times > 1 else ""
    return f"{block.name}{times}: {block.op}, {sides(block.shape)}, {counts}"
