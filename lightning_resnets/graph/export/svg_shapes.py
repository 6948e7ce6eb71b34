"""Write the basic shapes of a drawing in SVG: lines with round corners, merge symbols, text."""

from collections.abc import Iterator

from lightning_resnets.graph.export.svg_drawing import Point
from lightning_resnets.graph.export.xml_text import escape_xml
from lightning_resnets.merges import MergeKind

# Mean width of a letter relative to the font size. A name is bold, so its letters are wider.
PLAIN_LETTER_WIDTH = 0.56
BOLD_LETTER_WIDTH = 0.62


def svg_path(points: tuple[Point, ...], radius: float = 8.0) -> str:
    """Write a polyline with round corners.

    Args:
        points: at least two points.
        radius: radius of the corners in pixels; short segments get smaller ones.

    Returns:
        The value of the attribute `d` of a path.
    """
    parts = [f"M{_coordinates(points[0])}"]
    # The first and the last point are no corners.
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start = _point_towards(corner, before, radius)
        end = _point_towards(corner, after, radius)
        parts.append(f"L{_coordinates(start)}Q{_coordinates(corner)} {_coordinates(end)}")
    parts.append(f"L{_coordinates(points[-1])}")
    return "".join(parts)


def _coordinates(point: Point) -> str:
    """Format a point for a path."""
    return f"{point[0]:.1f} {point[1]:.1f}"


def _point_towards(corner: Point, other: Point, radius: float) -> Point:
    """Return the point at a distance from the corner towards another point."""
    dx = other[0] - corner[0]
    dy = other[1] - corner[1]
    # All segments are horizontal or vertical, so the sum is the length.
    length = abs(dx) + abs(dy)
    # Two equal points have no direction.
    if not length:
        return corner
    # At most half, so that the arcs of two corners do not overlap.
    fraction = min(radius, length / 2) / length
    return corner[0] + dx * fraction, corner[1] + dy * fraction


def svg_merge_symbol(kind: MergeKind, x: float, y: float, width: float) -> Iterator[str]:
    """Draw the symbol of a merge.

    Args:
        kind: Add is a circle with a plus, Concat a bar of parts, Gate a diamond with a cross.
        x: center in pixels.
        y: center in pixels.
        width: width in pixels.

    Returns:
        The SVG elements.
    """
    if kind is MergeKind.CONCAT:
        return _concat_symbol(x, y, width)
    if kind is MergeKind.ADD:
        return _add_symbol(x, y, width)
    return _gate_symbol(x, y)


def _concat_symbol(x: float, y: float, width: float) -> Iterator[str]:
    """Draw a bar of three parts."""
    height = 14 if width > 40 else 12
    third = width / 3
    top = y - height / 2
    rect = f'x="{x - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height}"'
    yield f'<rect class="concat-mark" {rect} rx="2"/>'
    dividers = f"M{x - third / 2:.1f} {top:.1f}v{height}m{third:.1f} 0v{-height}"
    yield f'<path class="concat" d="{dividers}"/>'


def _add_symbol(x: float, y: float, width: float) -> Iterator[str]:
    """Draw a circle with a plus."""
    radius = min(width, 22) / 2
    circle = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"'
    yield f'<circle class="add-mark" {circle} stroke-width="2"/>'
    yield f'<path class="add skip" d="M{x - 6:.1f} {y:.1f}h12m-6 -6v12"/>'


def _gate_symbol(x: float, y: float) -> Iterator[str]:
    """Draw a diamond with a cross."""
    diamond = f"M{x:.1f} {y - 12:.1f}l12 12l-12 12l-12 -12z"
    yield f'<path class="gate-mark" stroke-width="2" d="{diamond}"/>'
    yield f'<path class="gate skip" d="M{x - 3.5:.1f} {y - 3.5:.1f}l7 7m0 -7l-7 7"/>'


def truncate_right(text: str, width: float, size: float) -> str:
    """Cut text at its end so that it fits.

    Args:
        text: plain text.
        width: available width in pixels.
        size: font size in pixels.

    Returns:
        The text, or its beginning and an ellipsis.
    """
    length = max(3, int(width / (size * PLAIN_LETTER_WIDTH)))
    if len(text) <= length:
        return text
    return f"{text[: length - 1]}…"


def truncate_left(text: str, width: float, size: float) -> str:
    """Cut a name at its beginning so that it fits: the end says more.

    Args:
        text: bold text.
        width: available width in pixels.
        size: font size in pixels.

    Returns:
        The name, or an ellipsis and its end.
    """
    length = max(3, int(width / (size * BOLD_LETTER_WIDTH)))
    if len(text) <= length:
        return text
    return f"…{text[len(text) - length + 1 :]}"


def svg_text(
    x: float,
    y: float,
    text: str,
    css_class: str,
    size: float,
    full_text: str = "",
    anchor: str = "start",
) -> str:
    """Write a line of text.

    Args:
        x: position in pixels.
        y: baseline in pixels.
        text: the text; it is escaped.
        css_class: classes of the element.
        size: font size in pixels.
        full_text: tool tip, if the text was truncated.
        anchor: the end of the text that stands at x: "start", "middle" or "end".

    Returns:
        The element; empty for an empty text.
    """
    if not text:
        return ""
    attributes = f'class="{css_class}" x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"'
    if anchor != "start":
        attributes += f' text-anchor="{anchor}"'
    is_truncated = bool(full_text) and full_text != text
    tool_tip = f"<title>{escape_xml(full_text)}</title>" if is_truncated else ""
    return f"<text {attributes}>{tool_tip}{escape_xml(text)}</text>"
