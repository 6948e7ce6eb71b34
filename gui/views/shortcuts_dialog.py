"""The dialog that lists all keyboard shortcuts."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QGridLayout,
    QWidget,
)

from gui.actions import ACTIONS, Action
from gui.views import qt_style
from gui.views.command_palette import format_shortcuts


class ShortcutsDialog(QDialog):
    """All shortcuts, by menu."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        qt_style.set_accessible_name(self, "Keyboard shortcuts", "page")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        grid = QGridLayout(self)
        grid.setContentsMargins(28, 24, 28, 24)
        grid.setHorizontalSpacing(36)
        grid.setVerticalSpacing(24)
        menus = list(dict.fromkeys(action.menu for action in ACTIONS))
        for i, menu in enumerate(menus):
            grid.addLayout(
                self._part(menu, [a for a in ACTIONS if a.menu == menu]),
                i // 2,
                i % 2,
                Qt.AlignmentFlag.AlignTop,
            )

    def _part(self, menu: str, actions: Sequence[Action]) -> QGridLayout:
        part = QGridLayout()
        part.setVerticalSpacing(6)
        part.addWidget(qt_style.make_label(menu, bold=True), 0, 0)
        for row, action in enumerate(actions, 1):
            title = qt_style.make_label(action.title)
            title.setToolTip(action.hint)
            part.addWidget(title, row, 0)
            keys = qt_style.make_label(
                format_shortcuts(action), f"Shortcut of {action.title}", soft=True
            )
            part.addWidget(keys, row, 1, Qt.AlignmentFlag.AlignRight)
        return part
