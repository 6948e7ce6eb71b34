"""Compare responses with recorded activations and one call of `std`."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.analysis.layer_responses import (
    BranchRatio,
    LayerResponsesResult,
    conv3x3_layers,
    layer_responses,
)
from lightning_resnets.analysis.result import LabeledImages
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from lightning_resnets.graph import trace
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.merges import Add
from lightning_resnets.models.registry import create_model
from tests.helpers.hooks import has_hooks

IMAGES = LabeledImages(
    torch.randn(7, 3, 16, 16, generator=torch.Generator().manual_seed(1)), torch.zeros(7).long()
)


def made(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, **options).eval()


def test_responses_match_recorded_activations() -> None:
    model = made("resnet20")
    found = layer_responses(model, IMAGES, batch_size=3)
    norms = ["bn1"] + [f"layer{s}.{b}.bn{n}" for s in (1, 2, 3) for b in range(3) for n in (1, 2)]
    adds = [f"layer{s}.{b}.add" for s in (1, 2, 3) for b in range(3)]
    with torch.no_grad(), record_activations(model, norms + adds) as seen:
        model(IMAGES.images)
    assert list(found.std_by_layer) == [name.replace("bn", "conv") for name in norms]
    for name in norms:
        expected = float(seen.outputs[name].double().std(correction=0))
        assert found.std_by_layer[name.replace("bn", "conv")] == pytest.approx(expected)
    for name in adds:
        ratios, cosines = [], []
        for x, branch in zip(*seen.operands[name], strict=True):
            ratios.append(float(branch.norm() / x.norm()))
            cosines.append(float((x * branch).sum() / x.norm() / branch.norm()))
        assert found.branch_ratios[name].ratio == pytest.approx(sum(ratios) / 7, rel=1e-5)
        assert found.branch_ratios[name].cosine == pytest.approx(
            sum(cosines) / 7, rel=1e-4, abs=1e-6
        )


@pytest.mark.parametrize(
    ("name", "count", "points"),
    [
        ("resnet50", 16, {"layer1.0.conv2": "layer1.0.bn2"}),
        ("plain20", 19, {"conv1": "bn1", "layer3.2.conv2": "layer3.2.bn2"}),
        ("wrn_16_8", 13, {"layer1.0.conv1": "layer1.0.bn2", "layer1.0.conv2": "layer1.0.conv2"}),
        (
            "densenet_bc_40_12",
            19,
            {"features.denseblock1.denselayer1.conv2": "features.denseblock1.denselayer1.conv2"},
        ),
    ],
)
def test_hook_point_is_the_batch_norm(name: str, count: int, points: dict[str, str]) -> None:
    found = conv3x3_layers(trace(create_model(name), (3, 64, 64)))
    assert len(found) == count
    assert {layer: found[layer] for layer in points} == points


def test_baseline_is_measured_alike() -> None:
    model, baseline = made("resnet20"), made("plain20")
    found = layer_responses(model, IMAGES, baseline)
    assert found.baseline_std == layer_responses(baseline, IMAGES).std_by_layer
    assert found.std_by_layer == layer_responses(model, IMAGES).std_by_layer
    assert layer_responses(baseline, IMAGES).branch_ratios == {}


@pytest.mark.slow
def test_torchvision_model_has_the_same_responses() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    theirs, few = (
        resnet18(num_classes=10).eval(),
        LabeledImages(torch.randn(2, 3, 64, 64), torch.arange(2)),
    )
    ours = create_model("resnet18", num_classes=10).eval()
    ours.load_state_dict(theirs.state_dict())
    one, other = (
        layer_responses(insert_merges(theirs, (3, 64, 64)), few),
        layer_responses(ours, few),
    )
    assert one == other


def test_shortcut_may_be_the_second_operand() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.add = nn.Conv2d(3, 3, 3, padding=1), Add()

        def forward(self, x: Tensor) -> Tensor:
            return self.add(self.conv(x), x)

    torch.manual_seed(0)
    model = Turned()
    with torch.no_grad():
        branch, x = model.conv(IMAGES.images).flatten(1), IMAGES.images.flatten(1)
    expected = float((branch.norm(dim=1) / x.norm(dim=1)).mean())
    assert layer_responses(model, IMAGES).branch_ratios["add"].ratio == pytest.approx(expected)


def test_cancel_leaves_the_model_unchanged() -> None:
    model, heard = made("resnet20").train(), list[tuple[int, int]]()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def stop(done: int, total: int) -> None:
        heard.append((done, total))
        if done == 2:
            raise AnalysisCancelled

    with pytest.raises(AnalysisCancelled):
        layer_responses(model, IMAGES, batch_size=2, progress=stop)
    assert heard == [(0, 4), (1, 4), (2, 4)]
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not has_hooks(model)


def test_tables_and_figure() -> None:
    from matplotlib.figure import Figure

    found = LayerResponsesResult(
        {"conv1": 1.5, "conv2": 0.5}, {"add": BranchRatio(0.25, -0.5)}, {"conv1": 2.0}
    )
    assert found.tables()["layer_responses"].csv() == (
        "model,layer,depth,std\nmodel,conv1,1,1.5\nmodel,conv2,2,0.5\nbaseline,conv1,1,2.0\n"
    )
    assert found.tables()["adds"].csv() == "model,add,depth,ratio,cosine\nmodel,add,1,0.25,-0.5\n"
    figure = Figure((8, 5))
    found.draw(figure)
    figure.canvas.draw()
    assert [axes.get_ylabel() for axes in figure.axes][2:] == [
        "|F(x)| / |x|",
        "cosine of F(x) and x",
    ]


def test_model_without_3x3_convolutions_raises() -> None:
    with pytest.raises(
        AnalysisError,
        match=r"^The model has no 3x3 convolution\. Its operations: conv 1x1, input, ",
    ):
        layer_responses(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), IMAGES)
