"""Graph view: clicks, menus and keys become signals; edits and selection are drawn."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QContextMenuEvent, QImage, QPainter, QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui.graph import Edit, Graph
from gui.theme import DARK, LIGHT, Theme
from gui.views.graph.edge_items import MergeInputItem
from gui.views.graph.node_items import NodeItem
from gui.views.graph.view import GraphView
from tests.helpers.graph_builder import MODELS

LAYER = "features.denseblock2.denselayer4"
Key = Qt.Key


@pytest.fixture
def view(qtbot: QtBot) -> GraphView:
    result = GraphView()
    qtbot.addWidget(result)
    result.resize(860, 420)
    result.show()
    qtbot.waitExposed(result)
    return result


def show(view: GraphView, name: str) -> Graph:
    view.set_graph(MODELS[name])
    return MODELS[name]


def center_of(view: GraphView, node: str) -> QPoint:
    """Return the middle of a node in pixels of the viewport."""
    return view.mapFromScene(view.scene_items.nodes[node].box.center())


def along(view: GraphView, merge: str, operand: int, fraction: float = 0.5) -> QPoint:
    """Return a point on the line of a merge input."""
    return view.mapFromScene(
        view.scene_items.merge_inputs[merge, operand].path.pointAtPercent(fraction)
    )


def cell(view: GraphView, merge: str, operand: int) -> QPoint:
    """Return the middle of a cell of a dense block."""
    cells = [
        c
        for m in view.placement.matrices
        for c in m.cells
        if (c.merge, c.operand) == (merge, operand)
    ]
    return view.mapFromScene(QPointF(*cells[0].rect.center))


def menu(view: GraphView, at: QPoint) -> None:
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, view.viewport().mapToGlobal(at))
    QApplication.sendEvent(view.viewport(), event)


def pixels(view: GraphView) -> np.ndarray:
    """Return what the view paints, (H, W, 4) uint8."""
    image = QImage(view.size(), QImage.Format.Format_RGB32)
    painter = QPainter(image)
    view.render(painter)
    painter.end()
    return (
        np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4).copy()
    )


def near(image: np.ndarray, at: QPoint, reach: int = 7) -> np.ndarray:
    y, x = at.y(), at.x()
    return image[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]


def color_fraction(image: np.ndarray, color: str) -> float:
    """Return the fraction of an image that has a color of the theme."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return float((np.abs(image[..., :3].astype(int) - (blue, green, red)).max(-1) < 12).mean())


def has(image: np.ndarray, color: str) -> bool:
    return color_fraction(image, color) > 0


@pytest.mark.parametrize("name", ["resnet20", "seresnet20", "densenet_bc_40_12", "inception"])
def test_click_on_a_node_picks_it(qtbot: QtBot, view: GraphView, name: str) -> None:
    for node in show(view, name).nodes:
        with qtbot.waitSignal(view.picked) as picked:
            qtbot.mouseClick(
                view.viewport(), Qt.MouseButton.LeftButton, pos=center_of(view, node.name)
            )
        assert picked.args == [node.name]


