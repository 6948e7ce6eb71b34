"""Main window: accessible names, shortcuts, sizes, start time, and the command line."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QSize, Qt
from PySide6.QtGui import QHelpEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QApplication,
    QLabel,
    QMenu,
    QMenuBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

from gui.actions import ACTIONS
from gui.controller import Controller
from gui.graph import Graph, Node
from gui.state import Catalog, CatalogEntry, ImageInput
from gui.theme import DARK, LIGHT
from gui.view_state import ClassBar
from gui.views import qt_style
from gui.views.command_palette import CommandPalette
from gui.views.shortcuts_dialog import ShortcutsDialog
from gui.views.skip_menu import SkipMenu
from gui.views.window import MainWindow
from gui.worker import Worker
from tests.helpers.fake_engine import FakeEngine


@pytest.fixture
def opened(qtbot: QtBot) -> Iterator[Controller]:
    window = MainWindow()
    qtbot.addWidget(window)
    worker = Worker(FakeEngine, window)
    controller = Controller(window, worker, "light")
    window.resize(1280, 800)
    window.show()
    worker.start()
    controller.start("a.ckpt")
    qtbot.waitUntil(
        lambda: controller.result.detail is not None and not worker.is_pending("catalog"),
        timeout=5000,
    )
    yield controller
    worker.stop()


def nameless(parent: QWidget) -> set[str]:
    """Return widgets without an accessible name, except those that Qt itself creates."""

    def qts(widget: QWidget | None) -> bool:
        inner = {"QScrollBar", "QSplitterHandle"}
        if widget is None:
            return False
        parent = widget.parentWidget()
        viewport = isinstance(parent, QAbstractScrollArea) and parent.viewport() is widget
        overflow = isinstance(widget, QMenu) and isinstance(parent, QMenuBar) and not widget.title()
        return (
            viewport
            or overflow
            or widget.objectName().startswith("qt_")
            or type(widget).__name__ in inner
            or qts(parent)
        )

    return {
        f"{widget} in {widget.parentWidget()}"
        for widget in [parent, *parent.findChildren(QWidget)]
        if not widget.accessibleName() and not qts(widget)
    }


def test_every_widget_has_an_accessible_name(opened: Controller) -> None:
    opened.edits.toggle_cut("layer1.0.add", 0)
    menu = SkipMenu("a → b", "gate", 0.5, False, opened.window)
    windows = [
        opened.window,
        menu,
        CommandPalette(opened.screen.diagram, opened.window),
        ShortcutsDialog(opened.window),
    ]
    assert set().union(*map(nameless, windows)) == set()
    QLabel("no name", opened.window)
    assert len(nameless(opened.window)) == 1
    for widget in windows[1:]:
        widget.close()
        widget.deleteLater()


MARKUP = "<h1><font color=red>YOUR DISK IS FULL</font></h1><a href=x>"


def show_everywhere(window: MainWindow, text: str) -> None:
    """Show a text from a file everywhere in the window."""
    window.set_title(text, (("data", text),), text)
    window.banner.set_text(text)
    window.sidebar.set_image(None, text)
    window.sidebar.prediction.set_bars((ClassBar(text, 0.75, 0.25),))
    window.sidebar.samples.set_samples((ImageInput(text, pixels=np.zeros((4, 4, 3), np.uint8)),))
    window.inspector.set_node(Node(text, "conv", "block", text, (1,), 0, 0, ""))
    window.start.set_catalog(Catalog((CatalogEntry("a", text, text),)))
    window.set_hover(text)


def test_labels_show_markup_from_files_as_text(opened: Controller) -> None:
    window = opened.window
    show_everywhere(window, MARKUP)
    menu = SkipMenu("a → b", "gate", 0.5, False, window)
    windows = [window, menu, CommandPalette(Graph(), window), ShortcutsDialog(window)]
    labels = [label for widget in windows for label in widget.findChildren(QLabel)]
    assert {label.textFormat() for label in labels} == {Qt.TextFormat.PlainText}
    assert window.header.title_label.text() == qt_style.shorten_text(MARKUP, 60)
    assert window.banner.text == MARKUP, "a message is shown as it is"
    for widget in windows[1:]:
        widget.close()
        widget.deleteLater()


def test_markup_in_tool_tips_is_escaped(opened: Controller) -> None:
    window = opened.window
    show_everywhere(window, MARKUP)
    item = window.sidebar.samples.item(0)
    assert "&lt;h1&gt;" in item.toolTip()
    assert "<h1>" not in item.toolTip()
    tips = {
        widget.accessibleName(): widget.toolTip()
        for widget in window.findChildren(QWidget)
        if widget.toolTip()
    }
    for name, tip in tips.items():
        assert not {"<h1", "<font", "<a "} & {
            tip[i : i + n] for n in (3, 5) for i in range(len(tip))
        }, name
    with_markup = {name for name, tip in tips.items() if "YOUR DISK IS FULL" in tip}
    names = {
        "Facts of the model",
        "Name of the image",
        "Selected block",
        "Prediction, the five most probable classes",
    }
    assert with_markup == names
    assert qt_style.tooltip_html("cats: 2 %\ndogs: 1 %") == "cats: 2 %\ndogs: 1 %", (
        "plain text stays as it is"
    )
    assert qt_style.tooltip_html("<b>\n&") == "<qt>&lt;b&gt;<br>&amp;</qt>"


def test_markup_in_the_graphs_tool_tip_is_escaped(
    opened: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, at, texts = opened.window.graph, QPoint(5, 5), []
    monkeypatch.setattr(graph, "describe", lambda *_: MARKUP)
    monkeypatch.setattr(
        "gui.views.graph.view.QToolTip.showText", lambda _, text, __: texts.append(text)
    )
    graph.viewportEvent(QHelpEvent(QEvent.Type.ToolTip, at, graph.viewport().mapToGlobal(at)))
    assert texts == [qt_style.tooltip_html(MARKUP)]
    assert "<h1>" not in texts[0]


@pytest.mark.parametrize(
    "text", ["W" * 5000, "wide words " * 500, "line\n" * 500], ids=["word", "words", "lines"]
)
def test_long_text_from_a_file_keeps_the_window_size(
    opened: Controller, qtbot: QtBot, text: str
) -> None:
    window = opened.window
    window.resize(900, 640)
    head = window.header.title_label.height()
    show_everywhere(window, text)
    qtbot.wait(20)
    assert window.size() == QSize(900, 640)
    assert window.header.title_label.height() == head
    assert window.header.title_label.text().endswith("…")
    window.set_page("start")
    qtbot.wait(20)
    assert window.size() == QSize(900, 640)


def test_every_button_has_an_accessible_name(opened: Controller) -> None:
    for button in opened.window.findChildren(QAbstractButton):
        if not button.objectName().startswith("qt_"):
            assert len(button.accessibleName()) > 3, button.text()


def test_every_action_is_in_a_menu_with_its_shortcuts(opened: Controller) -> None:
    window = opened.window
    shown = {}
    for entry in window.menuBar().actions():
        menu = entry.menu()
        assert isinstance(menu, QMenu)
        shown |= {action.text(): action for action in menu.actions()}
    assert set(shown) == {action.title for action in ACTIONS}
    for action in ACTIONS:
        assert len(shown[action.title].shortcuts()) == len(action.keys)


def test_every_button_can_be_reached_by_keyboard(opened: Controller) -> None:
    reachable = [
        w for w in opened.window.findChildren(QAbstractButton) if w.isVisible() and w.isEnabled()
    ]
    for button in reachable:
        assert button.focusPolicy() & Qt.FocusPolicy.TabFocus, button.accessibleName()


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_a_focused_button_has_another_look(opened: Controller, theme: object) -> None:
    opened.window.set_theme(theme)  # type: ignore[arg-type]
    opened.window.activateWindow()
    buttons = [
        b
        for b in opened.window.findChildren(QAbstractButton)
        if b.isVisible() and b.isEnabled() and b.text()
    ]
    button = next(b for b in buttons if b.text().startswith("Commands"))
    QApplication.processEvents()
    button.clearFocus()  # activating the window may have given it
    QApplication.processEvents()
    assert not button.hasFocus()
    before = button.grab().toImage()
    button.setFocus(Qt.FocusReason.TabFocusReason)
    QApplication.processEvents()
    assert button.hasFocus()
    assert button.grab().toImage() != before


@pytest.mark.parametrize("size", [QSize(900, 600), QSize(1280, 800), QSize(3840, 2160)])
def test_all_views_fit_at_any_window_size(opened: Controller, qtbot: QtBot, size: QSize) -> None:
    opened.window.resize(size)
    qtbot.wait(20)
    window = opened.window
    assert window.size() == size, "the window needs more room than this"
    for view in (
        window.graph,
        window.inspector,
        window.sidebar,
        window.sidebar.prediction,
        window.chips,
    ):
        inside = window.rect().contains(view.mapTo(window, view.rect().bottomRight()))
        assert (view.isVisible(), inside) == (True, True), view.accessibleName()
    assert window.sidebar.prediction.height() >= window.sidebar.prediction.sizeHint().height()
    for label in window.findChildren(QLabel):
        fixed = (
            label.isVisible() and type(label) is QLabel and label.text() and not label.wordWrap()
        )
        assert not fixed or label.width() >= label.sizeHint().width(), label.text()


def test_input_image_is_scaled_by_a_whole_factor(opened: Controller) -> None:
    shown = opened.window.sidebar.image.pixmap()
    assert shown.width() % 8 == 0
    assert shown.width() > 64


def test_title_bar_has_model_data_and_accuracy(opened: Controller) -> None:
    facts = (
        ("data", "CIFAR-10"),
        ("accuracy", "91.2 % on the test set"),
        ("parameters", "269,722"),
    )
    opened.window.set_title("resnet20", facts, "")
    assert (
        opened.window.windowTitle()
        == "resnet20 · CIFAR-10 · 91.2 % on the test set · Lightning ResNets"
    )
    assert "269,722 parameters" in opened.window.header.facts_label.text()


def test_selecting_a_layer_repaints_quickly(opened: Controller, qtbot: QtBot) -> None:
    """Time from the selection to painted maps, without the model."""
    opened.select("conv1")
    qtbot.waitUntil(lambda: not opened.worker.is_pending("run"), timeout=5000)
    view = opened.window.inspector.atlas
    began = time.perf_counter()
    for _ in range(5):
        view.set_maps(opened.screen.detail)  # type: ignore[arg-type]
        view.repaint()
    assert (time.perf_counter() - began) / 5 < 0.1


def test_no_button_looks_chosen_after_a_model_was_opened(opened: Controller) -> None:
    window = opened.window
    window.activateWindow()
    window.start.findChildren(QAbstractButton)[0].setFocus()
    window.set_page("start")
    window.set_page("model")
    assert not any(button.hasFocus() for button in window.findChildren(QAbstractButton))
