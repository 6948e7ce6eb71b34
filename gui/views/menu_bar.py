"""Menu bar: one menu entry with its shortcuts for each action of the table in `gui.actions`."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu, QWidget

from gui.actions import ACTIONS, Action
from gui.views import qt_style


def fill_menu_bar(window: QMainWindow, graph: QWidget) -> dict[str, QAction]:
    """Fill the menu bar of a window.

    Args:
        window: The window; it owns the actions.
        graph: The view in which the shortcuts of scope "graph" work.

    Returns:
        The actions by name.
    """
    bar = qt_style.set_accessible_name(window.menuBar(), "Menu bar")
    menus: dict[str, QMenu] = {}
    actions: dict[str, QAction] = {}
    # Menus come in the order of their first action.
    for entry in ACTIONS:
        if entry.menu not in menus:
            menu = bar.addMenu(f"&{entry.menu}")
            menus[entry.menu] = qt_style.set_accessible_name(menu, f"Menu {entry.menu}")
        actions[entry.name] = _make_action(entry, window, graph)
        menus[entry.menu].addAction(actions[entry.name])
    return actions


def _make_action(entry: Action, window: QMainWindow, graph: QWidget) -> QAction:
    action = QAction(entry.title, window)
    action.setShortcuts([QKeySequence(key) for key in entry.keys])
    action.setStatusTip(entry.hint)
    if entry.scope == "graph":
        # Arrow keys and the like mean something else in the other views.
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        graph.addAction(action)
    return action
