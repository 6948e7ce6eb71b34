"""The loop from a signal to the screen, with an engine that answers at once."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtWidgets import QApplication, QLineEdit, QMenu, QPushButton
from pytestqt.qtbot import QtBot

from gui.controller import Controller
from gui.graph import Edit
from gui.state import AddDetail, GateDetail, Request, Result
from gui.views.run_code_dialog import RunCodeDialog
from gui.views.skip_menu import SkipMenu
from gui.views.window import MainWindow
from gui.worker import Worker
from tests.helpers.fake_engine import FakeEngine


class Choosy(FakeEngine):
    """Refuses images whose file's name begins with "bad", as the engine does: the model is there
    all the same.
    """

    def run(self, request: Request) -> Result:
        if request.image and request.image.path and Path(request.image.path).name.startswith("bad"):
            return Result(
                model=super().run(request).model,
                image_error=f"'{request.image.label}' is no image: choose a PNG.",
            )
        return super().run(request)


@pytest.fixture
def engine() -> FakeEngine:
    return Choosy()


@pytest.fixture
def controller(qtbot: QtBot, engine: FakeEngine) -> Iterator[Controller]:
    window = MainWindow()
    qtbot.addWidget(window)
    worker = Worker(lambda: engine, window)
    controller = Controller(window, worker, "light")
    window.resize(1000, 700)
    window.show()
    worker.start()
    yield controller
    worker.stop()


def settle(qtbot: QtBot, controller: Controller) -> None:
    """Until nothing is awaited any more."""
    waiting = controller.worker.is_pending
    qtbot.waitUntil(lambda: not waiting("run") and not waiting("catalog"), timeout=5000)


@pytest.fixture
def opened(qtbot: QtBot, controller: Controller) -> Controller:
    controller.start("a.ckpt")
    settle(qtbot, controller)
    return controller


def texts(controller: Controller) -> list[str]:
    return [chip.text for chip in controller.screen.chips]


def test_the_start_page_offers_the_shelf(qtbot: QtBot, controller: Controller) -> None:
    assert "PyTorch" in controller.window.start._status.text()
    controller.start()
    settle(qtbot, controller)
    assert len(controller.window.start.cards()) == 1
    assert controller.window.sidebar.samples.count() == 6
    assert controller.window.start._status.text() == ""
    controller.window.start.cards()[0].click()
    settle(qtbot, controller)
    assert controller.screen.page == "model"


def test_opening_selects_a_merge_and_takes_the_first_sample(opened: Controller) -> None:
    assert opened.request.selected == "layer1.0.se.gate"
    assert isinstance(opened.screen.detail, GateDetail)
    assert opened.request.image is opened.catalog.samples[0]
    assert opened.window.windowTitle().startswith("resnet20 · CIFAR-10")


def test_a_bad_path_is_a_sentence_and_the_net_stays(qtbot: QtBot, opened: Controller) -> None:
    opened.load_checkpoint("bad.ckpt")
    settle(qtbot, opened)
    assert opened.window.banner.text == "'bad.ckpt' is not a checkpoint: choose a .ckpt file."
    assert opened.window.banner.isVisible()
    assert opened.request.checkpoint == "a.ckpt"
    assert opened.screen.status == ""
    opened.load_checkpoint("b.ckpt")
    settle(qtbot, opened)
    assert not opened.window.banner.isVisible(), "the sentence goes with the next success"


def test_a_bad_path_at_the_start_leaves_the_start_page(
    qtbot: QtBot, controller: Controller
) -> None:
    with qtbot.waitSignal(controller.failed, timeout=5000) as caught:
        controller.start("bad.ckpt")
    settle(qtbot, controller)
    assert caught.args
    assert "bad.ckpt" in caught.args[0]
    assert controller.screen.page == "start"
    assert controller.request.checkpoint is None
    assert controller.window.start.cards(), "the shelf is there all the same"


def test_a_bad_picture_with_a_good_net_opens_the_net(qtbot: QtBot, controller: Controller) -> None:
    controller.start("a.ckpt", "bad.png")
    settle(qtbot, controller)
    assert controller.window.banner.text == "'bad.png' is no image: choose a PNG."
    assert controller.screen.page == "model"
    assert controller.request.image is controller.catalog.samples[0]
    assert controller.screen.bars
    assert controller.screen.status == ""


def test_a_bad_picture_alone_does_not_lock_the_start_page(
    qtbot: QtBot, controller: Controller
) -> None:
    controller.start(None, "bad.png")
    settle(qtbot, controller)
    controller.window.start.cards()[0].click()
    settle(qtbot, controller)
    assert controller.screen.page == "model"
    assert controller.request.image is controller.catalog.samples[0]
    assert controller.window.banner.text == "'bad.png' is no image: choose a PNG."


def test_a_good_picture_waits_for_a_net_that_opens(qtbot: QtBot, controller: Controller) -> None:
    controller.start("bad.ckpt", "cat.png")
    settle(qtbot, controller)
    assert controller.screen.page == "start"
    controller.window.start.cards()[0].click()
    settle(qtbot, controller)
    assert controller.screen.image_label == "cat.png"


def test_a_bad_picture_on_an_open_net_leaves_the_one_before(
    qtbot: QtBot, opened: Controller
) -> None:
    opened.select_sample(3)
    opened.surgeon.toggle_cut("layer1.0.add", 0)
    settle(qtbot, opened)
    opened.open_dropped(["bad.png"])
    settle(qtbot, opened)
    assert opened.request.image is opened.catalog.samples[3]
    assert opened.screen.image_label == opened.catalog.samples[3].label
    assert texts(opened) == ["cut shortcut of layer1.0"]
    assert "bad.png" in opened.window.banner.text
    opened.open_dropped(["bad.png", "b.ckpt"])
    settle(qtbot, opened)
    assert (opened.request.checkpoint, opened.request.image) == (
        "b.ckpt",
        opened.catalog.samples[3],
    )


def trust_of(controller: Controller) -> RunCodeDialog:
    (trust,) = controller.window.findChildren(RunCodeDialog)
    return trust


def test_a_net_of_ones_own_waits_for_its_name(
    qtbot: QtBot, opened: Controller, engine: FakeEngine
) -> None:
    opened.load_checkpoint("own.ckpt")
    settle(qtbot, opened)
    trust = trust_of(opened)
    line, run = trust.findChild(QLineEdit), trust.findChild(QPushButton, "primary")
    assert (trust.isVisible(), run.isEnabled()) == (True, False)
    assert opened.screen.title == "resnet20"
    for typed, good in (("mine", False), ("mine:models", False), (" mine:model", True)):
        line.setText(typed)
        assert run.isEnabled() is good
    qtbot.mouseClick(run, Qt.MouseButton.LeftButton)
    settle(qtbot, opened)
    assert (opened.result.model.key, opened.request.custom_model, opened.window.banner.text) == (
        "own.ckpt",
        "mine:model",
        "",
    )
    opened.load_checkpoint("b.ckpt")
    settle(qtbot, opened)
    assert opened.request.custom_model is None


def test_a_net_of_ones_own_stays_closed_where_its_name_is_not_given(
    qtbot: QtBot, controller: Controller, engine: FakeEngine
) -> None:
    controller.start("own.ckpt")
    settle(qtbot, controller)
    assert "mine:model" in controller.window.banner.text
    trust_of(controller).reject()
    settle(qtbot, controller)
    assert controller.screen.page == "start"
    assert not any(
        isinstance(request, Request) and request.custom_model for _, request in engine.asked
    )


def test_the_name_of_a_net_of_ones_own_on_the_command_line(
    qtbot: QtBot, controller: Controller
) -> None:
    controller.start("own.ckpt", None, "mine:model")
    settle(qtbot, controller)
    assert (controller.screen.page, controller.window.findChildren(RunCodeDialog)) == ("model", [])


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


def test_a_scrub_is_undone_as_one(qtbot: QtBot, opened: Controller, engine: FakeEngine) -> None:
    engine.slow = 0.02
    settle(qtbot, opened)
    asked = len(engine.asked)
    menu = opened.surgeon.show_skip_menu("layer1.0.add", 0, QPoint(10, 10))
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


def test_the_menu_of_a_skip(qtbot: QtBot, opened: Controller) -> None:
    menu = opened.surgeon.show_skip_menu("layer1.0.add", 0, QPoint(10, 10))
    words = [action.text() for action in menu.actions() if action.text()]
    assert words[0] == "conv1 → layer1.0 (16→16, conv 1x1)"
    assert any("Cut" in text for text in words)
    menu.actions()[2].trigger()
    assert texts(opened) == ["cut shortcut of layer1.0"]
    menu.close()
    again = opened.surgeon.show_skip_menu("layer1.0.add", 0, QPoint(10, 10))
    assert again.actions()[2].text() == "Restore"
    assert again.slider.value() == 0
    again.restore_requested.emit()
    assert texts(opened) == []
    again.close()


def test_a_gate_is_forced_open_and_let_go(opened: Controller) -> None:
    opened.select("layer1.0.se.gate")
    opened.trigger("open_gate")
    assert texts(opened) == ["force gate of layer1.0.se open"]
    menu = opened.surgeon.show_skip_menu("layer1.0.se.gate", 0, QPoint(10, 10))
    assert any("Restore gate" in action.text() for action in menu.actions())
    menu.close()
    opened.trigger("open_gate")
    assert texts(opened) == []


def test_a_chip_takes_its_edit_back(qtbot: QtBot, opened: Controller) -> None:
    opened.surgeon.toggle_cut("layer1.0.add", 0)
    opened.surgeon.scale("layer1.0.add", 1, 0.5)
    first, _ = opened.window.chips.buttons()
    assert "cut shortcut" in first.accessibleName()
    first.click()
    assert texts(opened) == ["branch of layer1.0 × 0.50"]
    opened.undo()
    assert len(opened.window.chips.buttons()) == 2


def test_another_net_starts_without_edits(qtbot: QtBot, opened: Controller) -> None:
    opened.surgeon.toggle_cut("layer1.0.add", 0)
    opened.load_checkpoint("b.ckpt")
    settle(qtbot, opened)
    assert opened.request.edits == ()
    assert not opened.surgeon.stack.canUndo()
    assert opened.result.model
    assert opened.result.model.key == "b.ckpt"


def test_a_net_that_fails_leaves_the_history(
    qtbot: QtBot, opened: Controller, engine: FakeEngine
) -> None:
    opened.surgeon.toggle_cut("layer1.0.add", 0)
    settle(qtbot, opened)
    engine.slow = 0.05
    opened.surgeon.scale("layer1.0.add", 1, 0.5)
    opened.load_checkpoint("bad.ckpt")
    for name in ("undo", "redo", "cut_branch", "reset"):
        opened.trigger(name)
    assert opened.request.edits == (), "nothing is edited while a model is opened"
    assert not opened.window.actions_by_name["undo"].isEnabled()
    settle(qtbot, opened)
    assert texts(opened) == ["cut shortcut of layer1.0", "branch of layer1.0 × 0.50"]
    assert opened.result.edits == opened.request.edits, "what is shown is what the chips say"
    assert opened.window.actions_by_name["undo"].isEnabled()
    opened.trigger("undo")
    assert texts(opened) == ["cut shortcut of layer1.0"]
    opened.trigger("undo")
    assert texts(opened) == []
    opened.trigger("redo")
    assert texts(opened) == ["cut shortcut of layer1.0"]


def test_the_same_net_again_is_a_step_that_can_be_undone(qtbot: QtBot, opened: Controller) -> None:
    opened.surgeon.toggle_cut("layer1.0.add", 0)
    for detour in ((), ("b.ckpt",)):
        for path in (*detour, "a.ckpt"):
            opened.load_checkpoint(path)
        settle(qtbot, opened)
        assert (opened.request.checkpoint, texts(opened)) == ("a.ckpt", [])
        opened.trigger("undo")
        assert texts(opened) == ["cut shortcut of layer1.0"]


def test_newest_wins(qtbot: QtBot, opened: Controller, engine: FakeEngine) -> None:
    engine.slow = 0.05
    for name in ("b.ckpt", "c.ckpt", "d.ckpt"):
        opened.load_checkpoint(name)
    settle(qtbot, opened)
    assert opened.result.model
    assert opened.result.model.key == "d.ckpt"
    assert "c.ckpt" not in {
        request.checkpoint for _, request in engine.asked if isinstance(request, Request)
    }


def test_travel_by_key_selects(qtbot: QtBot, opened: Controller) -> None:
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


def test_x_cuts_what_is_selected(qtbot: QtBot, opened: Controller) -> None:
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


def test_samples_by_click_and_key(qtbot: QtBot, opened: Controller) -> None:
    opened.trigger("next_sample")
    assert opened.request.image is opened.catalog.samples[1]
    opened.trigger("previous_sample")
    opened.trigger("previous_sample")
    assert opened.request.image is opened.catalog.samples[-1]
    assert opened.window.sidebar.samples.currentRow() == 5


def test_a_pasted_picture(opened: Controller) -> None:
    pixels = QImage(4, 3, QImage.Format.Format_ARGB32)
    pixels.fill(0xFF204060)
    pixels.setPixel(0, 0, 0x00000000)
    QApplication.clipboard().setImage(pixels)
    opened.trigger("paste_image")
    image = opened.request.image
    assert image is not None
    assert image.pixels is not None
    assert image.pixels.shape == (3, 4, 3)
    assert image.pixels[1, 1].tolist() == [0x20, 0x40, 0x60]
    assert image.pixels[0, 0].tolist() == [255, 255, 255], "what is transparent is white"


def test_an_empty_clipboard_is_a_sentence(opened: Controller) -> None:
    QApplication.clipboard().clear()
    opened.trigger("paste_image")
    assert "clipboard" in opened.window.banner.text


def drop(window: MainWindow, paths: list[str]) -> None:
    """As the window system would: enter, then drop."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(path) for path in paths])
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(50, 50), Qt.DropAction.CopyAction, data, left, none)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(
        window, QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, data, left, none)
    )


