"""Color scale of a figure: from the ground to an accent, the same for the merge and its block."""

import pytest
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from gui.colormaps import hex_to_rgb
from gui.measures import MeasureValues
from gui.theme import DARK, LIGHT, Theme
from gui.views.graph.node_scale import NodeScale
from gui.views.graph.view import GraphView
from tests.helpers.fake_engine import diagram


def distance(a: str, b: str) -> int:
    return sum(abs(x - y) for x, y in zip(hex_to_rgb(a), hex_to_rgb(b), strict=True))


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_larger_values_are_further_from_the_ground(theme: Theme) -> None:
    scale = NodeScale(MeasureValues("std", {"a": 0.0, "b": 1.0, "c": 2.0}))
    steps = [distance(theme.panel, scale.color(name, theme) or "") for name in "abc"]
    assert steps[0] == 0
    assert steps[0] < steps[1] < steps[2]


def test_the_sign_has_its_own_accent() -> None:
    scale = NodeScale(MeasureValues("cosine", {"a": -0.5, "b": 0.5}))
    below, above = (scale.color(name, LIGHT) for name in "ab")
    assert below != above
    assert scale.samples(3, LIGHT) == [
        scale.color_of(-1.0, LIGHT),
        LIGHT.panel,
        scale.color_of(1.0, LIGHT),
    ]


def test_a_block_has_the_color_of_its_merge() -> None:
    values = {"layer1.0.add": 0.25, "layer1.1": 1.0, "layer1.1.add": 0.5}
    scale = NodeScale(MeasureValues("branch_ratio", values, {"layer1.0.add": "note"}))
    assert scale.color("layer1.0", LIGHT) == scale.color("layer1.0.add", LIGHT)
    assert scale.color("layer1.1", LIGHT) != scale.color("layer1.1.add", LIGHT)
    assert scale.describe("layer1.0") == ["|F| / |x| 0.25", "note"]
    assert scale.color("layer1.0.conv1", LIGHT) is None
    assert scale.describe("fc") == []


def test_values_that_are_not_finite_are_drawn() -> None:
    scale = NodeScale(MeasureValues("std", {"a": float("nan"), "b": float("inf"), "c": 1.0}))
    assert scale.color("a", LIGHT) == LIGHT.panel
    assert scale.color("b", LIGHT) == scale.color("c", LIGHT)


def test_the_legend_names_figure_and_ends() -> None:
    assert NodeScale(MeasureValues("macs", {"a": 1500.0})).legend_text() == "MACs: 0 to 1,500"


def test_the_graph_is_painted_in_the_colors_and_plain_again(qtbot: QtBot) -> None:
    view = GraphView()
    qtbot.addWidget(view)
    view.set_theme(LIGHT)
    view.resize(1200, 500)
    view.show()
    view.set_graph(diagram())
    box = view.scene_items.nodes["conv1"].box

    def color() -> QColor:
        view.finish_painting()
        # Inside the outline, above the text.
        at = view.mapFromScene(box.center().x(), box.top() + box.height() / 6)
        return view.viewport().grab().toImage().pixelColor(at)

    plain = color()
    values = MeasureValues("std", {"conv1": 2.0, "fc": 1.0})
    view.set_colors(values)
    assert color() == QColor(NodeScale(values).color("conv1", LIGHT) or "")
    assert ("scale", "standard deviation: 0 to 2") in view.legend.entries(view.graph)
    assert view.describe("conv1", None).endswith("standard deviation 2")
    view.set_colors(None)
    assert color() == plain
