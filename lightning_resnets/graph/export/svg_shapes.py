"""The strokes of an image in SVG: text cut to its room, ways with round corners, and the signs of the merges."""

from collections.abc import Iterator

from lightning_resnets.graph.export.svg_drawing import Point
from lightning_resnets.graph.export.xml_text import escape_xml
from lightning_resnets.merges import MergeKind


def svg_path(points: tuple[Point, ...], radius: float = 8.0) -> str:
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, (x, y), behind in zip(points, points[1:], points[2:], strict=False):
        into, out = _towards((x, y), before, radius), _towards((x, y), behind, radius)
        parts.append(f"L{into[0]:.1f} {into[1]:.1f}Q{x:.1f} {y:.1f} {out[0]:.1f} {out[1]:.1f}")
    return "".join([*parts, f"L{points[-1][0]:.1f} {points[-1][1]:.1f}"])


def _towards(corner: Point, other: Point, radius: float) -> Point:
    """A point near the corner on the way to another."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = abs(dx) + abs(dy)
    share = min(radius, length / 2) / length if length else 0.0
    return corner[0] + dx * share, corner[1] + dy * share


def svg_merge_symbol(kind: MergeKind, x: float, y: float, wide: float) -> Iterator[str]:
    """The sign of a merge: a circle with a plus, a bar of parts, a diamond with a cross."""
    if kind is MergeKind.CONCAT:
        high, third = 14 if wide > 40 else 12, wide / 3
        place = f'x="{x - wide / 2:.1f}" y="{y - high / 2:.1f}" width="{wide:.1f}" height="{high}"'
        yield f'<rect class="concat-mark" {place} rx="2"/>'
        yield f'<path class="concat" d="M{x - third / 2:.1f} {y - high / 2:.1f}v{high}m{third:.1f} 0v{-high}"/>'
    elif kind is MergeKind.ADD:
        radius = min(wide, 22) / 2
        yield f'<circle class="add-mark" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" stroke-width="2"/>'
        yield f'<path class="add skip" d="M{x - 6:.1f} {y:.1f}h12m-6 -6v12"/>'
    else:
        yield f'<path class="gate-mark" stroke-width="2" d="M{x:.1f} {y - 12:.1f}l12 12l-12 12l-12 -12z"/>'
        yield f'<path class="gate skip" d="M{x - 3.5:.1f} {y - 3.5:.1f}l7 7m0 -7l-7 7"/>'


def truncate_right(words: str, room: float, size: float) -> str:
    most = max(3, int(room / (size * 0.56)))
    return words if len(words) <= most else f"{words[: most - 1]}…"


def truncate_left(words: str, room: float, size: float) -> str:
    """The end of a name, which says more than its beginning."""
    most = max(3, int(room / (size * 0.62)))
    return words if len(words) <= most else f"…{words[len(words) - most + 1 :]}"


def svg_text(
    x: float, y: float, words: str, look: str, size: float, tip: str = "", anchor: str = "start"
) -> str:
    if not words:
        return ""
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"' + (
        f' text-anchor="{anchor}"' if anchor != "start" else ""
    )
    told = f"<title>{escape_xml(tip)}</title>" if tip and tip != words else ""
    return f'<text class="{look}" {place}>{told}{escape_xml(words)}</text>'
