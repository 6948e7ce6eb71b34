"""Texts of the status bar follow every new result, and are gone with the view they came from."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from gui.controller import Controller
from gui.details import AddDetail, ConcatDetail, ConcatPart, FeatureMaps, GateDetail
from gui.tensor_layout import is_channels_last, to_maps, token_grid
from gui.views.feature_map_view import FeatureMapView
from gui.views.gate_view import GateView
from gui.views.residual_view import ResidualView
from tests.helpers.controller import settle

ONES = np.ones((4, 6, 6), np.float32)


def gate(weight: float, before: float | None = None) -> GateDetail:
    weights = np.full(4, weight, np.float32)
    outline = None if before is None else np.full(4, before, np.float32)
    return GateDetail("gate", weights, ONES, ONES * weight, outline)


def concat(value: float) -> ConcatDetail:
    return ConcatDetail("join", ONES * value, (ConcatPart("a", 0, 4, 0, 1),))


def hover(view: FeatureMapView | ResidualView | GateView, at: QPointF) -> list[str]:
    """Move the pointer over a view; return a list that gets all texts from now on."""
    texts: list[str] = []
    view.hovered.connect(texts.append)
    QTest.mouseMove(view, at.toPoint())
    return texts


def test_a_hovered_map_is_read_again_with_the_next_result(qtbot: QtBot) -> None:
    view = FeatureMapView()
    qtbot.addWidget(view)
    view.resize(600, 200)
    view.show()
    view.set_maps(FeatureMaps("a", ONES))
    texts = hover(view, view.tile_rect(2).center())
    qtbot.waitUntil(lambda: bool(texts), timeout=2000)
    assert texts[-1].endswith("· 1")
    view.set_maps(FeatureMaps("a", ONES * 7))
    assert texts[-1].endswith("· 7")
    view.set_maps(concat(3.0))
    assert "· 3 · from a" in texts[-1]
    view.set_maps(None)
    assert texts[-1] == ""


def test_the_caption_of_an_enlarged_map_follows_too(qtbot: QtBot) -> None:
    view = FeatureMapView()
    qtbot.addWidget(view)
    view.resize(600, 200)
    view.set_maps(FeatureMaps("a", ONES))
    texts: list[str] = []
    view.hovered.connect(texts.append)
    view.enlarge(1)
    assert "max 1" in texts[-1]
    view.set_maps(FeatureMaps("a", ONES * 5))
    assert "max 5" in texts[-1]


def test_a_hovered_sum_is_read_again(qtbot: QtBot) -> None:
    view = ResidualView()
    qtbot.addWidget(view)
    view.resize(900, 240)
    view.show()
    view.set_residual(AddDetail("add", ONES, ONES, 2 * ONES))
    texts = hover(view, view.images[1].tile(1).center())
    qtbot.waitUntil(lambda: bool(texts), timeout=2000)
    assert texts[-1].endswith("1 + 1 = 2")
    view.set_residual(AddDetail("add", 0 * ONES, ONES, ONES))
    assert texts[-1].endswith("0 + 1 = 1")


def test_a_hovered_bar_is_read_again_after_an_edit(qtbot: QtBot) -> None:
    view = GateView()
    qtbot.addWidget(view)
    view.resize(900, 240)
    view.show()
    view.set_gates(gate(0.40786))
    texts = hover(view, view.bar(2).center())
    qtbot.waitUntil(lambda: bool(texts), timeout=2000)
    assert "weight 0.40786 ·" in texts[-1]
    view.set_gates(gate(1.0, before=0.40786))
    assert "weight 1 (without edits 0.40786)" in texts[-1]
    view.set_gates(gate(0.40786))
    assert "weight 0.40786 ·" in texts[-1]


def test_a_hidden_view_takes_its_text_away(qtbot: QtBot) -> None:
    view = GateView()
    qtbot.addWidget(view)
    view.resize(900, 240)
    view.show()
    view.set_gates(gate(0.5))
    texts = hover(view, view.bar(2).center())
    qtbot.waitUntil(lambda: bool(texts), timeout=2000)
    view.hide()
    assert texts[-1] == ""


def test_the_outline_has_the_weights_without_edits(qtbot: QtBot) -> None:
    view = GateView()
    qtbot.addWidget(view)
    view.resize(900, 240)
    view.set_gates(gate(1.0, before=0.25))
    plot = view._require_plot()
    heights = plot.outline_heights()
    assert heights is not None
    np.testing.assert_allclose(heights, 0.25)
    view.set_gates(gate(0.25))
    assert plot.outline_heights() is None


def test_a_hovered_node_is_described_again_after_edits(qtbot: QtBot, opened: Controller) -> None:
    graph = opened.window.graph
    at = graph.mapFromScene(graph.scene_items.nodes["fc"].box.center())
    graph.on_hover(at)
    assert "relative change" not in opened.window._hover.text()
    graph.set_values({"fc": 0.5})
    assert "relative change 50%" in opened.window._hover.text()
    graph.set_values({})
    assert "relative change" not in opened.window._hover.text()


def test_another_model_clears_the_status_bar(qtbot: QtBot, opened: Controller) -> None:
    graph = opened.window.graph
    graph.on_hover(graph.mapFromScene(graph.scene_items.nodes["fc"].box.center()))
    assert opened.window._hover.text()
    opened.files.show_start()
    assert opened.window._hover.text() == ""


def test_a_cut_skip_under_the_pointer_says_so(qtbot: QtBot, opened: Controller) -> None:
    graph = opened.window.graph
    item = graph.scene_items.merge_inputs["layer1.0.add", 0]
    graph.on_hover(QPoint(graph.mapFromScene(item.path.pointAtPercent(0.25))))
    before = opened.window._hover.text()
    assert before
    opened.edits.toggle_cut("layer1.0.add", 0)
    settle(qtbot, opened)
    assert opened.window._hover.text() == f"{before} · cut"
    opened.undo()
    settle(qtbot, opened)
    assert opened.window._hover.text() == before


@pytest.mark.parametrize(
    ("count", "size", "grid"),
    [
        (197, (224, 224), (14, 14)),
        (196, (224, 224), (14, 14)),
        (198, (224, 224), (14, 14)),
        (50, (224, 224), (7, 7)),
        (577, (384, 384), (24, 24)),
        (141, (224, 160), (14, 10)),
        (5, (32, 32), None),
        (230, (224, 224), None),
    ],
)
def test_tokens_are_arranged_as_patches(
    count: int, size: tuple[int, int], grid: tuple[int, int] | None
) -> None:
    assert token_grid(count, size) == grid


def test_token_maps_are_those_of_a_loop() -> None:
    values = np.random.default_rng(0).normal(size=(197, 12)).astype(np.float32)
    maps = to_maps(values, (224, 224))
    assert maps.class_token is not None
    np.testing.assert_array_equal(maps.class_token[0], values[0])
    for channel in range(12):
        for y in range(14):
            for x in range(14):
                assert maps.values[channel, y, x] == values[1 + 14 * y + x, channel]


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((56, 56, 96), (224, 224), True),
        ((96, 56, 56), (224, 224), False),
        ((7, 5, 768), (224, 160), True),
        ((768, 7, 5), (224, 160), False),
        ((64, 64, 64), (224, 224), False),
        ((12, 197, 197), (224, 224), False),
    ],
)
def test_channels_last_is_told_by_the_proportions_of_the_input(
    shape: tuple[int, ...], size: tuple[int, int], expected: bool
) -> None:
    assert is_channels_last(shape, size) == expected
