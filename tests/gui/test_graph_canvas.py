"""Zooming, panning and fitting the graph."""

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui.graph import Edit
from gui.theme import LIGHT
from gui.views.graph.view import GraphView
from tests.helpers.graph_builder import MODELS
from tests.helpers.graph_view import cell, center_of, has, near, pixels, show

LAYER = "features.denseblock2.denselayer4"
Key = Qt.Key


def test_wheel_zooms_about_the_pointer(view: GraphView) -> None:
    show(view, "resnet20")
    at = QPointF(200, 90)
    here, zoom = view.mapToScene(at.toPoint()), view.zoom
    event = QWheelEvent(
        at,
        view.viewport().mapToGlobal(at),
        QPoint(),
        QPoint(0, 240),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(view.viewport(), event)
    assert view.zoom == pytest.approx(zoom * 1.44)
    moved = view.mapToScene(at.toPoint()) - here
    assert abs(moved.x()) < 2
    assert abs(moved.y()) < 2


def test_drag_pans_without_picking_and_f_fits(qtbot: QtBot, view: GraphView) -> None:
    show(view, "resnet20")
    home, start = center_of(view, "layer2.1"), QPoint(700, 60)
    with qtbot.assertNotEmitted(view.picked):
        qtbot.mousePress(view.viewport(), Qt.MouseButton.LeftButton, pos=start)
        for step in (10, 40, 60):
            qtbot.mouseMove(view.viewport(), start + QPoint(-step, step))
        qtbot.mouseRelease(view.viewport(), Qt.MouseButton.LeftButton, pos=start + QPoint(-60, 60))
    moved = center_of(view, "layer2.1") - home
    assert abs(moved.x() + 60) <= 1
    assert abs(moved.y() - 60) <= 1
    for key in (Key.Key_F, Key.Key_Home):
        view.zoom_by(2.0)
        qtbot.keyClick(view, key)
        assert (center_of(view, "layer2.1") - home).manhattanLength() <= 2


@pytest.mark.parametrize("name", list(MODELS))
def test_fit_shows_all_nodes(view: GraphView, name: str) -> None:
    show(view, name)
    for size in ((860, 420), (500, 700)):
        view.resize(*size)
        QApplication.processEvents()
        room = view.viewport().rect()
        for item in view.scene_items.nodes.values():
            shown = view.mapFromScene(item.box).boundingRect()
            assert room.contains(shown), (name, item.name)


def test_new_aspect_lays_out_again_and_keeps_marks(view: GraphView) -> None:
    show(view, "densenet_bc_40_12")
    view.set_selected(LAYER)
    view.set_edits((Edit("scale", f"{LAYER}.concat", 1, 0.0),))
    before = view.placement
    view.resize(700, 600)
    QApplication.processEvents()
    assert view.placement != before
    assert view.paint_state.selected == LAYER
    assert view.scene_items.selected_arcs
    assert len(view.scene_items.selected_arcs.arcs) == 4
    assert has(near(pixels(view), cell(view, f"{LAYER}.concat", 1)), LIGHT.cut)
    view.zoom_by(2.0)
    zoomed = view.placement
    view.resize(860, 420)
    QApplication.processEvents()
    assert view.placement is zoomed, "the model must not jump after zooming in"
