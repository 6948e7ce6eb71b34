"""Color scale of a figure: from the ground to an accent, the same for the merge and its block."""

import pytest

from gui.colormaps import hex_to_rgb
from gui.measures import MeasureValues
from gui.theme import DARK, LIGHT, Theme
from gui.views.graph.node_scale import NodeScale


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
