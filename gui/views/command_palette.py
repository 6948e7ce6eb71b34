"""Command palette: every action and every block, found by typing a few letters of its name."""

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QRect, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QPainter, QPalette
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from gui.actions import Action, matches
from gui.graph import Graph, Node
from gui.search import describe_found, find_nodes
from gui.views import qt_style

NAME_ROLE = Qt.ItemDataRole.UserRole
SHORTCUT_ROLE = Qt.ItemDataRole.UserRole + 1
NODE_ROLE = Qt.ItemDataRole.UserRole + 2
PROMPT = "Search commands, blocks and layers"


class ShortcutDelegate(QStyledItemDelegate):
    """Paints an action's title with its shortcuts at the right."""

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        """Paint the item as usual, then its shortcuts."""
        super().paint(painter, option, index)
        # PySide's stubs lack the fields of style options.
        rect: QRect = option.rect  # type: ignore[attr-defined]
        align = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.setPen(QApplication.palette().color(QPalette.ColorRole.PlaceholderText))
        painter.drawText(rect.adjusted(0, 0, -10, 0), align, index.data(SHORTCUT_ROLE))


class CommandPalette(QDialog):
    """A search line over the list of matching actions and nodes.

    Args:
        diagram: The graph whose nodes can be found.
        parent: The window.

    Signals:
        chosen(name): The name of the action that the user took.
        node_chosen(name): The name of the node that the user took.
    """

    chosen = Signal(str)
    node_chosen = Signal(str)

    def __init__(self, diagram: Graph, parent: QWidget | None = None) -> None:
        # A popup closes by itself on a click beside it.
        super().__init__(parent, Qt.WindowType.Popup)
        qt_style.set_accessible_name(self, "Command palette", "page")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._diagram = diagram
        self.setMinimumSize(480, 380)
        self._line = qt_style.set_accessible_name(QLineEdit(), PROMPT)
        self._line.setPlaceholderText(PROMPT)
        self._list = qt_style.set_accessible_name(QListWidget(), "Matching actions and nodes")
        self._list.setItemDelegate(ShortcutDelegate(self._list))
        self._line.textChanged.connect(self._fill)
        self._line.returnPressed.connect(self._choose_current)
        self._list.itemClicked.connect(lambda _: self._choose_current())
        # The list never has the focus, so its arrow keys are caught in the line.
        self._line.installEventFilter(self)
        column = QVBoxLayout(self)
        column.addWidget(self._line)
        column.addWidget(self._list)
        self._fill("")
        self._line.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Move through the list by Up and Down while the line keeps the focus."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key()), 0)
            if step and self._list.count():
                # Wrap around at both ends.
                row = (self._list.currentRow() + step) % self._list.count()
                self._list.setCurrentRow(row)
                return True
        return super().eventFilter(watched, event)

    def _fill(self, query: str) -> None:
        self._list.clear()
        for action in matches(query):
            self._list.addItem(_make_item(action))
        # Commands first: they are few.
        for node in find_nodes(self._diagram, query):
            self._list.addItem(_make_node_item(node))
        self._list.setCurrentRow(0)

    def _choose_current(self) -> None:
        item = self._list.currentItem()
        if item is None:
            return
        # Closing deletes the item, so its name is read first.
        name = item.data(NAME_ROLE)
        node = item.data(NODE_ROLE)
        self.close()
        if node:
            self.node_chosen.emit(node)
        else:
            self.chosen.emit(name)


def format_shortcuts(action: Action) -> str:
    """Return the shortcuts of an action as this system writes them.

    Args:
        action: The action.

    Returns:
        All shortcuts in one line, "" where there are none.
    """
    native = QKeySequence.SequenceFormat.NativeText
    return "  ".join(QKeySequence(key).toString(native) for key in action.keys)


def _make_item(action: Action) -> QListWidgetItem:
    shortcuts = format_shortcuts(action)
    item = QListWidgetItem(action.title)
    item.setData(NAME_ROLE, action.name)
    item.setData(SHORTCUT_ROLE, shortcuts)
    item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{action.title}, {shortcuts}")
    item.setToolTip(action.hint)
    return item


def _make_node_item(node: Node) -> QListWidgetItem:
    item = QListWidgetItem(describe_found(node))
    item.setData(NODE_ROLE, node.name)
    item.setData(SHORTCUT_ROLE, "go to")
    item.setData(Qt.ItemDataRole.AccessibleTextRole, f"go to {describe_found(node)}")
    return item
