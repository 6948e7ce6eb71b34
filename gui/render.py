"""A Screen onto the window: each view is given its part only where that differs from what it
shows.
"""

from collections.abc import Callable

from PySide6.QtGui import QUndoStack

from gui.state import ViewState
from gui.views import qt_style
from gui.views.window import MainWindow

# What is painted from which fields of the screen; in this order.
BINDINGS: tuple[tuple[tuple[str, ...], Callable[[MainWindow, ViewState], None]], ...] = (
    (("page",), lambda window, new: window.set_page(new.page)),
    (
        ("title", "facts", "warning"),
        lambda window, new: window.set_title(new.title, new.facts, new.warning),
    ),
    (("diagram",), lambda window, new: window.graph.set_graph(new.diagram)),
    (("diagram", "edits"), lambda window, new: window.graph.set_edits(new.edits)),
    (("diagram", "changes"), lambda window, new: window.graph.set_values(new.changes)),
    (("diagram", "selected"), lambda window, new: window.graph.set_selected(new.selected)),
    (("chips",), lambda window, new: window.chips.set_chips(new.chips)),
    (("input_pixels", "image_label"), lambda window, new: _image(window, new)),
    (("bars",), lambda window, new: window.sidebar.prediction.set_bars(new.bars)),
    (("node",), lambda window, new: window.inspector.set_node(new.node)),
    (("contrast",), lambda window, new: window.inspector.set_contrast(new.contrast)),
    (("order",), lambda window, new: window.inspector.set_order(new.order)),
    (("detail",), lambda window, new: window.inspector.set_detail(new.detail)),
)


ACTIONS_NEEDING_A_MODEL = (
    "cut_skip",
    "cut_branch",
    "open_gate",
    "fit",
    "toggle_contrast",
    "toggle_order",
    "show_start",
    "go_to_skip_source",
)


def render(window: MainWindow, old: ViewState | None, new: ViewState) -> None:
    """Paint `new` over `old`; everything where `old` is None."""
    for names, paint in BINDINGS:
        if old is None or any(not _same(getattr(old, name), getattr(new, name)) for name in names):
            paint(window, new)


def update_enabled_actions(window: MainWindow, screen: ViewState, stack: QUndoStack) -> None:
    """Actions that would do nothing now are grayed."""
    window.set_enabled("undo", stack.canUndo() and not screen.status)
    window.set_enabled("redo", stack.canRedo() and not screen.status)
    window.set_enabled("reset", bool(screen.chips))
    for name in ACTIONS_NEEDING_A_MODEL:
        window.set_enabled(name, screen.page == "model")


def _image(window: MainWindow, new: ViewState) -> None:
    window.sidebar.set_image(
        None if new.input_pixels is None else qt_style.to_qimage(new.input_pixels), new.image_label
    )


def _same(old: object, new: object) -> bool:
    """Identity first: arrays are compared by who they are, plain values by what they say."""
    return old is new or (type(old) is type(new) and type(old).__module__ != "numpy" and old == new)
