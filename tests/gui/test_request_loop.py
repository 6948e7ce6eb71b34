"""The loop from a request to the screen: newest wins, failures go back, code waits for its name."""

import threading

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QLineEdit, QPushButton
from pytestqt.qtbot import QtBot

from gui.controller import Controller
from gui.state import Request
from gui.views.run_code_dialog import RunCodeDialog
from tests.helpers.controller import settle, texts
from tests.helpers.fake_engine import FakeEngine


def dialog_of(controller: Controller) -> RunCodeDialog:
    """Return the dialog that asks for the name of a custom model."""
    (dialog,) = controller.window.findChildren(RunCodeDialog)
    return dialog


def test_a_bad_path_shows_a_message_and_the_model_stays(qtbot: QtBot, opened: Controller) -> None:
    opened.open("bad.ckpt")
    settle(qtbot, opened)
    assert opened.window.banner.text == "'bad.ckpt' is not a checkpoint: choose a .ckpt file."
    assert opened.window.banner.isVisible()
    assert opened.request.checkpoint == "a.ckpt"
    assert opened.screen.status == ""
    opened.open("b.ckpt")
    settle(qtbot, opened)
    assert not opened.window.banner.isVisible(), "the sentence goes with the next success"


def test_a_custom_model_opens_after_its_name_is_typed(
    qtbot: QtBot, opened: Controller, engine: FakeEngine
) -> None:
    opened.open("own.ckpt")
    settle(qtbot, opened)
    dialog = dialog_of(opened)
    line = dialog.findChild(QLineEdit)
    run = dialog.findChild(QPushButton, "primary")
    assert line is not None
    assert run is not None
    assert (dialog.isVisible(), run.isEnabled()) == (True, False)
    assert opened.screen.title == "resnet20"
    for typed, good in (("mine", False), ("mine:models", False), (" mine:model", True)):
        line.setText(typed)
        assert run.isEnabled() is good
    qtbot.mouseClick(run, Qt.MouseButton.LeftButton)
    settle(qtbot, opened)
    assert opened.result.model
    assert (opened.result.model.key, opened.request.architecture, opened.window.banner.text) == (
        "own.ckpt",
        "mine:model",
        "",
    )
    opened.open("b.ckpt")
    settle(qtbot, opened)
    assert opened.request.architecture is None


def test_a_custom_model_stays_closed_without_its_name(
    qtbot: QtBot, controller: Controller, engine: FakeEngine
) -> None:
    controller.start("own.ckpt")
    settle(qtbot, controller)
    assert "mine:model" in controller.window.banner.text
    dialog_of(controller).reject()
    settle(qtbot, controller)
    assert controller.screen.page == "start"
    assert not any(
        isinstance(request, Request) and request.architecture for _, request in engine.asked
    )


def test_the_command_line_can_name_a_custom_model(qtbot: QtBot, controller: Controller) -> None:
    controller.start("own.ckpt", None, "mine:model")
    settle(qtbot, controller)
    assert (controller.screen.page, controller.window.findChildren(RunCodeDialog)) == ("model", [])


def test_another_model_starts_without_edits(qtbot: QtBot, opened: Controller) -> None:
    opened.edits.toggle_cut("layer1.0.add", 0)
    opened.open("b.ckpt")
    settle(qtbot, opened)
    assert opened.request.edits == ()
    assert not opened.edits.stack.canUndo()
    assert opened.result.model
    assert opened.result.model.key == "b.ckpt"


def test_a_model_that_fails_to_open_leaves_edits_and_undo(
    qtbot: QtBot, opened: Controller, engine: FakeEngine
) -> None:
    opened.edits.toggle_cut("layer1.0.add", 0)
    settle(qtbot, opened)
    engine.slow = 0.05
    opened.edits.scale("layer1.0.add", 1, 0.5)
    opened.open("bad.ckpt")
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


def test_opening_the_same_file_again_can_be_undone(qtbot: QtBot, opened: Controller) -> None:
    opened.edits.toggle_cut("layer1.0.add", 0)
    for detour in ((), ("b.ckpt",)):
        for path in (*detour, "a.ckpt"):
            opened.open(path)
        settle(qtbot, opened)
        assert (opened.request.checkpoint, texts(opened)) == ("a.ckpt", [])
        opened.trigger("undo")
        assert texts(opened) == ["cut shortcut of layer1.0"]


def test_the_newest_request_wins(qtbot: QtBot, opened: Controller, engine: FakeEngine) -> None:
    engine.slow = 0.05
    for name in ("b.ckpt", "c.ckpt", "d.ckpt"):
        opened.open(name)
    settle(qtbot, opened)
    assert opened.result.model
    assert opened.result.model.key == "d.ckpt"
    assert "c.ckpt" not in {
        request.checkpoint for _, request in engine.asked if isinstance(request, Request)
    }


def test_only_views_whose_part_changed_are_updated(
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
    opened.refresh()
    assert calls == []
    opened.edits.toggle_cut("layer1.0.add", 0)
    assert calls == ["set_chips"]


def test_the_engine_runs_on_one_thread(opened: Controller, engine: FakeEngine) -> None:
    assert engine.threads == {"engine"}
    assert threading.current_thread().name == "MainThread"


def test_the_window_stays_responsive_during_a_forward_pass(
    qtbot: QtBot, opened: Controller, engine: FakeEngine
) -> None:
    """A timer beats on while the engine takes half a second over an answer."""
    engine.slow = 0.5
    beats = [0]

    def beat() -> None:
        beats[0] += opened.worker.is_pending("run")

    timer = QTimer()
    timer.timeout.connect(beat)
    timer.start(5)
    opened.edits.toggle_cut("layer1.0.add", 0)
    settle(qtbot, opened)
    timer.stop()
    assert beats[0] > 10, "a blocked window would not have beaten once"
