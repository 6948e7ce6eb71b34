"""A Screen onto the window: each view is given its part only where that differs from what it shows."""

from collections.abc import Callable

from PySide6.QtGui import QUndoStack

from gui.state import Screen
from gui.views import style
from gui.views.window import Window

# What is painted from which fields of the screen; in this order.
PARTS: tuple[tuple[tuple[str, ...], Callable[[Window, Screen], None]], ...] = (
    (("page",), lambda window, new: window.set_page(new.page)),
    (("title", "facts", "warning"), lambda window, new: window.set_title(new.title, new.facts, new.warning)),
    (("diagram",), lambda window, new: window.graph.set_diagram(new.diagram)),
    (("diagram", "edits"), lambda window, new: window.graph.set_edits(new.edits)),
    (("diagram", "changes"), lambda window, new: window.graph.set_values(new.changes)),
    (("diagram", "selected"), lambda window, new: window.graph.set_selected(new.selected)),
    (("chips",), lambda window, new: window.chips.set_chips(new.chips)),
    (("seen", "picture"), lambda window, new: _picture(window, new)),
    (("bars",), lambda window, new: window.aside.prediction.set_bars(new.bars)),
    (("node",), lambda window, new: window.inspector.set_node(new.node)),
    (("contrast",), lambda window, new: window.inspector.set_contrast(new.contrast)),
    (("order",), lambda window, new: window.inspector.set_order(new.order)),
    (("detail",), lambda window, new: window.inspector.set_detail(new.detail)),
)
NEED_A_NET = (
    "cut_skip",
    "cut_branch",
    "open_gate",
    "fit",
    "toggle_contrast",
    "toggle_order",
    "show_start",
    "follow_skip",
)


def show(window: Window, old: Screen | None, new: Screen) -> None:
    """Paint `new` over `old`; everything where `old` is None."""
    for names, paint in PARTS:
        if old is None or any(not _same(getattr(old, name), getattr(new, name)) for name in names):
            paint(window, new)


def enable(window: Window, screen: Screen, stack: QUndoStack) -> None:
    """Actions that would do nothing now are greyed."""
    window.set_enabled("undo", stack.canUndo() and not screen.status)
    window.set_enabled("redo", stack.canRedo() and not screen.status)
    window.set_enabled("reset", bool(screen.chips))
    for name in NEED_A_NET:
        window.set_enabled(name, screen.page == "net")


def _picture(window: Window, new: Screen) -> None:
    window.aside.set_picture(None if new.seen is None else style.picture_image(new.seen), new.picture)


def _same(old: object, new: object) -> bool:
    """Identity first: arrays are compared by who they are, plain values by what they say."""
    return old is new or (type(old) is type(new) and type(old).__module__ != "numpy" and old == new)
