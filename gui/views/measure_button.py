"""Button to choose one of the figures of nodes."""

from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QMenu, QPushButton

from gui.measures import MEASURE_BY_NAME, MEASURES
from gui.views import qt_style


class MeasureButton(QPushButton):
    """Button with a menu of all measures.

    Args:
        name: Accessible name.
        plain: Title of a choice without a measure, "" for no such choice.

    Signals:
        chosen(name): A measure was chosen, "" for none.
    """

    chosen = Signal(str)

    def __init__(self, name: str, plain: str = "") -> None:
        super().__init__()
        qt_style.set_accessible_name(self, name)
        menu = qt_style.set_accessible_name(QMenu(self), f"Choices: {name}")
        # Menus hide the tool tips of their entries otherwise.
        menu.setToolTipsVisible(True)
        if plain:
            self._add_choice(menu, "", plain)
            menu.addSeparator()
        for measure in MEASURES:
            self._add_choice(menu, measure.name, measure.title, measure.reading)
        self.setMenu(menu)

    def show_choice(self, name: str, text: str) -> None:
        """Show which measure is chosen.

        Args:
            name: Name of the measure, "" for none.
            text: Text of the button.
        """
        self.setText(text)
        reading = MEASURE_BY_NAME[name].reading if name else ""
        self.setToolTip(qt_style.tooltip_html(reading))
        for action in self.menu().actions():
            action.setChecked(action.data() == name)

    def _add_choice(self, menu: QMenu, name: str, title: str, tooltip: str = "") -> None:
        action = menu.addAction(title)
        action.setData(name)
        action.setCheckable(True)
        action.setToolTip(tooltip or title)
        # `triggered` brings the checked state, which must not replace the name.
        action.triggered.connect(_emit_name(self.chosen.emit, name))


def _emit_name(emit: Callable[[str], None], name: str) -> Callable[[], None]:
    """Return a slot that emits a name, whatever the signal brings."""

    def slot() -> None:
        """Emit the name."""
        emit(name)

    return slot
