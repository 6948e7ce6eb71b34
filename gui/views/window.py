"""The window: graph above, inspector below, image and prediction at the right; a start page before all that."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QPoint, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QImage,
    QKeySequence,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.actions import ACTIONS, Action, find
from gui.file_types import CHECKPOINT_SUFFIXES
from gui.theme import LIGHT, Theme
from gui.views import qt_style
from gui.views.banner import Banner
from gui.views.command_palette import format_shortcuts
from gui.views.edit_chips import ChipsView
from gui.views.graph.view import GraphView
from gui.views.inspector import InspectorView
from gui.views.run_code_dialog import RunCodeDialog
from gui.views.sidebar import SidebarView
from gui.views.start_page import StartPage

SIDEBAR_WIDTH = 272


class MainWindow(QMainWindow):
    """Places the views; every action of the table is a QAction here and leaves as `wanted(name)`."""

    wanted = Signal(str)
    dropped = Signal(list)
    dropped_image = Signal(QImage)
    closing = Signal()
    scheme_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        qt_style.set_accessible_name(self, "Lightning ResNets")
        self.setWindowTitle("Lightning ResNets")
        self.setAcceptDrops(True)
        self._theme: Theme = LIGHT
        self.actions_by_name: dict[str, QAction] = {}
        self._buttons: dict[str, list[QAbstractButton]] = {}
        self.banner, self.chips, self.start = Banner(), ChipsView(), StartPage()
        self.graph, self.inspector = GraphView(), InspectorView()
        self.aside = SidebarView()
        self._pages = qt_style.set_accessible_name(QStackedWidget(), "Pages")
        self._pages.addWidget(self.start)
        self._pages.addWidget(self._model_page())
        self.setCentralWidget(self._center())
        for view in (self.graph, self.graph.viewport(), self.aside.samples.viewport()):
            view.setAcceptDrops(False)
        self._hover = qt_style.make_elided_label("Value under the pointer", soft=False)
        self._state = qt_style.make_label("", "State of the engine", soft=True)
        bar = qt_style.set_accessible_name(self.statusBar(), "Status")
        bar.setSizeGripEnabled(False)
        bar.setContentsMargins(16, 0, 16, 2)
        bar.addWidget(self._hover, 1)
        bar.addPermanentWidget(self._state)
        self._fill_menus()

    # composition

    def _center(self) -> QWidget:
        page = qt_style.set_accessible_name(QWidget(), "Content", "page")
        column = QVBoxLayout(page)
        column.setContentsMargins(14, 6, 14, 2)
        column.setSpacing(8)
        column.addWidget(self._header())
        column.addWidget(self.banner)
        column.addWidget(self._pages, 1)
        return page

    def _header(self) -> QWidget:
        self._head = qt_style.set_accessible_name(QWidget(), "Header")
        row = QHBoxLayout(self._head)
        row.setContentsMargins(4, 0, 0, 0)
        row.setSpacing(8)
        self._title = qt_style.make_elided_label(
            "Model", soft=False, relative=1.5, bold=True, greedy=False
        )
        self._facts = qt_style.make_elided_label("Facts of the model")
        row.addWidget(self._title)
        row.addSpacing(8)
        row.addWidget(self._facts, 1)
        for name, text in (("undo", "↶"), ("redo", "↷")):
            row.addWidget(self._tool(name, text))
        row.addWidget(self._button("palette", f"Find…   {format_shortcuts(find('palette'))}"))
        row.addWidget(self._button("show_start", "Models"))
        row.addWidget(self._button("open_net", "Open…"))
        return self._head

    def _model_page(self) -> QWidget:
        left = qt_style.set_accessible_name(
            QSplitter(Qt.Orientation.Vertical), "Graph and inspector"
        )
        left.addWidget(self.graph)
        left.addWidget(self.inspector)
        left.setStretchFactor(0, 11)
        left.setStretchFactor(1, 9)
        left.setSizes([400, 300])
        whole = qt_style.set_accessible_name(
            QSplitter(Qt.Orientation.Horizontal), "Model, image and prediction"
        )
        whole.addWidget(left)
        whole.addWidget(self.aside)
        whole.setStretchFactor(0, 1000)
        whole.setStretchFactor(1, SIDEBAR_WIDTH)
        whole.setSizes([1000, SIDEBAR_WIDTH])
        for splitter in (left, whole):
            splitter.setHandleWidth(10)
            splitter.setChildrenCollapsible(False)
        page = qt_style.set_accessible_name(QWidget(), "Model page", "page")
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.chips)
        column.addWidget(whole, 1)
        return page

    def _button(self, name: str, text: str) -> QPushButton:
        button = qt_style.set_accessible_name(QPushButton(text), find(name).title)
        button.setToolTip(f"{find(name).title}  {format_shortcuts(find(name))}")
        button.clicked.connect(lambda: self.wanted.emit(name))
        self._buttons.setdefault(name, []).append(button)
        return button

    def _tool(self, name: str, text: str) -> QToolButton:
        button = qt_style.set_accessible_name(QToolButton(), find(name).title, "quiet")
        button.setText(text)
        button.setFont(qt_style.make_font(relative=1.3))
        button.setToolTip(f"{find(name).title}  {format_shortcuts(find(name))}")
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda: self.wanted.emit(name))
        self._buttons.setdefault(name, []).append(button)
        return button

    def _fill_menus(self) -> None:
        qt_style.set_accessible_name(self.menuBar(), "Menu bar")
        menus: dict[str, QMenu] = {}
        for entry in ACTIONS:
            if entry.menu not in menus:
                menus[entry.menu] = qt_style.set_accessible_name(
                    self.menuBar().addMenu(f"&{entry.menu}"), f"Menu {entry.menu}"
                )
            menus[entry.menu].addAction(self._action(entry))

    def _action(self, entry: Action) -> QAction:
        action = QAction(entry.title, self)
        action.setShortcuts([QKeySequence(key) for key in entry.keys])
        action.setStatusTip(entry.hint)
        if entry.scope == "graph":
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            self.graph.addAction(action)
        action.triggered.connect(lambda: self.wanted.emit(entry.name))
        self.actions_by_name[entry.name] = action
        return action

    # down

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        QApplication.setPalette(qt_style.palette(theme))
        self.setStyleSheet(qt_style.style_sheet(theme))
        for view in (self.graph, self.inspector, self.aside, self.chips, self.start):
            view.set_theme(theme)

    def set_page(self, page: str) -> None:
        self._pages.setCurrentIndex(0 if page == "start" else 1)
        self._head.setVisible(page != "start")

    def set_title(self, title: str, facts: tuple[tuple[str, str], ...], warning: str) -> None:
        title = qt_style.shorten_text(title, 60)
        self._title.setText(title)
        words = [
            f"{value} {name}" if value[:1].isdigit() and name != "accuracy" else value
            for name, value in facts
        ]
        words = [qt_style.shorten_text(word, 80) for word in words]
        self._facts.setText(
            "   ·   ".join([*words, *([f"⚠ {qt_style.shorten_text(warning)}"] if warning else [])])
        )
        self._facts.setToolTip(qt_style.tooltip_html(self._facts.text()))
        self.setWindowTitle(
            " · ".join([title, *words[:2], "Lightning ResNets"]) if facts else "Lightning ResNets"
        )

    def set_hover(self, text: str) -> None:
        self._hover.setText(qt_style.shorten_text(text))

    def set_state(self, text: str) -> None:
        self._state.setText(text)

    def set_drop_highlight(self, over: bool) -> None:
        """Show that a file held over the window will be taken."""
        for frame in self.findChildren(QFrame, "drop"):
            frame.setProperty("over", over)
            frame.style().polish(frame)
        self.set_hover("Drop to open" if over else "")

    def set_enabled(self, name: str, enabled: bool) -> None:
        """An action and its buttons."""
        self.actions_by_name[name].setEnabled(enabled)
        for button in self._buttons.get(name, ()):
            button.setEnabled(enabled)

    # questions

    def choose_checkpoint(self) -> str:
        kinds = f"Checkpoints ({' '.join(f'*{ending}' for ending in CHECKPOINT_SUFFIXES)});;All files (*)"
        return QFileDialog.getOpenFileName(self, "Open a checkpoint", "", kinds)[0]

    def choose_image(self) -> str:
        kinds = "Images (*.png *.jpg *.jpeg *.webp *.bmp *.gif *.tif *.tiff);;All files (*)"
        return QFileDialog.getOpenFileName(self, "Choose an image", "", kinds)[0]

    def choose_screenshot_path(self) -> str:
        return QFileDialog.getSaveFileName(
            self, "Save an image of the window", "window.png", "PNG (*.png)"
        )[0]

    def ask_to_run_code(self, path: str, model: str, then: Callable[[], None]) -> None:
        """Ask whether the code that a file names may run; `then` is called where the user types that name."""
        trust = RunCodeDialog(path, model, self)
        trust.accepted.connect(then)
        trust.open()

    def clipboard(self) -> tuple[list[str], QImage | None]:
        """Files or an image from the clipboard."""
        data = QApplication.clipboard().mimeData()
        paths = [url.toLocalFile() for url in data.urls() if url.isLocalFile()] if data else []
        image = QApplication.clipboard().image()
        return paths, None if image.isNull() else image

    def show_popup(self, popup: QWidget) -> None:
        """Show a popup in the upper middle of the window."""
        width = popup.minimumWidth()
        popup.move(self.mapToGlobal(QPoint((self.width() - width) // 2, 90)))
        popup.show()

    # events

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ThemeChange:
            self.scheme_changed.emit()

    def closeEvent(self, event: QCloseEvent) -> None:
        self.closing.emit()
        super().closeEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls() or event.mimeData().hasImage():
            event.acceptProposedAction()
            self.set_drop_highlight(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.set_drop_highlight(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self.set_drop_highlight(False)
        event.acceptProposedAction()
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            self.dropped.emit(paths)
        elif event.mimeData().hasImage():
            self.dropped_image.emit(QImage(event.mimeData().imageData()))
