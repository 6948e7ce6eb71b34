"""Compare autocorrelations with numpy and gradients with a derivative by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.analysis.result import LabeledImages
from lightning_resnets.analysis.shattered_gradients import (
    ShatteredGradientsResult,
    autocorrelation,
    input_gradients,
    interpolate_images,
    shattered_gradients,
)
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from lightning_resnets.graph import trace_nodes
from lightning_resnets.models.registry import create_model

IMAGES = LabeledImages(
    torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1)), torch.zeros(3).long()
)


def test_autocorrelation_matches_numpy() -> None:
    series = torch.randn(20, 5, generator=torch.Generator().manual_seed(0)).cumsum(0)
    whole = np.zeros(20)
    for column in (series - series.mean(0)).double().T.numpy():
        whole += np.correlate(column, column, "full")[19:]
    assert autocorrelation(series, 10).tolist() == pytest.approx(
        list(whole[:11] / whole[0]), rel=1e-4, abs=1e-6
    )


def test_autocorrelation_of_noise_and_line() -> None:
    noise = torch.randn(64, 2000, generator=torch.Generator().manual_seed(0))
    assert autocorrelation(noise, 8)[1:].abs().max() < 0.03
    assert autocorrelation(torch.linspace(0, 1, 64)[:, None], 1)[1] > 0.95


class Waves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.conv(x))


def test_gradients_match_the_derivative() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Waves(), nn.Flatten())
    line = interpolate_images(*torch.randn(2, 3, 2, 2), 9)
    assert torch.equal(line[0], interpolate_images(line[0], line[-1], 5)[0])
    torch.testing.assert_close(line[4], (line[0] + line[8]) / 2)
    found = input_gradients(model, trace_nodes(model, (3, 2, 2)), line, seed=7)["0"]
    along = torch.randn(4, 2, 2, generator=torch.Generator().manual_seed(7))
    weight = model[0].conv.weight[:, :, 0, 0].detach()
    inner = torch.einsum("oi,tihw->tohw", weight, line)
    expected = torch.einsum("oi,tohw->tihw", weight, along * inner.cos()).flatten(1)
    torch.testing.assert_close(found, expected)


def test_plain_model_shatters_more_with_depth() -> None:
    torch.manual_seed(0)
    found = shattered_gradients(
        create_model("resnet20"), IMAGES, create_model("plain20"), num_points=32
    )
    assert found.baseline_curves
    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)]
    assert list(found.curves) == list(found.baseline_curves) == blocks
    assert all(curve[0] == 1 and len(curve) == 17 for curve in found.curves.values())
    first, last = found.baseline_curves["layer1.0"][1], found.baseline_curves["layer3.2"][1]
    assert last < first - 0.1
    assert found.curves["layer3.2"][1] > last


def test_same_seed_same_curves_and_model_unchanged() -> None:
    torch.manual_seed(0)
    model = create_model("resnet20").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    one, other = (shattered_gradients(model, IMAGES, num_points=8, seed=3) for _ in range(2))
    assert one == other
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(weight.grad is None for weight in model.parameters())

    def stop(done: int, total: int) -> None:
        if done:
            raise AnalysisCancelled

    with pytest.raises(AnalysisCancelled):
        shattered_gradients(model, IMAGES, num_points=8, progress=stop)
    assert all(
        m.training and m.track_running_stats
        for m in model.modules()
        if isinstance(m, nn.BatchNorm2d)
    )


def test_table_and_figure() -> None:
    from matplotlib.figure import Figure

    found = ShatteredGradientsResult({"layer1": (1.0, 0.5)}, {"layer1": (1.0, 0.25)}, 0.5)
    assert found.tables()["shattered_gradients"].csv() == (
        "model,block,depth,lag,autocorrelation\n"
        "model,layer1,1,0,1.0\nmodel,layer1,1,1,0.5\nbaseline,layer1,1,0,1.0\nbaseline,layer1,1,1,0.25\n"
    )
    figure = Figure((8, 5))
    found.draw(figure)
    figure.canvas.draw()
    assert figure.axes[0].get_ylabel() == "autocorrelation of the input gradient"


def test_invalid_input_raises() -> None:
    model = create_model("resnet20")
    with pytest.raises(
        AnalysisError, match=r"^At least 2 images and 4 points are required, got 1 and 64\.$"
    ):
        shattered_gradients(model, LabeledImages(IMAGES.images[:1], IMAGES.labels[:1]))
    with pytest.raises(AnalysisError, match="no block of several layers"):
        shattered_gradients(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), IMAGES)
