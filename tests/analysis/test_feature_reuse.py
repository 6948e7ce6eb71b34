"""Compare weights with slices cut by hand, and torchvision with our DenseNet."""

import pytest
import torch
from torch import nn

from lightning_resnets.analysis.feature_reuse import (
    DenseBlockWeights,
    FeatureReuseResult,
    feature_reuse,
    mean_abs_weight_per_channel,
    relative_weights,
)
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.models.registry import create_model


def expected(
    model: nn.Module, block: int, depth: int, first: int, growth: int, behind: str
) -> list[list[float]]:
    """Cut slices from the weights: the input first, then each layer's `growth` channels."""
    state, columns = model.state_dict(), []
    names = [
        f"features.denseblock{block}.denselayer{layer}.conv1.weight"
        for layer in range(1, depth + 1)
    ]
    for layer, name in enumerate([*names, behind]):
        weight, column, start = state[name], [], 0
        for source in range(layer + 1):
            stop = start + (first if source == 0 else growth)
            values = [abs(v) for row in weight[:, start:stop].flatten(1).tolist() for v in row]
            column.append(sum(values) / len(values))
            start = stop
        assert start == weight.shape[1]
        columns.append(column)
    return columns


@pytest.mark.parametrize("name", ["densenet_bc_40_12", "densenet_40_12"])
def test_values_match_slices_of_weights(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name)
    found = feature_reuse(model).blocks
    bc = "bc" in name
    depth, width = (6, 24) if bc else (12, 16)
    assert [len(block.consumers) for block in found] == [depth + 1] * 3
    for number, block in enumerate(found, 1):
        behind = f"features.transition{number}.conv.weight" if number < 3 else "classifier.weight"
        columns = expected(model, number, depth, width, 12, behind)
        assert block.consumers[-1] == behind.removesuffix(".weight")
        for i, column in enumerate(columns):
            assert block.values[: i + 1, i].tolist() == pytest.approx(column, rel=1e-5)
            assert block.values[i + 1 :, i].isnan().all()
        width = (width + depth * 12) // (2 if bc else 1)


def test_sources_are_layer_names() -> None:
    first, second, _ = feature_reuse(create_model("densenet_bc_40_12")).blocks
    assert first.sources[:2] == ("features.conv0", "features.denseblock1.denselayer1.conv2")
    assert second.sources[0] == "features.transition1.conv"


@pytest.mark.slow
def test_torchvision_model_matches_ours() -> None:
    from torchvision.models import densenet121

    torch.manual_seed(0)
    theirs = densenet121(num_classes=10)
    ours = create_model("densenet121", num_classes=10)
    ours.load_state_dict(theirs.state_dict())
    size = (3, 64, 64)
    one, other = (
        feature_reuse(insert_merges(theirs, size), size).blocks,
        feature_reuse(ours, size).blocks,
    )
    assert [len(block.consumers) for block in one] == [7, 13, 25, 17]
    for a, b in zip(one, other, strict=True):
        assert (a.sources, a.consumers) == (b.sources, b.consumers)
        assert torch.equal(a.values.nan_to_num(-1), b.values.nan_to_num(-1))


def test_grouped_convolutions_use_their_own_channels() -> None:
    conv = nn.Conv2d(6, 4, 3, groups=2)
    dense = nn.Conv2d(6, 4, 3)
    with torch.no_grad():
        dense.weight.zero_()
        dense.weight[:2, :3], dense.weight[2:, 3:] = conv.weight[:2], conv.weight[2:]
    assert torch.allclose(
        mean_abs_weight_per_channel(conv), 2 * mean_abs_weight_per_channel(dense)
    )  # half of a dense one's filters read a channel


def test_model_is_unchanged_and_progress_reported() -> None:
    model, heard = create_model("densenet_bc_40_12").train(), list[tuple[int, int]]()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    feature_reuse(model, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    def stop(done: int, total: int) -> None:
        raise AnalysisCancelled

    with pytest.raises(AnalysisCancelled):
        feature_reuse(model, progress=stop)


def test_table_and_figure() -> None:
    from matplotlib.figure import Figure

    values = torch.tensor([[1.0, 2.0], [torch.nan, 4.0]], dtype=torch.float64)
    found = FeatureReuseResult(
        (DenseBlockWeights(("stem", "block.1"), ("block.1", "last"), values),)
    )
    assert found.tables()["feature_reuse"].csv() == (
        "model,block,source,target,mean_abs_weight,share_of_largest\n"
        "model,1,stem,block.1,1.0,1.0\nmodel,1,stem,last,2.0,0.5\nmodel,1,block.1,last,4.0,1.0\n"
    )
    figure = Figure((8, 5))
    found.draw(figure)
    figure.canvas.draw()
    assert figure.axes[0].get_title() == "dense block 1"


def test_every_target_layer_has_its_own_scale() -> None:
    """A classifier with large weights must not darken the rest of its block."""
    model = create_model("densenet_bc_40_12")
    with torch.no_grad():
        model.get_parameter("classifier.weight").mul_(1000)
    block = feature_reuse(model).blocks[-1]
    relative = relative_weights(block).nan_to_num(0)
    assert torch.equal(relative.amax(0), torch.ones(len(block.consumers), dtype=torch.float64))
    shares = block.values[:, 2] / block.values[:3, 2].max()
    torch.testing.assert_close(relative[:3, 2], shares[:3])


def test_target_layer_of_zeros_is_zero() -> None:
    values = torch.tensor([[0.0, 2.0], [torch.nan, 0.0]], dtype=torch.float64)
    block = DenseBlockWeights(("stem", "block.1"), ("block.1", "last"), values)
    assert relative_weights(block).nan_to_num(-1).tolist() == [[0.0, 1.0], [-1.0, 0.0]]


@pytest.mark.parametrize(
    ("name", "has"),
    [("resnet20", "add"), ("plain20", "none"), ("seresnet20", "add, gate")],
)
def test_model_without_dense_blocks_raises(name: str, has: str) -> None:
    with pytest.raises(
        AnalysisError, match=f"^The model has no dense block. Its skip connections: {has}.$"
    ):
        feature_reuse(create_model(name))
