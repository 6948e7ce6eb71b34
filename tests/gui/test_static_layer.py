"""The cached drawing of the graph: what is marked lies above it, and large graphs take steps."""

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, QRectF
from PySide6.QtGui import QPainter
from pytestqt.qtbot import QtBot

from gui.graph import Edit
from gui.views.graph.rect_index import RectIndex
from gui.views.graph.static_layer import LayerKey, StaticLayer
from gui.views.graph.view import GraphView
from tests.helpers.graph_view import center_of, pixels, show

KEY = LayerKey(1.0, 0.0, 0.0, 40, 30, 1.0, 0)


class Recorder:
    """Parts that note when they are drawn."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.drawn: list[tuple[int, int]] = []
        self.begun: list[int] = []

    def parts(self, key: LayerKey) -> Iterator:
        self.begun.append(key.version)
        for i in range(self.count):
            yield lambda painter, i=i: self.drawn.append((key.version, i))


@pytest.fixture(autouse=True)
def _app(qtbot: QtBot) -> None:
    """Painting needs an application."""


def test_a_drawing_is_finished_in_steps() -> None:
    layer = StaticLayer()
    recorder = Recorder(3)
    results = [layer.advance(KEY, recorder.parts, seconds=0.0) for _ in range(4)]
    assert results == [False, False, False, True]
    assert recorder.drawn == [(0, 0), (0, 1), (0, 2)]


def test_a_newer_drawing_waits_until_the_present_one_is_finished() -> None:
    layer = StaticLayer()
    recorder = Recorder(2)
    keys = [LayerKey(1.0, 0.0, 0.0, 40, 30, 1.0, version) for version in range(5)]
    for key in keys:
        layer.advance(key, recorder.parts, seconds=0.0)
    # With a restart at each key no drawing would ever be finished during a drag.
    assert recorder.begun == [0, 2, 4]
    assert recorder.drawn == [(0, 0), (0, 1), (2, 0), (2, 1), (4, 0)]
    assert layer.advance(keys[-1], recorder.parts, seconds=10.0)
    assert recorder.begun == [0, 2, 4]


def test_a_current_drawing_is_not_drawn_again() -> None:
    layer = StaticLayer()
    recorder = Recorder(2)
    assert layer.advance(KEY, recorder.parts, seconds=10.0)
    assert layer.advance(KEY, recorder.parts, seconds=10.0)
    assert recorder.begun == [0]


def test_a_reset_layer_paints_nothing() -> None:
    layer = StaticLayer()
    layer.advance(KEY, Recorder(1).parts, seconds=10.0)
    layer.reset(keep_shown=True)
    assert layer.is_current(KEY)
    layer.reset()
    assert not layer.is_current(KEY)


def test_a_part_that_fails_ends_the_painter() -> None:
    layer = StaticLayer()

    def fail(painter: QPainter) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        layer.advance(KEY, lambda key: iter([fail]), seconds=10.0)
    layer.reset()
    assert layer.advance(KEY, Recorder(1).parts, seconds=10.0)


@pytest.mark.parametrize("name", ["resnet20", "seresnet20", "densenet_bc_40_12", "inception"])
def test_hover_and_selection_leave_no_trace(view: GraphView, name: str) -> None:
    diagram = show(view, name)
    before = pixels(view)
    target = diagram.nodes[len(diagram.nodes) // 2].name
    view.on_hover(center_of(view, target))
    view.set_selected(target)
    assert (pixels(view) != before).any()
    view.on_hover(QPoint(-50, -50))
    view.set_selected(None)
    view.paint_state.cursor = None
    np.testing.assert_array_equal(pixels(view), before)


def test_hover_does_not_draw_the_model_again(
    view: GraphView, monkeypatch: pytest.MonkeyPatch
) -> None:
    diagram = show(view, "resnet110")
    pixels(view)
    monkeypatch.setattr(view, "_layer_parts", lambda key: pytest.fail("drawn again"))
    for node in diagram.nodes[3:12]:
        view.on_hover(center_of(view, node.name))
        view.set_selected(node.name)
        view.viewport().repaint()


def test_edits_and_zoom_draw_the_model_again(view: GraphView) -> None:
    show(view, "resnet20")
    whole = pixels(view)
    view.set_edits((Edit("scale", "layer2.0.add", 0, 0.0),))
    cut = pixels(view)
    assert (cut != whole).any()
    view.zoom_by(1.5)
    assert (pixels(view) != cut).any()


def test_only_the_visible_part_is_drawn(view: GraphView) -> None:
    diagram = show(view, "resnet110")
    view.zoom_by(10.0)
    view.centerOn(view.scene_items.nodes["layer1.0"].box.center())
    key = view._layer_key()
    visible = view.mapToScene(view.viewport().rect()).boundingRect()
    parts = list(view._layer_parts(key))
    assert len(parts) < len(diagram.nodes) / 4
    assert all(item.rect.intersects(visible) for item in view.scene_items.visible(visible))


def test_a_large_graph_is_drawn_in_several_frames(qtbot: QtBot, view: GraphView) -> None:
    view.resize(1600, 900)
    show(view, "densenet121")
    qtbot.waitUntil(view.is_painting_current, timeout=5000)
    complete = view.grab().toImage()
    view.finish_painting()
    assert view.grab().toImage() == complete


def test_rect_index_finds_what_a_search_finds() -> None:
    rng = np.random.default_rng(0)
    rects = [QRectF(*rng.uniform(0, 90, 2), *rng.uniform(1, 20, 2)) for _ in range(300)]
    index = RectIndex(rects)
    for x, y in rng.uniform(0, 100, (50, 2)):
        at = QPointF(x, y)
        expected = [i for i, r in enumerate(rects) if r.adjusted(-2, -2, 2, 2).contains(at)]
        assert index.around(at, 2.0) == expected
        area = QRectF(x, y, 15, 10)
        assert index.touching(area) == [i for i, r in enumerate(rects) if r.intersects(area)]
    assert RectIndex([]).around(QPointF(0, 0)) == []


@pytest.mark.parametrize("name", ["resnet20", "densenet_bc_40_12"])
def test_cells_and_nodes_are_found_as_by_a_search(view: GraphView, name: str) -> None:
    show(view, name)
    items = view.scene_items
    for x in range(0, 860, 17):
        for y in range(0, 400, 13):
            at = view.mapToScene(QPoint(x, y))
            slack = 3.0 / view.zoom
            expected = None
            for node in items.nodes.values():
                if node.box.adjusted(-slack, -slack, slack, slack).contains(at):
                    expected = node.name
                    break
            assert view.item_at(QPoint(x, y))[0] == expected
            for matrix in items.matrices:
                cells = [c for c in matrix.matrix.cells if c.rect.contains((at.x(), at.y()))]
                assert matrix.cell(at) == (cells[0] if cells else None)