@pytest.mark.parametrize("name", ["resnet20", "resnet110", "resnet152"])
def test_right_click_near_an_arc_requests_its_menu(
    qtbot: QtBot, view: GraphView, name: str
) -> None:
    diagram = show(view, name)
    for skip in diagram.skips[:: max(1, len(diagram.skips) // 9)]:
        at = along(view, skip.merge, skip.operand, 0.35) + QPoint(0, -4)
        with qtbot.waitSignal(view.skip_menu_requested) as requested:
            menu(view, at)
        assert requested.args == [skip.merge, skip.operand, view.viewport().mapToGlobal(at)]


def test_gate_inputs_and_branches_have_menus(qtbot: QtBot, view: GraphView) -> None:
    show(view, "seresnet20")
    gate, add = "layer1.1.se.gate", "layer1.1.add"
    places = {
        (gate, 0): along(view, gate, 0),
        (gate, 1): center_of(view, gate),
        (add, 1): along(view, add, 1),
        (add, 0): center_of(view, add),
    }
    for (merge, operand), at in places.items():
        with qtbot.waitSignal(view.skip_menu_requested) as requested:
            menu(view, at)
        assert list(requested.args or ())[:2] == [merge, operand]


def test_click_on_empty_canvas_does_nothing(qtbot: QtBot, view: GraphView) -> None:
    show(view, "resnet20")
    with qtbot.assertNotEmitted(view.skip_menu_requested), qtbot.assertNotEmitted(view.picked):
        menu(view, QPoint(800, 60))
        qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(800, 60))


def test_click_on_a_cell_toggles_its_cut(qtbot: QtBot, view: GraphView) -> None:
    diagram = show(view, "densenet_bc_40_12")
    for skip in diagram.skips:
        with qtbot.waitSignal(view.cut_toggled) as toggled:
            qtbot.mouseClick(
                view.viewport(), Qt.MouseButton.LeftButton, pos=cell(view, skip.merge, skip.operand)
            )
        assert toggled.args == [skip.merge, skip.operand]


def test_hover_over_a_cell_names_source_and_consumer(qtbot: QtBot, view: GraphView) -> None:
    show(view, "densenet_bc_40_12")
    with qtbot.waitSignal(view.hovered) as hovered:
        qtbot.mouseMove(view.viewport(), cell(view, f"{LAYER}.concat", 2))
    assert hovered.args == ["denseblock2.denselayer2 → denseblock2.denselayer4 · concatenated"]
    assert view.paint_state.hovered == {"features.denseblock2.denselayer2", f"{LAYER}.concat"}
    with qtbot.waitSignal(view.hovered) as left:
        qtbot.mouseMove(view.viewport(), QPoint(2, 2))
    assert left.args == [""]


def test_cut_skip_has_a_gap_and_a_cross(view: GraphView) -> None:
    show(view, "resnet20")
    middle = along(view, "layer1.1.add", 0)
    assert not has(near(pixels(view), middle), LIGHT.cut)
    view.set_edits((Edit("scale", "layer1.1.add", 0, 0.0),))
    assert view.scene_items.merge_inputs["layer1.1.add", 0].is_cut
    assert not view.scene_items.merge_inputs["layer1.2.add", 0].is_cut
    after = pixels(view)
    assert has(near(after, middle, 9), LIGHT.cut)
    assert not has(near(after, middle, 9), LIGHT.add), "there is a gap around the cross"
    view.set_edits(())
    assert not has(near(pixels(view), middle), LIGHT.cut)


def test_scaled_skip_is_thinner(view: GraphView) -> None:
    show(view, "resnet20")
    item = view.scene_items.merge_inputs["layer1.1.add", 0]
    full = item.width()
    view.set_edits((Edit("scale", "layer1.1.add", 0, 0.4),))
    assert item.width() < full
    assert item.pen(item.width()).color().alphaF() < 1
    view.set_edits((Edit("scale", "layer1.1.add", 0, 1.6),))
    assert item.width() > full


def test_shortcut_and_branch_are_equally_wide(view: GraphView) -> None:
    show(view, "resnet20")
    assert (
        view.scene_items.merge_inputs["layer1.1.add", 0].width()
        == view.scene_items.merge_inputs["layer1.1.add", 1].width()
    )


def test_constant_gate_is_hollow(view: GraphView) -> None:
    show(view, "seresnet20")
    gate, before = "layer1.0.se.gate", pixels(view)
    view.set_edits((Edit("hold", gate, 1, 1.0),))
    after = pixels(view)
    at = center_of(view, gate)
    assert color_fraction(near(before, at, 9), LIGHT.gate_tint) > 0.15
    assert color_fraction(near(after, at, 9), LIGHT.gate_tint) < 0.05
    assert (
        near(after, center_of(view, "layer1.1.se.gate"))
        == near(before, center_of(view, "layer1.1.se.gate"))
    ).all()


def test_cut_cell_and_removed_block_are_marked(view: GraphView) -> None:
    show(view, "densenet_bc_40_12")
    view.set_edits((Edit("scale", f"{LAYER}.concat", 1, 0.0), Edit("drop", LAYER, 0, 0.0)))
    assert has(near(pixels(view), cell(view, f"{LAYER}.concat", 1)), LIGHT.cut)
    assert view.scene_items.nodes[LAYER].is_dropped


def test_selected_dense_layer_shows_its_arcs(view: GraphView) -> None:
    show(view, "densenet_bc_40_12")
    fan = view.scene_items.selected_arcs
    assert fan
    assert fan.arcs == ()
    view.set_selected(LAYER)
    assert [(arc.merge, arc.operand) for arc in fan.arcs] == [
        (f"{LAYER}.concat", i) for i in range(4)
    ]
    view.set_selected(None)
    assert fan.arcs == ()


@pytest.mark.parametrize(
    "name", ["resnet20", "seresnet20", "densenet_bc_40_12", "inception", "resnet152"]
)
def test_arrow_keys_reach_every_node(qtbot: QtBot, view: GraphView, name: str) -> None:
    diagram = show(view, name)
    view.setFocus()
    reached, todo = set(), [diagram.nodes[0].name]
    while todo:
        here = todo.pop()
        reached.add(here)
        for key in (Key.Key_Right, Key.Key_Left, Key.Key_Up, Key.Key_Down):
            view.paint_state.cursor = here
            qtbot.keyClick(view, key)
            assert view.paint_state.cursor
            if view.paint_state.cursor not in reached and view.paint_state.cursor not in todo:
                todo.append(view.paint_state.cursor)
    assert reached == {node.name for node in diagram.nodes}


def test_enter_picks_and_up_goes_to_the_projection(qtbot: QtBot, view: GraphView) -> None:
    show(view, "resnet20")
    view.set_selected("layer2.0.add")
    qtbot.keyClick(view, Key.Key_Up)
    assert view.paint_state.cursor == "layer2.0.downsample"
    for key in (Key.Key_Return, Key.Key_Space):
        with qtbot.waitSignal(view.picked) as picked:
            qtbot.keyClick(view, key)
        assert picked.args == ["layer2.0.downsample"]


def test_one_of_many_inputs_can_be_cut_by_key(qtbot: QtBot, view: GraphView) -> None:
    show(view, "densenet_bc_40_12")
    view.set_selected(f"{LAYER}.concat")
    for operand in (0, 1, 2):
        qtbot.keyClick(view, Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
        assert view.paint_state.hovered_input == (f"{LAYER}.concat", operand)
    with qtbot.waitSignal(view.cut_toggled) as toggled:
        qtbot.keyClick(view, Key.Key_Delete)
    assert toggled.args == [f"{LAYER}.concat", 2]
    assert "denselayer2 → denseblock2.denselayer4" in view.accessibleDescription()


def test_menu_key_requests_the_menu_of_the_merge(qtbot: QtBot, view: GraphView) -> None:
    show(view, "seresnet20")
    view.set_selected("layer1.0.se.gate")
    with qtbot.waitSignal(view.skip_menu_requested) as requested:
        event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(0, 0), QPoint(0, 0))
        QApplication.sendEvent(view.viewport(), event)
    assert list(requested.args or ())[:2] == ["layer1.0.se.gate", 1]


def test_accessible_description_names_the_cursor(qtbot: QtBot, view: GraphView) -> None:
    assert view.accessibleName() == "Graph of the model"
    show(view, "seresnet20")
    assert view.accessibleDescription() == "43 blocks in 3 stages, 9 additive skips, 9 gates."
    view.set_selected("layer1.0")
    assert view.accessibleDescription().startswith("layer1.0 · 2 × conv 3×3 · 16×32×32")
    view.set_selected("layer1.0.add")
    view.set_edits((Edit("scale", "layer1.0.add", 0, 0.0),))
    assert view.accessibleDescription().endswith("operand 0 cut")


def test_keyboard_focus_is_drawn(qtbot: QtBot, view: GraphView) -> None:
    show(view, "resnet20")
    view.paint_state.cursor = "layer2.1"
    view.paint_state.focused = False
    without = pixels(view)
    view.paint_state.focused = True
    assert not has(near(without, center_of(view, "layer2.1"), 70), LIGHT.focus)
    assert has(near(pixels(view), center_of(view, "layer2.1"), 70), LIGHT.focus)


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


@pytest.mark.parametrize("name", list(MODELS))
def test_another_model_replaces_all_items(view: GraphView, name: str) -> None:
    diagram = show(view, name)
    assert len(view.scene().items()) <= 6 * len(diagram.nodes)
    show(view, "plain20")
    assert len([item for item in view.scene().items() if isinstance(item, NodeItem)]) == 14
    assert not [item for item in view.scene().items() if isinstance(item, MergeInputItem)]


def test_unreadable_text_is_not_drawn(monkeypatch: pytest.MonkeyPatch, view: GraphView) -> None:
    show(view, "resnet20")
    drawn: list[float] = []
    text = NodeItem.draw_text
    monkeypatch.setattr(
        NodeItem,
        "draw_text",
        lambda self, painter, zoom: (drawn.append(zoom), text(self, painter, zoom)),
    )
    pixels(view)
    assert len(drawn) > 10
    drawn.clear()
    view.zoom_by(0.3 / view.zoom)
    pixels(view)
    assert drawn == []


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("name", ["resnet20", "seresnet20", "densenet_bc_40_12"])
def test_graph_uses_theme_colors(view: GraphView, theme: Theme, name: str) -> None:
    show(view, name)
    view.set_theme(theme)
    image = pixels(view)
    assert has(image, theme.panel)
    kinds = {skip.kind for skip in MODELS[name].skips}
    assert has(image, theme.add) == ("add" in kinds)
    assert has(image, theme.gate) == ("gate" in kinds)


def test_relative_change_is_drawn_below_its_block(view: GraphView) -> None:
    show(view, "resnet20")
    foot = center_of(view, "layer2.1") + QPoint(
        -30, int(view.scene_items.nodes["layer2.1"].box.height() * view.zoom / 2) + 3
    )
    assert not has(near(pixels(view), foot, 4), LIGHT.cut)
    view.set_values({"layer2.1": 0.9})
    assert has(near(pixels(view), foot, 4), LIGHT.cut)


def test_contribution_changes_the_area_of_its_cell(view: GraphView) -> None:
    show(view, "densenet_bc_40_12")
    merge = f"{LAYER}.concat"
    corner = cell(view, merge, 1) + QPoint(-8, -8)
    full = near(pixels(view), corner, 2).copy()
    view.set_values({(merge, 0): 1.0, (merge, 1): 0.1})
    assert (near(pixels(view), corner, 2) != full).any()


def test_empty_view_accepts_all_input(qtbot: QtBot, view: GraphView) -> None:
    view.set_selected("missing")
    view.set_edits((Edit("scale", "missing", 0, 0.0),))
    view.fit()
    for key in (Key.Key_Right, Key.Key_Return, Key.Key_Delete, Key.Key_F):
        qtbot.keyClick(view, key)
    menu(view, QPoint(100, 100))
    view.set_graph(Graph())
    assert pixels(view).any()