def test_drop_a_checkpoint_and_a_picture(qtbot: QtBot, opened: Controller, tmp_path: Path) -> None:
    drop(opened.window, [str(tmp_path / "cat.png"), str(tmp_path / "new.ckpt")])
    settle(qtbot, opened)
    assert opened.request.checkpoint == str(tmp_path / "new.ckpt")
    assert opened.request.image
    assert opened.request.image.path == str(tmp_path / "cat.png")
    drop(opened.window, [str(tmp_path / "dog.jpg")])
    assert opened.request.image
    assert opened.request.image.label == "dog.jpg"
    assert opened.request.checkpoint == str(tmp_path / "new.ckpt")


def test_views_are_painted_only_where_something_differs(
    opened: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for view, name in (
        (opened.window.graph, "set_graph"),
        (opened.window.sidebar, "set_image"),
        (opened.window.inspector, "set_detail"),
        (opened.window.chips, "set_chips"),
    ):
        monkeypatch.setattr(view, name, lambda *_, name=name: calls.append(name))
    opened._refresh()
    assert calls == []
    opened.surgeon.toggle_cut("layer1.0.add", 0)
    assert calls == ["set_chips"]


def test_the_palette_runs_an_action(qtbot: QtBot, opened: Controller) -> None:
    from gui.views.command_palette import CommandPalette

    opened.trigger("palette")
    palette = opened.window.findChild(CommandPalette)
    assert palette is not None
    qtbot.keyClicks(palette._line, "next sample")
    assert palette._list.count() == 1
    qtbot.keyClick(palette._line, Qt.Key.Key_Return)
    assert opened.request.image is opened.catalog.samples[1]


def test_the_sheet_lists_every_shortcut(qtbot: QtBot, opened: Controller) -> None:
    from PySide6.QtWidgets import QLabel

    from gui.actions import ACTIONS
    from gui.views.shortcuts_dialog import ShortcutsDialog

    opened.trigger("help")
    sheet = opened.window.findChild(ShortcutsDialog)
    assert sheet is not None
    shown = {label.text() for label in sheet.findChildren(QLabel)}
    assert {action.title for action in ACTIONS} <= shown
    sheet.close()


def test_the_start_page_again(qtbot: QtBot, opened: Controller) -> None:
    opened.trigger("show_start")
    assert opened.screen.page == "start"
    assert opened.request.checkpoint is None
    assert not opened.window.actions_by_name["cut_skip"].isEnabled()


def test_light_and_dark(opened: Controller) -> None:
    light = opened.window.grab().toImage().pixelColor(4, 400)
    opened.trigger("toggle_theme")
    dark = opened.window.grab().toImage().pixelColor(4, 400)
    assert opened.theme.dark
    assert light.lightness() > 200 > 60 > dark.lightness()


def test_no_thread_but_two_touches_anything(opened: Controller, engine: FakeEngine) -> None:
    assert engine.threads == {"engine"}
    assert threading.current_thread().name == "MainThread"


def test_the_window_is_never_blocked(qtbot: QtBot, opened: Controller, engine: FakeEngine) -> None:
    """A timer beats on while the engine takes half a second over an answer."""
    engine.slow = 0.5
    beats = [0]

    def beat() -> None:
        beats[0] += opened.worker.is_pending("run")

    timer = QTimer()
    timer.timeout.connect(beat)
    timer.start(5)
    opened.surgeon.toggle_cut("layer1.0.add", 0)
    settle(qtbot, opened)
    timer.stop()
    assert beats[0] > 10, "a blocked window would not have beaten once"


def test_menus_do_not_pile_up(qtbot: QtBot, opened: Controller) -> None:
    for _ in range(5):
        opened.surgeon.show_skip_menu("layer1.0.add", 0, QPoint(5, 5)).close()
    qtbot.wait(10)
    assert not [menu for menu in opened.window.findChildren(QMenu) if isinstance(menu, SkipMenu)]


def test_detail_follows_the_selection(qtbot: QtBot, opened: Controller) -> None:
    opened.window.graph.picked.emit("layer1.0.add")
    settle(qtbot, opened)
    assert isinstance(opened.screen.detail, AddDetail)
    assert opened.window.inspector.current is opened.window.inspector.residual
