"""The gate on the screen: bars as high as their weights, in either order, maps in the same order."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from gui.state import GateDetail
from gui.theme import LIGHT
from gui.views.gate_view import GateView

WEIGHT = np.array([0.5, 0.9, 0.1, 0.7], np.float32)
BEFORE = np.random.default_rng(0).normal(size=(4, 8, 8)).astype(np.float32)


@pytest.fixture
def view(qtbot: QtBot) -> GateView:
    view = GateView()
    qtbot.addWidget(view)
    view.set_theme(LIGHT)
    view.resize(900, 260)
    view.show()
    view.set_gates(GateDetail("g", WEIGHT, BEFORE, BEFORE * WEIGHT[:, None, None]))
    return view


def test_bars_are_as_high_as_their_weights(view: GateView) -> None:
    heights = np.array([view.bar(i).height() for i in range(4)])
    np.testing.assert_allclose(heights / view.plot_area().height(), WEIGHT, rtol=1e-5)
    assert all(view.bar(i).bottom() == pytest.approx(view.plot_area().bottom()) for i in range(4))


def test_sorted_bars_fall(view: GateView) -> None:
    view.set_order("weight")
    assert view.channel_order.tolist() == [1, 3, 0, 2]
    heights = [view.bar(i).height() for i in range(4)]
    assert heights == sorted(heights, reverse=True)
    np.testing.assert_array_equal(view.images[0].values, BEFORE[[1, 3, 0, 2]])


def test_before_and_after_share_one_scale(view: GateView) -> None:
    before, after = (plate.atlas for plate in view.images)
    assert before
    assert after
    assert before.low.tolist() == after.low.tolist()
    assert before.high.tolist() == after.high.tolist()


def test_hovering_a_bar_or_a_map_names_the_channel(view: GateView, qtbot: QtBot) -> None:
    view.set_order("weight")
    heard: list[str] = []
    view.hovered.connect(heard.append)
    for at in (
        view.bar(0).center(),
        view.images[0].tile(0).center(),
        view.images[1].tile(0).center(),
    ):
        qtbot.mouseMove(view, at.toPoint())
        assert heard[-1].startswith("channel 1 · weight 0.9 ·")
    qtbot.mouseMove(view, QPoint(view.width() - 2, 3))
    assert heard[-1] == ""


def test_a_bar_is_painted_in_the_gate_accent(view: GateView) -> None:
    shown = view.grab().toImage().pixelColor(view.bar(1).center().toPoint())
    assert shown == QColor(LIGHT.gate)


def test_weights_above_one_raise_the_ceiling(view: GateView) -> None:
    view.set_gates(GateDetail("g", WEIGHT * 4, BEFORE, BEFORE))
    assert view.max_weight() == pytest.approx(3.6)
    assert view.bar(1).height() == pytest.approx(view.plot_area().height())


def test_two_thousand_weights_can_be_painted(view: GateView) -> None:
    weight = np.linspace(0, 1, 2048, dtype=np.float32)
    maps = np.ones((2048, 7, 7), np.float32)
    view.set_gates(GateDetail("g", weight, maps, maps))
    assert not view.grab().isNull()
    assert view.accessibleDescription() == "2048 weights, from 0 to 1"


def test_nothing_can_be_painted(view: GateView) -> None:
    view.set_gates(None)
    assert not view.grab().isNull()
