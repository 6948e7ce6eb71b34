"""Compare the surface with models whose weights are moved by hand, filter by filter."""

import copy
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from lightning_resnets.analysis.loss_landscape import (
    interpolate,
    loss_landscape,
)
from lightning_resnets.analysis.loss_surface import (
    random_direction,
    refine_surface,
    refinement_grids,
)
from lightning_resnets.analysis.result import LabeledImages
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from lightning_resnets.models.registry import create_model


@cache
def make_model(name: str = "resnet20") -> nn.Module:
    torch.manual_seed(1)
    return create_model(name).eval()


@cache
def make_images(count: int = 6) -> LabeledImages:
    torch.manual_seed(2)
    return LabeledImages(torch.randn(count, 3, 32, 32), torch.randint(0, 10, (count,)))


def by_hand(model: nn.Module, ways: list[tuple[int, float]], given: LabeledImages) -> float:
    """Move every filter and every row of the last layer, one by one, and return the loss."""
    moved = copy.deepcopy(model)
    for seed, step in ways:
        chance = torch.Generator().manual_seed(seed)
        for (name, weight), original in zip(
            moved.named_parameters(), model.parameters(), strict=True
        ):
            if name.endswith("bias") or ".bn" in f".{name}" or "norm" in name:
                continue
            noise = torch.randn(weight.shape, generator=chance)
            for number in range(len(weight)):
                length = (original[number] ** 2).sum().sqrt() / (noise[number] ** 2).sum().sqrt()
                weight.data[number] += step * noise[number] * length
    with torch.no_grad():
        return float(nn.functional.cross_entropy(moved(given.images), given.labels))


def test_losses_match_manually_moved_weights() -> None:
    line = loss_landscape(
        make_model(), make_images(), num_points=5, extent=0.5, dimensions=1, seed=3
    ).surfaces["ResNet"]
    for at, step in enumerate((-0.5, -0.25, 0.0, 0.25, 0.5)):
        assert line.loss[at] == pytest.approx(
            by_hand(make_model(), [(3, step)], make_images()), rel=1e-4
        )
    plane = loss_landscape(make_model(), make_images(), num_points=3, extent=0.5, seed=3).surfaces[
        "ResNet"
    ]
    assert plane.loss[0, 2] == pytest.approx(
        by_hand(make_model(), [(3, -0.5), (4, 0.5)], make_images()), rel=1e-4
    )
    assert plane.loss[2, 1] == pytest.approx(
        by_hand(make_model(), [(3, 0.5)], make_images()), rel=1e-4
    )


def test_direction_has_the_norm_of_each_filter() -> None:
    weights = [
        make_model().get_parameter("layer2.0.conv1.weight").detach(),
        make_model().get_parameter("fc.weight").detach(),
    ]
    for weight, way in zip(weights, random_direction(weights, 0), strict=True):
        torch.testing.assert_close(way.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1))


def test_scaled_filters_have_the_same_surface() -> None:
    """Section 4: scaling a filter before a batch norm must not change the surface."""
    scaled = copy.deepcopy(make_model())
    conv, norm = scaled.get_submodule("layer1.0.conv1"), scaled.get_submodule("layer1.0.bn1")
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(conv, nn.Conv2d)
    conv.weight.data *= 16
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean *= 16
    norm.running_var.copy_((norm.running_var + norm.eps) * 256 - norm.eps)
    one, other = (
        loss_landscape(model, make_images(), num_points=3, extent=0.5, dimensions=1)
        .surfaces["ResNet"]
        .loss
        for model in (make_model(), scaled)
    )
    np.testing.assert_allclose(one, other, rtol=1e-3)


def test_refinement_evaluates_each_point_once() -> None:
    heard: list[tuple[int, int]] = []
    seen = list(
        refine_surface(
            make_model(),
            make_images(2),
            num_points=9,
            dimensions=1,
            progress=lambda done, total: heard.append((done, total)),
        )
    )
    assert [round(surface.fraction_done * 9) for surface in seen] == [3, 5, 9]
    assert heard == [(done, 9) for done in range(1, 10)]
    for before, after in pairwise(seen):
        known = np.isfinite(before.error)
        np.testing.assert_array_equal(before.loss[known], after.loss[known])
    assert refinement_grids(11) == [[0, 5, 10], [0, 1, 3, 5, 7, 9, 10], list(range(11))]


def test_middle_is_the_model_itself() -> None:
    found = loss_landscape(
        make_model(),
        make_images(),
        make_model("plain20"),
        num_points=3,
        model_name="model",
        baseline_name="baseline",
    )
    with torch.no_grad():
        for name, model in (("model", make_model()), ("baseline", make_model("plain20"))):
            loss = nn.functional.cross_entropy(
                model(make_images().images).double(), make_images().labels
            )
            assert found.surfaces[name].loss[1, 1] == pytest.approx(float(loss), abs=1e-12)
    assert [row[0] for row in found.tables()["loss_landscape"].rows] == ["model"] * 9 + [
        "baseline"
    ] * 9
    figure = Figure()
    found.draw(figure)
    assert [axes.get_title().split()[0] for axes in figure.axes[:2]] == ["model", "baseline"]
    assert figure.axes[2].get_ylabel().startswith("mean cross-entropy")


def test_figure_of_one_direction() -> None:
    figure = Figure()
    loss_landscape(make_model(), make_images(2), num_points=3, dimensions=1).draw(figure)
    assert figure.axes[0].get_ylabel() == "mean cross-entropy"


def test_interpolation_goes_through_its_points() -> None:
    """A line is exact everywhere, a parabola inside, also at uneven positions."""
    x = np.array([-1.0, -0.5, 0.0, 0.75, 1.0])
    at = np.linspace(-1, 1, 41)
    np.testing.assert_allclose(interpolate(x, 3 * x[:, None] - 1, at)[:, 0], 3 * at - 1, atol=1e-12)
    inner = (at > -0.5) & (at < 0.75)
    np.testing.assert_allclose(
        interpolate(x, x[:, None] ** 2, at)[inner, 0], at[inner] ** 2, atol=1e-12
    )
    y = np.random.default_rng(0).random((5, 2))
    np.testing.assert_allclose(interpolate(x, y, x), y, atol=1e-12)


def test_invalid_input_raises() -> None:
    with pytest.raises(AnalysisError, match=r"^num_points must be an odd number from 3, got 4\.$"):
        loss_landscape(make_model(), make_images(), num_points=4)
    with pytest.raises(AnalysisError, match="no convolution and no linear layer"):
        loss_landscape(nn.Flatten(), make_images())
    with pytest.raises(
        AnalysisError,
        match=r"^The model has 10 classes \(labels 0 to 9\), got an image with label 1[0-9]\. ",
    ):
        loss_landscape(
            make_model(),
            LabeledImages(make_images().images, make_images().labels + 10),
            num_points=3,
        )


@pytest.mark.parametrize("stop", [False, True])
def test_model_is_unchanged(stop: bool) -> None:
    model = copy.deepcopy(make_model()).train()
    before = copy.deepcopy(model.state_dict())

    def progress(done: int, total: int) -> None:
        if stop and done == 2:
            raise AnalysisCancelled

    if stop:
        with pytest.raises(AnalysisCancelled):
            loss_landscape(model, make_images(2), num_points=3, dimensions=1, progress=progress)
    else:
        loss_landscape(model, make_images(2), num_points=3, dimensions=1, progress=progress)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
