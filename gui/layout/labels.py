"""Labels shortened to the width of their boxes."""

from gui.graph import Node
from gui.layout.geometry import text_width


def wrap_label(op: str, width: float) -> tuple[str, ...]:
    """Split an operation into two lines if one is too wide.

    Args:
        op: The operation, its parts separated by commas.
        width: The available width in units.

    Returns:
        The lines, none for an empty operation.
    """
    parts = op.split(", ")
    if len(parts) < 2 or text_width(op, 7.6) <= width:
        return (op,) if op else ()
    half = -(-len(parts) // 2)
    return ", ".join(parts[:half]), ", ".join(parts[half:])


def shorten_label(label: str, width: float) -> str:
    """Shorten the label of a projection: first its method, then its stride is left out.

    Args:
        label: The label, such as "16→32 /2, pad".
        width: The available width in units.

    Returns:
        The longest version that fits, or the shortest one.
    """
    versions = (label, label.split(",")[0], label.split(" ")[0])
    return next((text for text in versions if text_width(text, 8) <= width), versions[-1])


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
    is_numbered_layer = node.kind == "block" and digits and "layer" in last
    return digits if is_numbered_layer else last
