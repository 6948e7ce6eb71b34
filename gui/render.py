"""Update the window from a view state: each view gets its part only where that changed."""

from collections.abc import Callable, Iterator

from PySide6.QtGui import QUndoStack

from gui.measures import MEASURE_BY_NAME, MeasureValues
from gui.view_state import ViewState
from gui.views import qt_style
from gui.views.window import MainWindow

Update = Callable[[MainWindow, ViewState], None]

ACTIONS_NEEDING_A_MODEL = (
    "cut_skip",
    "cut_branch",
    "open_gate",
    "remove_block",
    "fit",
    "toggle_contrast",
    "toggle_order",
    "show_start",
    "go_to_skip_source",
    "save_session",
    "copy_python",
)


def _update_page(window: MainWindow, new: ViewState) -> None:
    window.set_page(new.page)


def _update_title(window: MainWindow, new: ViewState) -> None:
    window.set_title(new.title, new.facts, new.warning)


def _update_badges(window: MainWindow, new: ViewState) -> None:
    window.header.set_badges(new.badges)
    window.header.set_choice_count(len(new.choices))


def _update_graph(window: MainWindow, new: ViewState) -> None:
    window.graph.set_graph(new.diagram)
    window.chips.set_hint(new.diagram)


def _update_edits(window: MainWindow, new: ViewState) -> None:
    window.graph.set_edits(new.edits)


def _update_values(window: MainWindow, new: ViewState) -> None:
    window.graph.set_values(new.changes)


def _update_selection(window: MainWindow, new: ViewState) -> None:
    window.graph.set_selected(new.selected)


def _update_colors(window: MainWindow, new: ViewState) -> None:
    window.graph.set_colors(new.colors)
    window.color_button.show_choice(*color_choice(new.colors))


def color_choice(colors: MeasureValues | None) -> tuple[str, str]:
    """Return name and text of what colors the graph.

    Args:
        colors: the figure, None for plain colors.

    Returns:
        Name of the measure ("" for none), and the text of the button.
    """
    if colors is None:
        return "", "Color: plain"
    return colors.name, f"Color: {MEASURE_BY_NAME[colors.name].title}"


def _update_strip(window: MainWindow, new: ViewState) -> None:
    if new.strip_measure:
        window.depth_panel.set_cells(new.strip_measure, new.cells)


def _update_strip_selection(window: MainWindow, new: ViewState) -> None:
    window.depth_panel.strip.set_selected(new.selected)


def _update_chips(window: MainWindow, new: ViewState) -> None:
    window.chips.set_chips(new.chips)


def _update_image(window: MainWindow, new: ViewState) -> None:
    image = None if new.input_pixels is None else qt_style.to_qimage(new.input_pixels)
    window.sidebar.set_image(image, new.image_label)


def _update_prediction(window: MainWindow, new: ViewState) -> None:
    window.sidebar.prediction.set_bars(new.bars)


def _update_node(window: MainWindow, new: ViewState) -> None:
    window.inspector.set_node(new.node)


def _update_contrast(window: MainWindow, new: ViewState) -> None:
    window.inspector.set_contrast(new.contrast)


def _update_order(window: MainWindow, new: ViewState) -> None:
    window.inspector.set_order(new.order)


def _update_detail(window: MainWindow, new: ViewState) -> None:
    window.inspector.set_detail(new.detail)


# Fields of the view state and what is updated where one of them differs, in this order: edits,
# values and selection are marks on the graph, so they follow it.
UPDATES: tuple[tuple[tuple[str, ...], Update], ...] = (
    (("page",), _update_page),
    (("title", "facts", "warning"), _update_title),
    (("badges", "choices"), _update_badges),
    (("diagram",), _update_graph),
    (("diagram", "edits"), _update_edits),
    (("diagram", "changes"), _update_values),
    (("diagram", "selected"), _update_selection),
    (("diagram", "colors"), _update_colors),
    (("strip_measure", "cells"), _update_strip),
    (("strip_measure", "cells", "selected"), _update_strip_selection),
    (("chips",), _update_chips),
    (("input_pixels", "image_label"), _update_image),
    (("bars",), _update_prediction),
    (("node",), _update_node),
    (("contrast",), _update_contrast),
    (("order",), _update_order),
    (("detail",), _update_detail),
)


def render(window: MainWindow, old: ViewState | None, new: ViewState) -> list[Exception]:
    """Update the views of a window.

    A view that fails does not keep the others from being updated.

    Args:
        window: the window.
        old: what it shows; None to update everything.
        new: what it should show.

    Returns:
        The exceptions of views that failed.
    """
    errors: list[Exception] = []
    for update in _changed_updates(old, new):
        try:
            update(window, new)
        except Exception as error:  # noqa: BLE001 - one view must not stop the whole app
            errors.append(error)
    return errors


def _changed_updates(old: ViewState | None, new: ViewState) -> Iterator[Update]:
    """Yield the updates that are due."""
    for names, update in UPDATES:
        if old is None or any(_differs(getattr(old, name), getattr(new, name)) for name in names):
            yield update


def update_enabled_actions(window: MainWindow, screen: ViewState, stack: QUndoStack) -> None:
    """Disable the actions that would do nothing now.

    Args:
        window: the window.
        screen: what it shows.
        stack: the undo stack.
    """
    window.set_enabled("undo", stack.canUndo() and not screen.status)
    window.set_enabled("redo", stack.canRedo() and not screen.status)
    window.set_enabled("reset", bool(screen.chips))
    for name in ACTIONS_NEEDING_A_MODEL:
        window.set_enabled(name, screen.page == "model")


def _differs(old: object, new: object) -> bool:
    """Compare plain values by content, and arrays by identity, which takes no time."""
    if old is new:
        return False
    # `==` of arrays is an array, which has no truth value.
    is_array = type(old).__module__ == "numpy"
    return type(old) is not type(new) or is_array or old != new
