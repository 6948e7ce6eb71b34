"""Depth strip with the choice of what it shows."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QToolButton, QVBoxLayout, QWidget

from gui.measures import BRANCH_RATIO, MEASURE_BY_NAME, MEASURES, DepthCell, Measure, format_value
from gui.theme import Theme
from gui.views import qt_style
from gui.views.depth_strip import DepthStrip


class DepthPanel(QFrame):
    """The strip under a line that names the figure and its range.

    Signals:
        measure_requested(name): The user chose another figure.
    """

    measure_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Figures of all blocks", "card")
        self.strip = DepthStrip()
        self._range = qt_style.make_label(name="Range of the depth strip", relative=0.9, soft=True)
        self._button = self._make_button()
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 4, 12, 4)
        column.setSpacing(0)
        row = QHBoxLayout()
        row.addWidget(self._button)
        row.addStretch(1)
        row.addWidget(self._range)
        column.addLayout(row)
        column.addWidget(self.strip)

    def set_theme(self, theme: Theme) -> None:
        """Color the strip anew.

        Args:
            theme: The colors to use.
        """
        self.strip.set_theme(theme)

    def set_cells(self, name: str, cells: tuple[DepthCell, ...]) -> None:
        """Show other values.

        Args:
            name: Name of the figure.
            cells: One per block, in order of execution.
        """
        measure = MEASURE_BY_NAME[name]
        self._button.setText(f"{measure.title} by block")
        self._button.setToolTip(qt_style.tooltip_html(measure.reading))
        for action in self._actions:
            action.setChecked(action.data() == name)
        self._range.setText(_describe_range(measure, cells))
        self.strip.set_cells(measure, cells)

    def _make_button(self) -> QToolButton:
        button = qt_style.set_accessible_name(QToolButton(), "Figure that the depth strip shows")
        button.setObjectName("flat")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        menu = QMenu(button)
        self._actions: list[QAction] = []
        for measure in MEASURES:
            action = menu.addAction(measure.title)
            action.setData(measure.name)
            action.setCheckable(True)
            action.setToolTip(measure.reading)
            action.triggered.connect(
                lambda _=False, name=measure.name: self.measure_requested.emit(name)
            )
            self._actions.append(action)
        menu.setToolTipsVisible(True)
        button.setMenu(menu)
        button.setText(f"{MEASURE_BY_NAME[BRANCH_RATIO].title} by block")
        return button


def _describe_range(measure: Measure, cells: tuple[DepthCell, ...]) -> str:
    """Say between which values the cells lie."""
    values = [cell.value for cell in cells if cell.value is not None]
    if not values:
        return "no values" if cells else ""
    low = format_value(measure, min(values))
    return f"{low} to {format_value(measure, max(values))}"
