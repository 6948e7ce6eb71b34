"""The graph by keyboard, and what screen readers hear."""

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui.graph import Edit
from gui.theme import LIGHT
from gui.views.graph.view import GraphView
from tests.helpers.graph_view import (
    center_of,
    has,
    near,
    pixels,
    show,
)

LAYER = "features.denseblock2.denselayer4"
Key = Qt.Key


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
