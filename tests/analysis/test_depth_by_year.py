"""Check the winners of ILSVRC and their figure."""

import itertools
import json

from matplotlib.figure import Figure

from lightning_resnets.analysis.depth_by_year import depth_by_year
from lightning_resnets.models.registry import create_model


def test_entries_have_depth_error_and_source() -> None:
    """The bars of He's talk: 8 layers 16.4 %, 8 11.7 %, 19 7.3 %, 22 6.7 %, 152 3.57 %."""
    found = depth_by_year(create_model("resnet56"), model_name="resnet56")
    rows = json.loads(found.tables()["depth_by_year"].json())
    bars = {row["name"]: (row["year"], row["layers"], row["top5_error"]) for row in rows}
    assert bars["AlexNet"] == (2012, 8, 16.4)
    assert bars["ZFNet"] == (2013, 8, 11.7)
    assert bars["VGG-19"] == (2014, 19, 7.3)
    assert bars["GoogLeNet"] == (2014, 22, 6.7)
    assert bars["ResNet-152"] == (2015, 152, 3.57)
    assert bars["SENet-154"] == (2017, 154, 2.25)
    assert all(row["source"] for row in rows)
    by_name = {row["name"]: row for row in rows}
    assert by_name["ResNet-152"]["parameters"] == 60_192_808
    assert by_name["ZFNet"]["parameters"] is None
    assert found.tables()["model"].rows == (("resnet56", 56),)
    check_figure(found)


def test_without_a_model_no_line_is_drawn() -> None:
    found = depth_by_year()
    assert list(found.tables()) == ["depth_by_year"]
    figure = Figure((10, 6.5), layout="compressed")
    found.draw(figure)
    assert not figure.axes[0].lines
    assert figure.get_suptitle().startswith("layers and error")


def check_figure(found: object) -> None:
    """Check that every bar is named and no text overlaps another."""
    figure = Figure((10, 6.5), layout="compressed")
    found.draw(figure)  # type: ignore[attr-defined]
    figure.canvas.draw()
    depths, errors = figure.axes
    words = [text.get_text() for text in depths.texts]
    assert "152 layers" in words
    assert "resnet56: 56 layers" in words
    assert [text.get_text() for text in errors.texts][2] == "16.4 %"
    for axes in (depths, errors):
        boxes = [text.get_window_extent() for text in axes.texts]
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
