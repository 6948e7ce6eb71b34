"""Menu of one merge input: cut it, scale it with a slider, restore it, or set a gate to 1."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSlider, QVBoxLayout, QWidget, QWidgetAction

from gui.views import qt_style

STEPS_PER_UNIT = 100  # slider steps for a scale of 1
MAX_SCALE = 2
# Texts that cut and restore a merge input, for kinds with words of their own.
CUT_TEXTS = {"gate": ("Set gate to 0 (nothing passes)", "Restore gate")}


class SkipMenu(QMenu):
    """Edits of one merge input; the menu stays open while its slider is moved.

    Args:
        title: The merge input in words.
        kind: Kind of the merge, "add", "concat" or "gate".
        scale: The factor by which the input is scaled now.
        is_held: True if the gate's weights are set to 1 now.
        parent: The widget over which the menu opens.

    Signals:
        scale_changed(scale): The slider moved.
        scale_released(): The user let the slider go.
        cut_requested(), branch_requested(), open_requested(), restore_requested(): An entry
            was chosen: cut or restore this input, the branch, set the gate, reset the merge.
    """

    scale_changed = Signal(float)
    scale_released = Signal()
    cut_requested = Signal()
    branch_requested = Signal()
    open_requested = Signal()
    restore_requested = Signal()

    def __init__(
        self, title: str, kind: str, scale: float, is_held: bool, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, f"Edits of {title}")
        heading = self.addAction(title)
        heading.setEnabled(False)  # a title, not an entry
        self.addSeparator()
        self.addAction(_cut_text(kind, scale)).triggered.connect(self.cut_requested)
        if kind == "add":
            branch = self.addAction("Cut or restore branch")
            branch.triggered.connect(self.branch_requested)
        if kind == "gate":
            text = "Restore gate" if is_held else "Set gate to 1"
            self.addAction(text).triggered.connect(self.open_requested)
        self.addSeparator()
        self.addAction(self._make_slider_action(scale))
        self.addSeparator()
        reset = self.addAction("Reset this merge")
        reset.setEnabled(scale != 1.0 or is_held)
        reset.triggered.connect(self.restore_requested)

    def _make_slider_action(self, scale: float) -> QWidgetAction:
        self.slider = self._make_slider(scale)
        self._percent = qt_style.make_label(f"{scale:.0%}", "Scale in percent")
        self._percent.setMinimumWidth(52)
        self._percent.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row = QHBoxLayout()
        row.addWidget(self.slider, 1)
        row.addWidget(self._percent)
        box = qt_style.set_accessible_name(QWidget(), "Scale")
        column = QVBoxLayout(box)
        column.setContentsMargins(14, 6, 14, 8)
        column.setSpacing(6)
        column.addWidget(qt_style.make_label("Scale: 0 % = cut, 100 % = as trained", soft=True))
        column.addLayout(row)
        # A widget inside the menu does not close it when it is used.
        action = QWidgetAction(self)
        action.setDefaultWidget(box)
        return action

    def _make_slider(self, scale: float) -> QSlider:
        slider = QSlider(Qt.Orientation.Horizontal)
        qt_style.set_accessible_name(slider, "Scale of this input, in percent")
        slider.setRange(0, MAX_SCALE * STEPS_PER_UNIT)
        slider.setValue(round(scale * STEPS_PER_UNIT))
        slider.setTickInterval(STEPS_PER_UNIT)
        slider.setMinimumSize(190, 24)
        # Connected after the first value is set, which is no edit.
        slider.valueChanged.connect(self._on_slider_moved)
        slider.sliderReleased.connect(self.scale_released)
        return slider

    def _on_slider_moved(self, value: int) -> None:
        scale = value / STEPS_PER_UNIT
        self._percent.setText(f"{scale:.0%}")
        self.scale_changed.emit(scale)


def _cut_text(kind: str, scale: float) -> str:
    """Return the text of the entry that cuts the input, or restores it where it is cut."""
    cut, restore = CUT_TEXTS.get(kind, ("Cut (nothing passes)", "Restore"))
    if scale == 0:
        return restore
    return cut
