"""Texts of tool tips and hints, so that each is found and worded in one place."""

from gui.graph import Graph
from gui.layout.geometry import MERGE_KINDS

REMOVE_EDIT = "Remove this edit"
OPEN_IMAGE = "Open an image, drop one anywhere, or paste one"
CONTRAST = "Color scale: per channel / shared (C)"
CHOICE = "The weights fit several models: choose another one"
ORDER = "Gate weights: by channel or sorted (S)"

SKIP_HINT = (
    "No edits. Right-click a skip connection to cut or scale it, or select a merge and press X."
)
GATE_HINT = "No edits. Right-click a gate to scale its weights, or select it and press G."
MERGE_HINT = "No edits. Right-click an input of a merge to cut or scale it."
PLAIN_HINT = (
    "This model has no skip connections and no merges to edit. "
    "Select a block to see its feature maps."
)


def edit_hint(diagram: Graph) -> str:
    """Say how a model can be edited.

    Args:
        diagram: its folded graph.

    Returns:
        The hint that fits the merges that it has.
    """
    kinds = {skip.kind for skip in diagram.skips}
    if kinds & {"add", "concat"}:
        return SKIP_HINT
    if kinds:
        return GATE_HINT
    has_merges = any(node.kind in MERGE_KINDS for node in diagram.nodes)
    if has_merges:
        return MERGE_HINT
    return PLAIN_HINT


def action_tooltip(title: str, shortcuts: str) -> str:
    """Build the tool tip of a button that performs an action.

    Args:
        title: title of the action.
        shortcuts: its shortcuts as the system writes them.

    Returns:
        Both in one line.
    """
    return f"{title}  {shortcuts}".rstrip()
