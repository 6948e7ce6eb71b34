"""Main window: graph above, inspector below, image and prediction at the right; a start page."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QMimeData, QPoint, Signal
from PySide6.QtGui import (
    QAction,
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QImage,
)
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.state import ModelChoice
from gui.theme import LIGHT, Theme
from gui.views import file_dialogs, qt_style
from gui.views.banner import Banner
from gui.views.choice_dialog import ChoiceDialog
from gui.views.depth_panel import DepthPanel
from gui.views.edit_chips import ChipsView
from gui.views.graph.view import GraphView
from gui.views.header import WindowHeader
from gui.views.inspector import InspectorView
from gui.views.measure_button import MeasureButton
from gui.views.menu_bar import fill_menu_bar
from gui.views.model_page import make_model_page
from gui.views.run_code_dialog import RunCodeDialog
from gui.views.sidebar import SidebarView
from gui.views.start_page import StartPage

APP_TITLE = "Lightning ResNets"
POPUP_TOP = 90  # pixels below the top of the window


class MainWindow(QMainWindow):
    """Places the views; each action of the table in `gui.actions` is a QAction here.

    Signals:
        action_requested(name): An action was triggered by menu, button or shortcut.
        dropped(paths): Files were dropped.
        dropped_image(image): An image was dropped that is not a file.
        closing(): The window is about to close.
        scheme_changed(): The system changed between light and dark.
    """

    action_requested = Signal(str)
    dropped = Signal(list)
    dropped_image = Signal(QImage)
    closing = Signal()
    scheme_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        qt_style.set_accessible_name(self, APP_TITLE)
        self.setWindowTitle(APP_TITLE)
        self.setAcceptDrops(True)
        self._theme: Theme = LIGHT
        self.banner = Banner()
        self.chips = ChipsView()
        self.start = StartPage()
        self.graph = GraphView()
        self.depth_panel = DepthPanel()
        self.color_button = MeasureButton("Figure that colors the graph", "plain")
        self.inspector = InspectorView()
        self.sidebar = SidebarView()
        self.header = WindowHeader()
        self.header.action_requested.connect(self.action_requested)
        self.setCentralWidget(self._make_content())
        self._make_status_bar()
        # The window itself takes files, so the views in it must let them through.
        for view in (self.graph, self.graph.viewport(), self.sidebar.samples.viewport()):
            view.setAcceptDrops(False)
        self.actions_by_name: dict[str, QAction] = fill_menu_bar(self, self.graph)
        for name, action in self.actions_by_name.items():
            action.triggered.connect(lambda _=False, name=name: self.action_requested.emit(name))

    # Content

    def set_theme(self, theme: Theme) -> None:
        """Color the whole app anew.

        Args:
            theme: The colors to use.
        """
        self._theme = theme
        # Menus, dialogs and tool tips are windows of their own.
        QApplication.setPalette(qt_style.palette(theme))
        self.setStyleSheet(qt_style.style_sheet(theme))
        views = (self.graph, self.depth_panel, self.inspector, self.sidebar, self.chips, self.start)
        for view in views:
            view.set_theme(theme)

    def set_page(self, page: str) -> None:
        """Show another page.

        Args:
            page: "start" or "model".
        """
        self._pages.setCurrentIndex(0 if page == "start" else 1)
        self.header.setVisible(page != "start")
        # Hiding a page passes the focus on to the next button, which would look chosen.
        if focused := self.focusWidget():
            focused.clearFocus()

    def set_title(self, title: str, facts: tuple[tuple[str, str], ...], warning: str) -> None:
        """Show another model in header and title bar.

        Args:
            title: Name of the model.
            facts: (name, value) pairs of the model, the most important first.
            warning: What is wrong with the checkpoint, "" for nothing.
        """
        texts = self.header.set_title(title, facts, warning)
        # A title bar has room for the name and two facts.
        parts = list(texts[:3]) if facts else []
        self.setWindowTitle(" · ".join([*parts, APP_TITLE]))

    def set_hover(self, text: str) -> None:
        """Show in the status bar what is under the pointer.

        Args:
            text: Its description, "" for nothing.
        """
        self._hover.setText(qt_style.shorten_text(text))

    def set_state(self, text: str) -> None:
        """Show in the status bar what the engine does.

        Args:
            text: Its state, "" for nothing.
        """
        self._state.setText(text)

    def set_drop_highlight(self, is_over: bool) -> None:
        """Show that a file held over the window will be opened.

        Args:
            is_over: True while a file is held over the window.
        """
        for frame in self.findChildren(QFrame, "drop"):
            frame.setProperty("over", is_over)
            # Qt looks the property up in the style sheet only when asked to.
            frame.style().polish(frame)
        self.set_hover("Drop to open" if is_over else "")

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Enable or disable an action and its buttons.

        Args:
            name: Name of the action.
            enabled: True if it would do something now.
        """
        self.actions_by_name[name].setEnabled(enabled)
        self.header.set_enabled(name, enabled)

    # Dialogs

    def choose_checkpoint(self) -> str:
        """Ask for a checkpoint; return its path, "" if the user cancelled."""
        return file_dialogs.choose_checkpoint(self)

    def choose_image(self) -> str:
        """Ask for an image; return its path, "" if the user cancelled."""
        return file_dialogs.choose_image(self)

    def choose_screenshot_path(self) -> str:
        """Ask where to save a screenshot; return the path, "" if the user cancelled."""
        return file_dialogs.choose_screenshot_path(self)

    def clipboard(self) -> tuple[list[str], QImage | None]:
        """Return the paths of the files and the image on the clipboard."""
        clipboard = QApplication.clipboard()
        data = clipboard.mimeData()
        paths = _local_paths(data) if data else []
        image = clipboard.image()
        return paths, None if image.isNull() else image

    def ask_to_run_code(self, path: str, model: str, then: Callable[[], None]) -> None:
        """Ask whether the code that a file names may run.

        Args:
            path: The checkpoint file.
            model: The custom model that it names, "module:function".
            then: Called after the user has typed that name.
        """
        dialog = RunCodeDialog(path, model, self)
        dialog.accepted.connect(then)
        dialog.open()

    def ask_to_choose(
        self, path: str, choices: tuple[ModelChoice, ...], then: Callable[[str], None]
    ) -> None:
        """Ask which of several models a file is.

        Args:
            path: The checkpoint file.
            choices: The models that it fits.
            then: Called with the architecture that the user chose.
        """
        dialog = ChoiceDialog(path, choices, self)
        dialog.chosen.connect(then)
        dialog.open()

    def show_popup(self, popup: QWidget) -> None:
        """Show a popup in the upper middle of the window.

        Args:
            popup: A widget with a minimum width.
        """
        left = (self.width() - popup.minimumWidth()) // 2
        popup.move(self.mapToGlobal(QPoint(left, POPUP_TOP)))
        popup.show()

    # Events

    def changeEvent(self, event: QEvent) -> None:
        """Report a change of the system's color scheme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ThemeChange:
            self.scheme_changed.emit()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Report that the window closes."""
        self.closing.emit()
        super().closeEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept files and images."""
        if event.mimeData().hasUrls() or event.mimeData().hasImage():
            event.acceptProposedAction()
            self.set_drop_highlight(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Take the highlight away."""
        self.set_drop_highlight(False)

    def dropEvent(self, event: QDropEvent) -> None:
        """Report the files or the image that were dropped."""
        self.set_drop_highlight(False)
        event.acceptProposedAction()
        paths = _local_paths(event.mimeData())
        if paths:
            self.dropped.emit(paths)
        elif event.mimeData().hasImage():
            self.dropped_image.emit(QImage(event.mimeData().imageData()))

    # Composition

    def _make_content(self) -> QWidget:
        page = make_model_page(
            self._make_top_row(), self.graph, self.depth_panel, self.inspector, self.sidebar
        )
        self._pages = qt_style.set_accessible_name(QStackedWidget(), "Pages")
        self._pages.addWidget(self.start)
        self._pages.addWidget(page)
        content = qt_style.set_accessible_name(QWidget(), "Content", "page")
        column = QVBoxLayout(content)
        column.setContentsMargins(14, 6, 14, 2)
        column.setSpacing(8)
        column.addWidget(self.header)
        column.addWidget(self.banner)
        column.addWidget(self._pages, 1)
        return content

    def _make_top_row(self) -> QWidget:
        """Put the edits beside the choice of the graph's colors."""
        top = qt_style.set_accessible_name(QWidget(), "Edits and colors", "page")
        row = QHBoxLayout(top)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.chips, 1)
        row.addWidget(self.color_button)
        return top

    def _make_status_bar(self) -> None:
        self._hover = qt_style.make_elided_label("Value under the pointer", soft=False)
        self._state = qt_style.make_label("", "State of the engine", soft=True)
        bar = qt_style.set_accessible_name(self.statusBar(), "Status")
        bar.setSizeGripEnabled(False)
        bar.setContentsMargins(16, 0, 16, 2)
        bar.addWidget(self._hover, 1)
        bar.addPermanentWidget(self._state)


def _local_paths(data: QMimeData) -> list[str]:
    """Return the paths of the files in dragged or copied data."""
    return [url.toLocalFile() for url in data.urls() if url.isLocalFile()]
