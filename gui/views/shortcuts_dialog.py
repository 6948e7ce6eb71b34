"""Dialog that lists all keyboard shortcuts."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QGridLayout, QWidget

from gui.actions import ACTIONS, Action
from gui.views import qt_style
from gui.views.command_palette import format_shortcuts

COLUMNS = 2


class ShortcutsDialog(QDialog):
    """All shortcuts, grouped by menu."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        qt_style.set_accessible_name(self, "Keyboard shortcuts", "page")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        grid = QGridLayout(self)
        grid.setContentsMargins(28, 24, 28, 24)
        grid.setHorizontalSpacing(36)
        grid.setVerticalSpacing(24)
        # Each menu once, in the order of its first action.
        menus = dict.fromkeys(action.menu for action in ACTIONS)
        for i, menu in enumerate(menus):
            group = _make_group(menu, [action for action in ACTIONS if action.menu == menu])
            row, column = divmod(i, COLUMNS)
            grid.addLayout(group, row, column, Qt.AlignmentFlag.AlignTop)


def _make_group(menu: str, actions: Sequence[Action]) -> QGridLayout:
    """Build the table of one menu: titles on the left, shortcuts on the right."""
    group = QGridLayout()
    group.setVerticalSpacing(6)
    group.addWidget(qt_style.make_label(menu, bold=True), 0, 0)
    for row, action in enumerate(actions, 1):
        title = qt_style.make_label(action.title)
        title.setToolTip(action.hint)
        name = f"Shortcut of {action.title}"
        shortcuts = qt_style.make_label(format_shortcuts(action), name, soft=True)
        group.addWidget(title, row, 0)
        group.addWidget(shortcuts, row, 1, Qt.AlignmentFlag.AlignRight)
    return group
