"""Labels shortened to the width of their boxes."""

from gui.graph import Node
from gui.layout.geometry import text_width

OP_FONT_SIZE = 9.0  # in units
LABEL_FONT_SIZE = 9.0
MIN_LETTERS = 4


def wrap_label(op: str, width: float) -> tuple[str, ...]:
    """Split an operation into two lines if one is too wide.

    Args:
        op: The operation, its parts separated by commas.
        width: The available width in units.

    Returns:
        The lines, none for an empty operation. Where even two are too wide, an operation that
        is repeated is named once: "conv 1x1, 3x3, 1x1".
    """
    for text in (op, _name_once(op)):
        parts = text.split(", ")
        if len(parts) < 2 or text_width(text, OP_FONT_SIZE) <= width:
            return (text,) if text else ()
        # Rounded up: the first line gets the larger half.
        half = -(-len(parts) // 2)
        lines = ", ".join(parts[:half]) + ",", ", ".join(parts[half:])
        # Otherwise it is tried once more with each name only once.
        if max(text_width(line, OP_FONT_SIZE) for line in lines) <= width:
            break
    return lines


def _name_once(op: str) -> str:
    """Leave out the name of a part that is that of the part before: "conv 1x1, 3x3"."""
    parts: list[str] = []
    last = ""
    for part in op.split(", "):
        name, _, size = part.partition(" ")
        parts.append(size if size and name == last else part)
        last = name
    return ", ".join(parts)


def shorten_label(label: str, width: float) -> str:
    """Shorten the label of a projection: its method is left out first.

    Args:
        label: The label, such as "16→32 /2, pad".
        width: The available width in units.

    Returns:
        The longest version that fits. Where something else than the method is left out, it ends
        in an ellipsis; "" where only a few letters would fit.
    """
    short = label.split(",")[0]
    for text in (label, short):
        if text_width(text, LABEL_FONT_SIZE) <= width:
            return text
    # One letter fewer, for the ellipsis.
    count = int(width / text_width("x", LABEL_FONT_SIZE)) - 1
    # Two letters and an ellipsis tell nobody anything; the tool tip has the whole label.
    if count >= MIN_LETTERS:
        return f"{short[:count].rstrip()}…"
    return ""


def shorten_node_label(node: Node, width: float) -> str:
    """Shorten a label to its last part, and that of a layer to its number if it is too wide.

    Args:
        node: The node.
        width: The available width in units.

    Returns:
        The label; it may still be too wide.
    """
    last = node.label.rpartition(".")[2]
    if text_width(last, 8) <= width:
        return last
    digits = last[len(last.rstrip("0123456789")) :]
    # The digit of another name, as in "conv1", would be taken for a layer's number.
    is_numbered_layer = node.kind == "block" and digits and "layer" in last
    if is_numbered_layer:
        return digits
    return last
