"""Header of the window: the model's name and facts, and a few buttons."""

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QHBoxLayout,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.actions import find
from gui.state import Badge
from gui.tooltips import CHOICE, action_tooltip
from gui.views import qt_style
from gui.views.command_palette import format_shortcuts

SPACING = 8  # pixels between the parts of the header
REMARKS_INDEX = 2  # in the row, after the title and the space behind it


class WindowHeader(QWidget):
    """Name and facts of the model on the left, buttons for frequent actions on the right.

    Signals:
        action_requested(name): The button of an action was clicked.
        choice_requested(): The user wants to choose among the models that the file fits.
    """

    action_requested = Signal(str)
    choice_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Header")
        # By the name of the action, to be disabled with it.
        self._buttons: dict[str, QAbstractButton] = {}
        self.title_label = qt_style.make_elided_label(
            "Model", soft=False, relative=1.5, bold=True, greedy=False
        )
        self.facts_label = qt_style.make_elided_label("Facts of the model")
        self._remarks = self._make_remarks()
        self._row = QHBoxLayout()
        self._row.setSpacing(SPACING)
        self._row.addWidget(self.title_label)
        self._row.addSpacing(SPACING)
        self._row.addWidget(self._remarks)
        self._row.addWidget(self.facts_label, 1)
        self._add_buttons()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(4, 0, 0, 0)
        self._column.setSpacing(4)
        self._column.addLayout(self._row)

    def set_title(
        self, title: str, facts: tuple[tuple[str, str], ...], warning: str
    ) -> tuple[str, ...]:
        """Show another model.

        Args:
            title: Name of the model.
            facts: (name, value) pairs of the model, the most important first.
            warning: What is wrong with the checkpoint, "" for nothing.

        Returns:
            The name and the facts as shown.
        """
        title = qt_style.shorten_text(title, 60)
        texts = [qt_style.shorten_text(_fact_text(name, value), 80) for name, value in facts]
        shown = list(texts)
        if warning:
            shown.append(f"⚠ {qt_style.shorten_text(warning)}")
        self.title_label.setText(title)
        self.facts_label.setText("   ·   ".join(shown))
        self.facts_label.setToolTip(qt_style.tooltip_html(self.facts_label.text()))
        return (title, *texts)

    def set_badges(self, badges: tuple[Badge, ...]) -> None:
        """Show what is assumed or unusual, each with its reason as a tool tip.

        Args:
            badges: The remarks.
        """
        qt_style.clear_layout(self._badges)
        for badge in badges:
            label = qt_style.make_label(badge.text, f"{badge.text}: {badge.reason}", relative=0.85)
            label.setObjectName("badge")
            label.setToolTip(qt_style.tooltip_html(badge.reason))
            self._badges.addWidget(label, 0, Qt.AlignmentFlag.AlignVCenter)

    @property
    def has_second_row(self) -> bool:
        """Return True while the badges stand below the title, for lack of room beside it."""
        return self._column.indexOf(self._remarks) >= 0

    def set_choice_count(self, count: int) -> None:
        """Offer a choice among the models that the file fits.

        Args:
            count: Number of the models.
        """
        self._choice.setText(f"1 of {count} models that fit…")
        self._choice.setVisible(count > 1)

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Enable or disable the button of an action.

        Args:
            name: Name of the action; it need not have a button.
            enabled: True if it would do something now.
        """
        if name in self._buttons:
            self._buttons[name].setEnabled(enabled)

    def event(self, event: QEvent) -> bool:
        """Find room for the badges whenever a part of the header changes its size."""
        if event.type() == QEvent.Type.LayoutRequest:
            self._place_remarks()
        return super().event(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Find room for the badges at the new width."""
        self._place_remarks()
        super().resizeEvent(event)

    def _place_remarks(self) -> None:
        """Move the badges below the title where they would push out facts, else beside it."""
        widgets = (self.title_label, self.facts_label, self._remarks, *self._buttons.values())
        needed = sum(widget.sizeHint().width() + SPACING for widget in widgets)
        is_below = needed > self.width() and self._remarks.sizeHint().width() > 0
        # The width alone decides, so a move, which changes the height, causes no second one.
        if is_below == self.has_second_row:
            return
        if is_below:
            self._row.removeWidget(self._remarks)
            self._column.addWidget(self._remarks, 0, Qt.AlignmentFlag.AlignLeft)
        else:
            self._column.removeWidget(self._remarks)
            self._row.insertWidget(REMARKS_INDEX, self._remarks)

    def _make_remarks(self) -> QWidget:
        """Build the choice of the model and the space for badges."""
        self._choice = qt_style.set_accessible_name(QToolButton(), "Choose the model", "badge")
        self._choice.setToolTip(CHOICE)
        self._choice.clicked.connect(self.choice_requested)
        self._choice.hide()
        self._badges = QHBoxLayout()
        self._badges.setSpacing(6)
        remarks = qt_style.set_accessible_name(QWidget(), "Remarks on the model")
        row = QHBoxLayout(remarks)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._choice)
        row.addLayout(self._badges)
        return remarks

    def _add_buttons(self) -> None:
        for name, sign in (("undo", "↶"), ("redo", "↷")):
            self._row.addWidget(self._make_sign_button(name, sign))
        # The first of its shortcuts is enough for a button.
        commands = f"Commands…   {format_shortcuts(find('palette')).split('  ')[0]}"
        buttons = (("palette", commands), ("show_start", "Models"), ("open_checkpoint", "Open…"))
        for name, text in buttons:
            self._row.addWidget(self._add_button(QPushButton(text), name))

    def _make_sign_button(self, name: str, sign: str) -> QAbstractButton:
        button = QToolButton()
        button.setObjectName("quiet")  # no frame, see the style sheet
        button.setText(sign)
        button.setFont(qt_style.make_font(relative=1.3))
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        return self._add_button(button, name)

    def _add_button(self, button: QAbstractButton, name: str) -> QAbstractButton:
        """Connect a button with the action of a name."""
        action = find(name)
        button.setAccessibleName(action.title)
        button.setToolTip(action_tooltip(action.title, format_shortcuts(action)))
        button.clicked.connect(lambda: self.action_requested.emit(name))
        self._buttons[name] = button
        return button


def _fact_text(name: str, value: str) -> str:
    """Return a fact in words: a bare number needs its name, "CIFAR-10" does not."""
    is_number = value[:1].isdigit() and name != "accuracy"
    if is_number:
        return f"{value} {name}"
    return value
