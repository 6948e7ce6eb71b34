"""An exception in the GUI thread becomes a message, and the app stays usable."""

import sys

import numpy as np
import pytest
from PySide6.QtCore import QTimer
from pytestqt.exceptions import capture_exceptions
from pytestqt.qtbot import QtBot

from gui.app import install_excepthook
from gui.controller import Controller
from gui.details import AddDetail
from gui.views.residual_view import ResidualView
from tests.helpers.controller import settle, texts


def test_a_view_that_fails_is_reported_and_the_others_are_updated(
    qtbot: QtBot, opened: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(detail: object) -> None:
        raise TypeError("arrange() missing 1 required argument: 'width'")

    monkeypatch.setattr(opened.window.inspector, "set_detail", fail)
    opened.select("layer1.0.add")
    settle(qtbot, opened)
    assert "TypeError" in opened.window.banner.text
    assert opened.window.graph.paint_state.selected == "layer1.0.add"
    monkeypatch.undo()
    opened.window.banner.set_text("")
    opened.select("conv1")
    settle(qtbot, opened)
    opened.edits.toggle_cut("layer1.0.add", 0)
    settle(qtbot, opened)
    assert opened.window.banner.text == "", "the failure is not repeated by later acts"
    assert opened.screen.detail is opened.result.detail
    assert texts(opened) == ["cut shortcut of layer1.0"]


def test_an_exception_in_a_slot_becomes_a_message(
    qtbot: QtBot, opened: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with capture_exceptions():
        previous = install_excepthook(opened)
        try:
            monkeypatch.setattr(opened, "toggle_order", lambda: 1 / 0)
            QTimer.singleShot(0, lambda: opened.trigger("toggle_order"))
            qtbot.waitUntil(lambda: "ZeroDivisionError" in opened.window.banner.text, timeout=3000)
        finally:
            sys.excepthook = previous
    assert "keeps running" in opened.window.banner.text
    opened.select("conv1")
    settle(qtbot, opened)
    assert opened.screen.selected == "conv1"


@pytest.mark.parametrize("tokens", [197, 198, 201])
def test_an_addition_of_tokens_is_shown(qtbot: QtBot, opened: Controller, tokens: int) -> None:
    maps = np.random.default_rng(0).normal(size=(3, 24, 14, 14)).astype(np.float32)
    extra = np.ones((3, tokens - 196, 24), np.float32)
    detail = AddDetail("add", maps[0], maps[1], maps[0] + maps[1], (extra[0], extra[1], extra[2]))
    view = opened.window.inspector.residual
    opened.window.inspector.set_detail(detail)
    assert isinstance(view, ResidualView)
    element = view.images[0].locate(view.images[0].tokens.tile(5).center())
    assert element
    assert element[0] == 5
    assert element[1] < 0
    text = view.describe_value(element)
    assert text.startswith("channel 5 · class token · 1 + 1 =") or "extra token" in text
    opened.window.grab()
