"""Figures of nodes from the engine against the library and the window that shows them."""

from dataclasses import replace

import numpy as np
import pytest

from gui.engine.engine import Engine
from gui.graph import Edit
from gui.measures import MEASURES, block_nodes, default_measure
from lightning_resnets.interactive.model import InteractiveModel
from tests.helpers.engine import PIXELS, make_request

CUT = Edit("scale", "layer2.1.add", 1, 0.0)


@pytest.mark.parametrize("arch", ["resnet20", "seresnet20", "densenet_bc_40_12"])
@pytest.mark.parametrize("measure", [measure.name for measure in MEASURES])
def test_every_measure_of_every_family_has_known_nodes_and_finite_values(
    real_engine: Engine, models: dict[str, str], arch: str, measure: str
) -> None:
    request = replace(make_request(models[arch]), strip_measure=measure, color_measure=measure)
    result = real_engine.run(request)
    assert result.model
    assert result.strip
    assert result.strip.name == measure
    names = {node.name for node in result.model.diagram.nodes}
    assert names >= set(result.strip.values)
    assert names >= set(result.strip.notes)
    assert np.isfinite(list(result.strip.values.values())).all()
    assert result.colors == result.strip


def test_the_default_measure_has_a_value_for_every_addition(
    real_engine: Engine, models: dict[str, str]
) -> None:
    result = real_engine.run(make_request(models["resnet20"]))
    assert result.model
    assert result.strip
    assert result.colors is None
    assert result.strip.name == default_measure(result.model.diagram) == "branch_ratio"
    adds = [node.name for node in result.model.diagram.nodes if node.kind == "add"]
    assert list(result.strip.values) == adds


def test_a_cut_branch_has_the_ratio_zero(real_engine: Engine, models: dict[str, str]) -> None:
    result = real_engine.run(make_request(models["resnet20"], None, CUT))
    assert result.strip
    assert result.strip.values["layer2.1.add"] == 0.0


def test_gradient_norms_are_those_of_the_library(
    real_engine: Engine, models: dict[str, str]
) -> None:
    request = replace(make_request(models["resnet20"]), strip_measure="gradient")
    result = real_engine.run(request)
    opened = InteractiveModel.open(models["resnet20"])
    expected = opened.gradients(PIXELS, ["layer1.0.add"]).gradients["layer1.0.add"]
    assert result.strip
    assert result.strip.values["layer1.0.add"] == pytest.approx(np.linalg.norm(expected), rel=1e-5)


def test_the_head_says_the_prediction_after_the_last_block(
    real_engine: Engine, models: dict[str, str]
) -> None:
    result = real_engine.run(replace(make_request(models["resnet20"]), strip_measure="head"))
    assert result.model
    assert result.strip
    assert result.probabilities is not None
    last = [node.name for node in block_nodes(result.model.diagram) if node.kind == "add"][-1]
    assert result.strip.values[last] == pytest.approx(result.probabilities.max())
    best = result.model.class_names[int(result.probabilities.argmax())]
    assert result.strip.notes[last].startswith(f"says {best}, ")


def test_measures_without_an_image_are_empty(real_engine: Engine, models: dict[str, str]) -> None:
    result = real_engine.run(replace(make_request(models["resnet20"]), image=None))
    assert result.strip is None
