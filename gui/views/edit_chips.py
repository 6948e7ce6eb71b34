"""The active edits, each as a chip with a cross to take it back, and one button that takes back all."""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from gui.state import EditChip
from gui.theme import LIGHT, Theme
from gui.views import qt_style
from gui.views.merge_icon import merge_qicon

HINT = "Nothing is cut. Right-click a skip to cut or fade it, or select a merge and press X."


class ChipsView(QScrollArea):
    """One row of chips; while there is none, how to make one."""

    removed = Signal(str, str, int)
    reset = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Active edits")
        self.setWidgetResizable(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(38)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._theme: Theme = LIGHT
        self._chips: tuple[EditChip, ...] = ()
        self._row = qt_style.set_accessible_name(QWidget(), "Row of edits")
        self._layout = QHBoxLayout(self._row)
        self._layout.setContentsMargins(4, 3, 0, 3)
        self._layout.setSpacing(8)
        self.setWidget(self._row)
        self._fill()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._fill()

    def set_chips(self, chips: tuple[EditChip, ...]) -> None:
        self._chips = chips
        self._fill()

    def buttons(self) -> list[QToolButton]:
        """The chips, in the order of the edits."""
        return self._row.findChildren(QToolButton)

    def _fill(self) -> None:
        while (item := self._layout.takeAt(0)) is not None:
            if widget := item.widget():
                widget.hide()
                widget.setParent(None)
                widget.deleteLater()
        for chip in self._chips:
            self._layout.addWidget(self._button(chip))
        if self._chips:
            button = qt_style.set_accessible_name(
                QPushButton("Reset all"), "Reset all edits", "quiet"
            )
            button.clicked.connect(self.reset)
            self._layout.addWidget(button)
        else:
            self._layout.addWidget(qt_style.make_label(HINT, "How to edit", soft=True))
        self._layout.addStretch(1)

    def _button(self, chip: EditChip) -> QToolButton:
        button = qt_style.set_accessible_name(QToolButton(), f"Take back: {chip.text}")
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setIcon(merge_qicon(chip.kind, self._theme, self.devicePixelRatioF()))
        button.setText(f" {chip.text}   ✕")
        button.setToolTip("Remove this edit")
        accent = self._theme.accent(chip.kind)
        button.setStyleSheet(
            f"QToolButton {{ background: {self._theme.tint(chip.kind)}; color: {self._theme.text};"
            f" border: 1px solid {accent}; border-radius: 12px; padding: 3px 12px; }}"
            f"QToolButton:hover {{ border: 2px solid {accent}; padding: 2px 11px; }}"
            f"QToolButton:focus {{ border: 2px solid {self._theme.focus}; padding: 2px 11px; }}"
        )
        remove: Callable[[], None] = partial(self.removed.emit, *chip.key)
        button.clicked.connect(lambda: remove())
        return button
