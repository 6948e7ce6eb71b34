"""Graph view: clicks, menus and keys become signals; edits and selection are drawn."""

import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from gui.graph import Edit, Graph
from gui.theme import DARK, LIGHT, Theme
from gui.views.graph.edge_items import MergeInputItem
from gui.views.graph.node_items import NodeItem
from gui.views.graph.view import GraphView
from tests.helpers.graph_builder import MODELS
from tests.helpers.graph_view import (
    along,
    cell,
    center_of,
    color_fraction,
    has,
    menu,
    near,
    pixels,
    show,
)

LAYER = "features.denseblock2.denselayer4"
Key = Qt.Key


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


@pytest.mark.parametrize("name", list(MODELS))
def test_another_model_replaces_all_items(view: GraphView, name: str) -> None:
    show(view, name)
    show(view, "plain20")
    everywhere = view.content
    items = list(view.scene_items.visible(everywhere))
    assert len([item for item in items if isinstance(item, NodeItem)]) == 14
    assert not [item for item in items if isinstance(item, MergeInputItem)]


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
