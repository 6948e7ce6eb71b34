"""What the signs and lines of a picture mean, and how many there are of each: only what occurs in it."""

from collections import Counter
from collections.abc import Iterator

from lightning_resnets.blocks import BlockGraph
from lightning_resnets.exports.geometry import Point
from lightning_resnets.exports.placing import placed
from lightning_resnets.exports.strokes import mark, text
from lightning_resnets.merge import Kind

Item = tuple[str, str]  # how its mark looks, and words
ROW = 22.0
SAID = {Kind.ADD: "adds", Kind.CONCAT: "concatenates", Kind.GATE: "gates"}


def legend(graph: BlockGraph) -> list[Item]:
    """What occurs in the graph: (its mark, words)."""
    times = {block.name: block.times for block in graph.blocks}
    merges, skips, projected = Counter[Kind](), Counter[Kind](), 0
    for block in graph.merges:
        assert block.kind
        merges[block.kind] += block.times
    for skip in graph.skips:
        skips[skip.kind] += times[skip.merge]
        projected += times[skip.merge] if skip.projected else 0
    found: list[tuple[object, str, str]] = [
        *((merges[kind], kind, f"{words} ({merges[kind]})") for kind, words in SAID.items()),
        (skips[Kind.ADD] - projected, "add skip", f"skip, identity ({skips[Kind.ADD] - projected})"),
        (projected, "add skip dashed", f"skip, projected ({projected})"),
        (skips[Kind.CONCAT], "concat skip", f"skip into a concat ({skips[Kind.CONCAT]})"),
        (placed(graph).dense, "ribbon", "all parts so far, as wide as their channels"),
        (skips[Kind.GATE], "gate skip", "way to a gate's weight"),
        (max(times.values(), default=1) > 1, "frame", "equal neighbours, drawn once; numbers are of all"),
        (True, "", "in a block, right: what comes out, and parameters"),
    ]
    return [(look, words) for there, look, words in found if there]


def flowing(items: list[Item], width: float, top: float) -> tuple[list[tuple[Point, Item]], int]:
    """Where each item of the legend stands, and in how many rows."""
    found: list[tuple[Point, Item]] = []
    x, row = 16.0, 0
    for item in items:
        wide = 40 + len(item[1]) * 6.3
        if x > 16 and x + wide > width - 10:
            x, row = 16.0, row + 1
        found.append(((x, top + row * ROW), item))
        x += wide + 10
    return found, row + 1 if items else 0


def item_strokes(x: float, y: float, item: Item) -> Iterator[str]:
    look, words = item
    if look in set(Kind):
        yield from mark(Kind(look), x + 13, y, 24.0)
    elif look == "frame":
        yield f'<rect class="frame" x="{x:.1f}" y="{y - 7:.1f}" width="26" height="14" rx="4"/>'
    elif look == "ribbon":
        yield f'<path class="concat-fill" fill-opacity="0.42" d="M{x:.1f} {y - 6:.1f}h26v6h-26z"/>'
        yield f'<path class="concat-fill" fill-opacity="0.22" d="M{x + 10:.1f} {y:.1f}h16v6h-16z"/>'
    elif look:
        yield f'<path class="{look}" d="M{x:.1f} {y:.1f}h26"/>'
    yield text(x + (33 if look else 0), y + 4, words, "soft", 11)
