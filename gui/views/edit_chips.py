"""Row of chips, one for each active edit, with a button that removes all of them."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from gui.graph import Graph
from gui.theme import LIGHT, Theme
from gui.tooltips import REMOVE_EDIT, SKIP_HINT, edit_hint
from gui.view_state import EditChip
from gui.views import qt_style
from gui.views.merge_icon import merge_qicon

# The padding shrinks as the border grows, so that chips keep their size.
CHIP_STYLE = """
QToolButton {{ background: {tint}; color: {text}; border: 1px solid {accent};
    border-radius: 12px; padding: 3px 12px; }}
QToolButton:hover {{ border: 2px solid {accent}; padding: 2px 11px; }}
QToolButton:focus {{ border: 2px solid {focus}; padding: 2px 11px; }}
"""


class ChipsView(QScrollArea):
    """One row of chips, or a hint while there are no edits.

    Signals:
        removed(kind, target, operand): The key of the edit whose chip was clicked.
        reset(): The user wants to remove all edits.
    """

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
        # The buttons take the focus; the area around them would only add an empty tab stop.
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._theme: Theme = LIGHT
        self._chips: tuple[EditChip, ...] = ()
        self._hint = SKIP_HINT
        self._row = qt_style.set_accessible_name(QWidget(), "Row of edits")
        self._layout = QHBoxLayout(self._row)
        self._layout.setContentsMargins(4, 3, 0, 3)
        self._layout.setSpacing(8)
        self.setWidget(self._row)
        self._fill()

    def set_theme(self, theme: Theme) -> None:
        """Color the chips anew.

        Args:
            theme: The colors to use.
        """
        self._theme = theme
        self._fill()

    def set_chips(self, chips: tuple[EditChip, ...]) -> None:
        """Show other edits.

        Args:
            chips: The active edits, in the order in which they were made.
        """
        self._chips = chips
        self._fill()

    def set_hint(self, diagram: Graph) -> None:
        """Choose the hint that is shown without edits.

        Args:
            diagram: The shown model.
        """
        self._hint = edit_hint(diagram)
        self._fill()

    def buttons(self) -> list[QToolButton]:
        """Return the chips in the order of the edits."""
        return self._row.findChildren(QToolButton)

    def _fill(self) -> None:
        qt_style.clear_layout(self._layout)
        for chip in self._chips:
            self._layout.addWidget(self._make_chip(chip))
        if self._chips:
            self._layout.addWidget(self._make_reset_button())
        else:
            self._layout.addWidget(qt_style.make_label(self._hint, "How to edit", soft=True))
        # Chips keep their own width, at the left.
        self._layout.addStretch(1)

    def _make_chip(self, chip: EditChip) -> QToolButton:
        button = qt_style.set_accessible_name(QToolButton(), f"Remove this edit: {chip.text}")
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setIcon(merge_qicon(chip.kind, self._theme, self.devicePixelRatioF()))
        button.setText(f" {chip.text}   ✕")
        button.setToolTip(REMOVE_EDIT)
        # A sheet of its own, because the colors depend on the kind of merge.
        button.setStyleSheet(self._chip_style(chip))
        kind, target, operand = chip.key
        button.clicked.connect(lambda: self.removed.emit(kind, target, operand))
        return button

    def _chip_style(self, chip: EditChip) -> str:
        theme = self._theme
        return CHIP_STYLE.format(
            tint=theme.tint(chip.kind),
            text=theme.text,
            accent=theme.accent(chip.kind),
            focus=theme.focus,
        )

    def _make_reset_button(self) -> QPushButton:
        button = QPushButton("Reset all")
        qt_style.set_accessible_name(button, "Reset all edits", "quiet")
        button.clicked.connect(self.reset)
        return button
