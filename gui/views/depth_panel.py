"""Depth strip with the choice of what it shows."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from gui.measures import BRANCH_RATIO, MEASURE_BY_NAME, DepthCell, Measure, format_value
from gui.theme import Theme
from gui.views import qt_style
from gui.views.depth_strip import DepthStrip
from gui.views.measure_button import MeasureButton

BUTTON_WIDTH = 172  # pixels, of the longest name of a figure


class DepthPanel(QFrame):
    """The strip beside the name of its figure and its range.

    Signals:
        measure_requested(name): The user chose another figure for the strip.
    """

    measure_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Figures of all blocks", "card")
        self.strip = DepthStrip()
        self._range = qt_style.make_label(name="Range of the depth strip", relative=0.9, soft=True)
        self._button = MeasureButton("Figure of the depth strip")
        # Fixed, so that the strip does not jump when another figure is chosen.
        self._button.setFixedWidth(BUTTON_WIDTH)
        self._button.chosen.connect(self.measure_requested)
        self._button.show_choice(BRANCH_RATIO, MEASURE_BY_NAME[BRANCH_RATIO].title)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 4, 12, 4)
        row.setSpacing(12)
        row.addWidget(self._button)
        row.addWidget(self.strip, 1)
        row.addWidget(self._range)

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
        self._button.show_choice(name, measure.title)
        self._range.setText(_describe_range(measure, cells))
        self.strip.set_cells(measure, cells)


def _describe_range(measure: Measure, cells: tuple[DepthCell, ...]) -> str:
    """Say between which values the cells lie."""
    values = [cell.value for cell in cells if cell.value is not None]
    if not values:
        if not cells:
            return ""
        return "no values"
    low = format_value(measure, min(values))
    return f"{low} to {format_value(measure, max(values))}"
