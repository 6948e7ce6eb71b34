"""Draw the nodes of a graph in SVG: boxes with text, and merge symbols."""

from collections.abc import Iterator

from lightning_resnets.graph.data import Node
from lightning_resnets.graph.export.svg_drawing import BOX_WIDTH, NodeBox
from lightning_resnets.graph.export.svg_shapes import (
    svg_merge_symbol,
    svg_text,
    truncate_left,
    truncate_right,
)
from lightning_resnets.graph.export.xml_text import escape_xml
from lightning_resnets.merges import MergeKind
from lightning_resnets.utils.format import format_count, format_shape

END_OPS = ("input", "output")  # their boxes have round ends


def draw_node(box: NodeBox, has_line_from_right: bool) -> Iterator[str]:
    """Draw a node with its full text as tool tip.

    Args:
        box: the node and its rectangle.
        has_line_from_right: True if a line ends at its right edge; the label of a merge then
            stands above that line.

    Yields:
        The SVG elements.
    """
    yield f"<g><title>{escape_xml(_describe(box.node))}</title>"
    if box.node.kind:
        yield from _draw_merge(box, box.node.kind, has_line_from_right)
    else:
        yield from _draw_box(box)
    yield "</g>"


def _draw_merge(box: NodeBox, kind: MergeKind, has_line_from_right: bool) -> Iterator[str]:
    """Draw the symbol of a merge and its output shape."""
    x, y = box.middle
    yield from svg_merge_symbol(kind, x, y, box.rect[2])
    label = format_shape(box.node.shape)
    if kind is not MergeKind.CONCAT:
        label = f"{box.node.op} · {label}"
    yield svg_text(box.right + 8, y + (-6 if has_line_from_right else 4), label, "soft", 11)


def _draw_box(box: NodeBox) -> Iterator[str]:
    """Draw a rounded box and its text."""
    x, y, width, height = box.rect
    radius = height / 2 if box.node.op in END_OPS else 6
    size = f'width="{width:.1f}" height="{height:.1f}"'
    yield f'<rect class="box" x="{x:.1f}" y="{y:.1f}" {size} rx="{radius:g}"/>'
    yield from _draw_box_text(box.node, x, y)


def _draw_box_text(node: Node, x: float, y: float) -> Iterator[str]:
    """Write name, shape, operation and parameters into a box."""
    name = _short_name(node)
    op = node.op
    # A node that is named after its operation would say it twice.
    if op == name:
        op = ""
    shape = format_shape(node.shape)
    parameters = ""
    if node.parameters:
        parameters = format_count(node.parameters)
    inset = 20 if node.op in END_OPS else 10
    left = x + inset
    right = x + BOX_WIDTH - inset
    # A single line of text stands in the middle of the box.
    first_y = y + (18 if op or parameters else 26)
    second_y = y + 33
    # 6.8 pixels per letter of the shape, in a font of 11.
    name = truncate_left(name, BOX_WIDTH - 40 - len(shape) * 6.8, 12)
    yield svg_text(left, first_y, name, "ink name", 12)
    yield svg_text(right, first_y, shape, "ink", 11, anchor="end")
    op = truncate_right(op, BOX_WIDTH - 26 - len(parameters) * 6, 10.5)
    yield svg_text(left, second_y, op, "soft", 10.5)
    yield svg_text(right, second_y, parameters, "soft", 10.5, anchor="end")


def _short_name(node: Node) -> str:
    """Return the name without its stage, unless only a number would remain."""
    name = node.name
    if node.stage:
        name = name.removeprefix(f"{node.stage}.")
    # "0" alone would not tell the stage.
    if name.isdigit():
        return node.name
    return name


def _describe(node: Node) -> str:
    """Describe a node in full."""
    counts = f"{node.parameters:,} parameters, {node.macs:,} MACs"
    repeats = f" ×{node.repeat_count}" if node.repeat_count > 1 else ""
    return f"{node.name}{repeats}: {node.op}, {format_shape(node.shape)}, {counts}"
