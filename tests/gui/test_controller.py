"""The loop from a signal to the screen, with an engine that answers at once."""

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from gui.controller import Controller
from gui.details import AddDetail
from gui.graph import Edit
from gui.views.skip_menu import SkipMenu
from tests.helpers.controller import settle, texts
from tests.helpers.fake_engine import FakeEngine


def test_cut_undo_redo_reset(qtbot: QtBot, opened: Controller) -> None:
    opened.select("layer1.0.add")
    for name, expected in (
        ("cut_skip", ["cut shortcut of layer1.0"]),
        ("cut_branch", ["cut shortcut of layer1.0", "cut branch of layer1.0"]),
        ("undo", ["cut shortcut of layer1.0"]),
        ("redo", ["cut shortcut of layer1.0", "cut branch of layer1.0"]),
        ("reset", []),
        ("undo", ["cut shortcut of layer1.0", "cut branch of layer1.0"]),
        ("cut_skip", ["cut branch of layer1.0"]),
    ):
        opened.trigger(name)
        assert texts(opened) == expected, name
    settle(qtbot, opened)
    assert opened.result.edits == opened.request.edits
    assert opened.screen.bars[0].before is not None


def test_a_slider_drag_is_undone_at_once(
    qtbot: QtBot, opened: Controller, engine: FakeEngine
) -> None:
    engine.slow = 0.02
    settle(qtbot, opened)
    asked = len(engine.asked)
    menu = opened.edits.show_skip_menu("layer1.0.add", 0, QPoint(10, 10))
    for value in range(99, 69, -1):
        menu.slider.setValue(value)
    menu.close()
    settle(qtbot, opened)
    assert texts(opened) == ["shortcut of layer1.0 × 0.70"]
    assert opened.result.edits == (Edit("scale", "layer1.0.add", 0, 0.7),), (
        "the last step is what is shown"
    )
    assert len(engine.asked) - asked <= 3, "thirty steps are the first and the last ask"
    opened.undo()
    assert texts(opened) == []


def test_the_skip_menu_cuts_and_restores(qtbot: QtBot, opened: Controller) -> None:
    menu = opened.edits.show_skip_menu("layer1.0.add", 0, QPoint(10, 10))
    words = [action.text() for action in menu.actions() if action.text()]
    assert words[0] == "conv1 → layer1.0 (16→16, conv 1x1)"
    assert any("Cut" in text for text in words)
    menu.actions()[2].trigger()
    assert texts(opened) == ["cut shortcut of layer1.0"]
    menu.close()
    again = opened.edits.show_skip_menu("layer1.0.add", 0, QPoint(10, 10))
    assert again.actions()[2].text() == "Restore"
    assert again.slider.value() == 0
    again.restore_requested.emit()
    assert texts(opened) == []
    again.close()


def test_a_gate_is_set_to_1_and_restored(opened: Controller) -> None:
    opened.select("layer1.0.se.gate")
    opened.trigger("open_gate")
    assert texts(opened) == ["gate of layer1.0.se set to 1"]
    menu = opened.edits.show_skip_menu("layer1.0.se.gate", 0, QPoint(10, 10))
    assert any("Restore gate" in action.text() for action in menu.actions())
    menu.close()
    opened.trigger("open_gate")
    assert texts(opened) == []


def test_a_click_on_a_chip_removes_its_edit(qtbot: QtBot, opened: Controller) -> None:
    opened.edits.toggle_cut("layer1.0.add", 0)
    opened.edits.scale("layer1.0.add", 1, 0.5)
    first, _ = opened.window.chips.buttons()
    assert "cut shortcut" in first.accessibleName()
    first.click()
    assert texts(opened) == ["branch of layer1.0 × 0.50"]
    opened.undo()
    assert len(opened.window.chips.buttons()) == 2


def test_arrow_keys_select(qtbot: QtBot, opened: Controller) -> None:
    opened.trigger("go_first")
    assert opened.request.selected == "input"
    opened.window.graph.setFocus()
    opened.window.activateWindow()
    qtbot.waitUntil(opened.window.graph.hasFocus, timeout=2000)
    qtbot.keyClick(opened.window.graph, Qt.Key.Key_Right)
    assert opened.request.selected == "conv1"
    opened.trigger("go_last")
    assert opened.request.selected == "output"
    opened.select("layer1.0.add")
    opened.trigger("go_to_skip_source")
    assert opened.request.selected == "conv1"


def test_x_cuts_the_selected_skip(qtbot: QtBot, opened: Controller) -> None:
    opened.select("layer1.0.add")
    settle(qtbot, opened)
    opened.window.activateWindow()
    opened.window.graph.setFocus()
    qtbot.waitUntil(opened.window.graph.hasFocus, timeout=2000)
    qtbot.keyClick(opened.window.graph, Qt.Key.Key_X)
    assert texts(opened) == ["cut shortcut of layer1.0"]
    qtbot.keyClick(opened.window.graph, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert texts(opened) == []


def test_contrast_and_order_reach_the_views(opened: Controller) -> None:
    assert opened.window.inspector.gates._order == "channel"
    opened.trigger("toggle_order")
    opened.trigger("toggle_contrast")
    assert opened.window.inspector.gates._order == "weight"
    assert opened.window.inspector.atlas._contrast == "layer"


def test_the_palette_runs_an_action(qtbot: QtBot, opened: Controller) -> None:
    from gui.views.command_palette import CommandPalette

    opened.trigger("palette")
    palette = opened.window.findChild(CommandPalette)
    assert palette is not None
    qtbot.keyClicks(palette._line, "next sample")
    assert palette._list.count() == 1
    qtbot.keyClick(palette._line, Qt.Key.Key_Return)
    assert opened.request.image is opened.catalog.samples[1]


def test_the_help_lists_every_action(qtbot: QtBot, opened: Controller) -> None:
    from PySide6.QtWidgets import QLabel

    from gui.actions import ACTIONS
    from gui.views.shortcuts_dialog import ShortcutsDialog

    opened.trigger("help")
    sheet = opened.window.findChild(ShortcutsDialog)
    assert sheet is not None
    shown = {label.text() for label in sheet.findChildren(QLabel)}
    assert {action.title for action in ACTIONS} <= shown
    sheet.close()


def test_toggle_theme_colors_the_window(opened: Controller) -> None:
    light = opened.window.grab().toImage().pixelColor(4, 400)
    opened.trigger("toggle_theme")
    dark = opened.window.grab().toImage().pixelColor(4, 400)
    assert opened.theme.dark
    assert light.lightness() > 200 > 60 > dark.lightness()


def test_closed_menus_are_deleted(qtbot: QtBot, opened: Controller) -> None:
    for _ in range(5):
        opened.edits.show_skip_menu("layer1.0.add", 0, QPoint(5, 5)).close()
    qtbot.wait(10)
    assert not [menu for menu in opened.window.findChildren(QMenu) if isinstance(menu, SkipMenu)]


def test_detail_follows_the_selection(qtbot: QtBot, opened: Controller) -> None:
    opened.window.graph.picked.emit("layer1.0.add")
    settle(qtbot, opened)
    assert isinstance(opened.screen.detail, AddDetail)
    assert opened.window.inspector.current is opened.window.inspector.residual
