"""Test shortened names, ticks and titles."""

import pytest
from matplotlib.figure import Figure

from lightning_resnets.analysis.plotting import (
    figure_title,
    finish_figure,
    set_block_ticks,
    set_integer_ticks,
    shorten_names,
)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["layer1.0", "layer1.1", "layer2.0"], ["layer1.0", "layer1.1", "layer2.0"]),
        (["layer3.0", "layer3.1"], ["layer3.0", "layer3.1"]),
        (
            [
                "features.conv0",
                "features.denseblock1.denselayer2",
                "features.transition1",
                "classifier",
            ],
            ["conv0", "block1.2", "transition1", "classifier"],
        ),
        (
            ["features.denseblock1.denselayer1", "features.denseblock2.denselayer1"],
            ["block1.1", "block2.1"],
        ),
        (["stages.0.blocks.1", "stages.1.blocks.0"], ["stages.0.blocks.1", "stages.1.blocks.0"]),
        (["a.x", "a.x.y", "x"], ["a.x", "a.x.y", "x"]),  # two would be one
        (["conv"], ["conv"]),
        ([], []),
    ],
)
def test_names_are_shortened(names: list[str], shown: list[str]) -> None:
    assert shorten_names(names) == shown


def test_as_many_ticks_as_fit() -> None:
    for count, shown in ((5, 5), (40, 40), (80, 40)):
        axes = Figure((8, 5)).subplots()
        set_block_ticks(axes, [f"layer{i}" for i in range(count)])
        assert len(axes.get_xticks()) == shown
    axes = Figure((8, 5)).subplots(1, 3)[2]
    set_integer_ticks(axes, 54)
    ticks = list(axes.get_xticks())
    assert ticks[0] == 0
    assert ticks[-1] == 54
    assert len(ticks) < 20


def test_title_has_models_and_image_count() -> None:
    assert figure_title("loss", ("a", "b"), 1000) == "a vs. b · loss · 1,000 images"
    assert figure_title("loss", ("a",), 1) == "a · loss · 1 image"
    figure = Figure((8, 5))
    plain, image = figure.subplots(1, 2)
    image.imshow([[0, 1]])
    finish_figure(figure, figure_title("loss", ("a",)))
    assert figure.get_suptitle() == "a · loss"
    assert not plain.spines["top"].get_visible()
    assert image.spines["top"].get_visible()
