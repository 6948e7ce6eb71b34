"""What lies over the window for a moment: the command palette, the sheet of shortcuts, the banner of an error."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QRect, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QPainter, QPalette
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.actions import ACTIONS, Action, matches
from gui.views import style

KEYS = Qt.ItemDataRole.UserRole + 1


class Banner(QFrame):
    """One sentence about what went wrong, until it is dismissed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        style.named(self, "Message", "banner")
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 8, 8, 8)
        self._text = style.label("", "Message")
        self._text.setWordWrap(True)
        self._text.setMinimumWidth(1)  # a long word out of a file must not widen the window
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        close = style.named(QToolButton(), "Dismiss the message", "quiet")
        close.setText("✕")
        close.clicked.connect(self.hide)
        row.addWidget(style.label("⚠", "Warning", relative=1.2))
        row.addWidget(self._text, 1)
        row.addWidget(close)
        self.hide()

    def set_text(self, text: str) -> None:
        """Show a sentence; the empty text takes the banner away."""
        text = style.brief(text)
        self._text.setText(text)
        self.setAccessibleDescription(text)
        self.setVisible(bool(text))

    @property
    def text(self) -> str:
        return self._text.text()


class KeysDelegate(QStyledItemDelegate):
    """An action's title with its keys at the right."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        super().paint(painter, option, index)
        rect: QRect = option.rect  # type: ignore[attr-defined]
        painter.setPen(QApplication.palette().color(QPalette.ColorRole.PlaceholderText))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(rect.adjusted(0, 0, -10, 0), right, index.data(KEYS))


class Palette(QDialog):
    """Every action by typing a few letters of it."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        style.named(self, "Command palette", "page")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumSize(480, 380)
        column = QVBoxLayout(self)
        self._line = style.named(QLineEdit(), "What do you want to do?")
        self._line.setPlaceholderText("What do you want to do?")
        self._list = style.named(QListWidget(), "Matching actions")
        self._list.setItemDelegate(KeysDelegate(self._list))
        self._line.textChanged.connect(self._fill)
        self._line.installEventFilter(self)
        self._line.returnPressed.connect(self._take)
        self._list.itemClicked.connect(lambda _: self._take())
        column.addWidget(self._line)
        column.addWidget(self._list)
        self._fill("")
        self._line.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Up and down travel the list while the line keeps the focus."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key()), 0)
            if step and self._list.count():
                self._list.setCurrentRow((self._list.currentRow() + step) % self._list.count())
                return True
        return super().eventFilter(watched, event)

    def _fill(self, query: str) -> None:
        self._list.clear()
        for action in matches(query):
            item = QListWidgetItem(action.title)
            item.setData(Qt.ItemDataRole.UserRole, action.name)
            item.setData(KEYS, shown(action))
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{action.title}, {shown(action)}")
            item.setToolTip(action.hint)
            self._list.addItem(item)
        self._list.setCurrentRow(0)

    def _take(self) -> None:
        if item := self._list.currentItem():
            name = item.data(Qt.ItemDataRole.UserRole)
            self.close()
            self.chosen.emit(name)


class Sheet(QDialog):
    """All shortcuts, by menu."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        style.named(self, "Keyboard shortcuts", "page")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        grid = QGridLayout(self)
        grid.setContentsMargins(28, 24, 28, 24)
        grid.setHorizontalSpacing(36)
        grid.setVerticalSpacing(24)
        menus = list(dict.fromkeys(action.menu for action in ACTIONS))
        for i, menu in enumerate(menus):
            grid.addLayout(
                self._part(menu, [a for a in ACTIONS if a.menu == menu]), i // 2, i % 2, Qt.AlignmentFlag.AlignTop
            )

    def _part(self, menu: str, actions: Sequence[Action]) -> QGridLayout:
        part = QGridLayout()
        part.setVerticalSpacing(6)
        part.addWidget(style.label(menu, bold=True), 0, 0)
        for row, action in enumerate(actions, 1):
            title = style.label(action.title)
            title.setToolTip(action.hint)
            part.addWidget(title, row, 0)
            keys = style.label(shown(action), f"Shortcut of {action.title}", soft=True)
            part.addWidget(keys, row, 1, Qt.AlignmentFlag.AlignRight)
        return part


def shown(action: Action) -> str:
    """The first shortcuts as this system writes them."""
    native = QKeySequence.SequenceFormat.NativeText
    return "  ".join(QKeySequence(key).toString(native) for key in action.keys)
