"""Gate view: bars as high as their weights, in both orders, with the maps in the same order."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from gui.details import GateDetail
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


def test_bar_height_is_the_weight(view: GateView) -> None:
    heights = np.array([view.bar(i).height() for i in range(4)])
    np.testing.assert_allclose(heights / view.plot_area().height(), WEIGHT, rtol=1e-5)
    assert all(view.bar(i).bottom() == pytest.approx(view.plot_area().bottom()) for i in range(4))


def test_sorted_order_puts_the_largest_weight_first(view: GateView) -> None:
    view.set_order("weight")
    assert view.channel_order.tolist() == [1, 3, 0, 2]
    heights = [view.bar(i).height() for i in range(4)]
    assert heights == sorted(heights, reverse=True)
    np.testing.assert_array_equal(view.images[0].values, BEFORE[[1, 3, 0, 2]])


def test_before_and_after_share_one_scale(view: GateView) -> None:
    before, after = (image.atlas for image in view.images)
    assert before
    assert after
    assert before.low.tolist() == after.low.tolist()
    assert before.high.tolist() == after.high.tolist()


def test_hover_over_bar_or_map_names_the_channel(view: GateView, qtbot: QtBot) -> None:
    view.set_order("weight")
    texts: list[str] = []
    view.hovered.connect(texts.append)
    for at in (
        view.bar(0).center(),
        view.images[0].tile(0).center(),
        view.images[1].tile(0).center(),
    ):
        qtbot.mouseMove(view, at.toPoint())
        assert texts[-1].startswith("channel 1 · weight 0.9 ·")
    qtbot.mouseMove(view, QPoint(view.width() - 2, 3))
    assert texts[-1] == ""


def test_bar_has_the_gate_color(view: GateView) -> None:
    shown = view.grab().toImage().pixelColor(view.bar(1).center().toPoint())
    assert shown == QColor(LIGHT.gate)


def test_weights_above_one_extend_the_axis(view: GateView) -> None:
    view.set_gates(GateDetail("g", WEIGHT * 4, BEFORE, BEFORE))
    assert view.max_weight() == pytest.approx(3.6)
    assert view.bar(1).height() == pytest.approx(view.plot_area().height())


def test_2048_weights_can_be_painted(view: GateView) -> None:
    weight = np.linspace(0, 1, 2048, dtype=np.float32)
    maps = np.ones((2048, 7, 7), np.float32)
    view.set_gates(GateDetail("g", weight, maps, maps))
    assert not view.grab().isNull()
    assert view.accessibleDescription() == "2048 weights, from 0 to 1"


def test_view_without_a_gate_is_empty(view: GateView) -> None:
    view.set_gates(None)
    assert not view.grab().isNull()
