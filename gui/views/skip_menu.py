"""The menu of a skip: cut it, fade it with a slider inside the menu, restore it; a gate can be forced open."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSlider, QVBoxLayout, QWidget, QWidgetAction

from gui.views import qt_style

SLIDER_STEPS = 100


class SkipMenu(QMenu):
    """Signals carry what is wanted; the menu stays open while its slider is moved."""

    faded = Signal(float)
    fade_ended = Signal()
    cut_wanted = Signal()
    branch_wanted = Signal()
    open_wanted = Signal()
    restore_wanted = Signal()

    def __init__(
        self, title: str, kind: str, gain: float, held: bool, parent: QWidget | None = None
    ) -> None:
        """`gain` is the skip's factor now, `held` whether a gate is forced open."""
        super().__init__(parent)
        qt_style.set_accessible_name(self, f"Edits of {title}")
        heading = self.addAction(title)
        heading.setEnabled(False)
        self.addSeparator()
        cut, restored = ("Close the gate", "Restore gate") if kind == "gate" else ("Cut", "Restore")
        self.addAction(restored if gain == 0 else f"{cut} (nothing passes)").triggered.connect(
            self.cut_wanted
        )
        if kind == "add":
            self.addAction("Cut or restore branch").triggered.connect(self.branch_wanted)
        if kind == "gate":
            words = "Restore gate" if held else "Set gate to 1 (all weights 1)"
            self.addAction(words).triggered.connect(self.open_wanted)
        self.addSeparator()
        self.addAction(self._fade(gain))
        self.addSeparator()
        restore = self.addAction("Reset this merge")
        restore.setEnabled(gain != 1.0 or held)
        restore.triggered.connect(self.restore_wanted)

    def _fade(self, gain: float) -> QWidgetAction:
        self.slider = qt_style.set_accessible_name(
            QSlider(Qt.Orientation.Horizontal), "How much of the skip comes through, in percent"
        )
        self.slider.setRange(0, 2 * SLIDER_STEPS)
        self.slider.setValue(round(gain * SLIDER_STEPS))
        self.slider.setTickInterval(SLIDER_STEPS)
        self.slider.setMinimumSize(190, 24)
        self._amount = qt_style.make_label(f"{gain:.0%}", "Share that comes through")
        self._amount.setMinimumWidth(52)
        self._amount.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.slider.valueChanged.connect(self._moved)
        self.slider.sliderReleased.connect(self.fade_ended)
        box = qt_style.set_accessible_name(QWidget(), "Fade")
        column = QVBoxLayout(box)
        column.setContentsMargins(14, 6, 14, 8)
        column.setSpacing(6)
        column.addWidget(qt_style.make_label("Scale: 0 % = cut, 100 % = as trained", soft=True))
        row = QHBoxLayout()
        row.addWidget(self.slider, 1)
        row.addWidget(self._amount)
        column.addLayout(row)
        action = QWidgetAction(self)
        action.setDefaultWidget(box)
        return action

    def _moved(self, value: int) -> None:
        self._amount.setText(f"{value / SLIDER_STEPS:.0%}")
        self.faded.emit(value / SLIDER_STEPS)
