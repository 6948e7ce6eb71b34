"""Compare counts with torchinfo and the papers, and the bottleneck with its published numbers."""

from functools import cache

import pytest
from matplotlib.figure import Figure
from torch import nn
from torchinfo import summary

from lightning_resnets.analysis.cost import bottleneck, cost, count_layers
from lightning_resnets.models.registry import create_model
from lightning_resnets.models.residual_blocks import Bottleneck


@cache
def make_model(name: str) -> nn.Module:
    return create_model(name).eval()


@pytest.mark.parametrize("name", ["resnet20", "seresnet20", "densenet_bc_40_12", "highway19"])
def test_layer_counts_match_torchinfo(name: str) -> None:
    theirs = summary(make_model(name), (1, 3, 32, 32), verbose=0, depth=9)
    kinds = (nn.Conv2d, nn.Linear)
    expected = [(one.layer_id, one) for one in theirs.summary_list if isinstance(one.module, kinds)]
    ours = count_layers(make_model(name), (3, 32, 32))
    by_module = {id(make_model(name).get_submodule(one.name)): one for one in ours}
    assert len(ours) == len(expected)
    for _, one in expected:
        found = by_module[id(one.module)]
        assert found.parameters == one.num_params
        biases = (
            found.out_channels * found.output_positions if found.has_bias else 0
        )  # torchinfo counts a bias as a multiply-add
        assert one.macs in (found.macs, found.macs + biases, found.macs + found.out_channels)


def test_bottleneck_weights_are_exact() -> None:
    """He et al. 2015, figure 5; 256 channels: 70K against 590K of one 3x3, 1.18M of two."""
    rows = {row[0]: row for row in bottleneck(256).rows}
    counts = {name: row[1] for name, row in rows.items()}
    assert counts == {
        "bottleneck 256→64→64→256": 69_632,
        "one 3x3 at 256": 589_824,
        "two 3x3 at 256": 1_179_648,
        "two 3x3 at 64": 73_728,
    }
    block = Bottleneck(256, 64)
    assert (
        sum(part.weight.numel() for part in block.modules() if isinstance(part, nn.Conv2d))
        == 69_632
    )
    one, two = nn.Conv2d(256, 256, 3, bias=False), nn.Conv2d(64, 64, 3, bias=False)
    assert (one.weight.numel(), 2 * two.weight.numel()) == (589_824, 73_728)
    assert all(row[2] == int(row[1] or 0) * 56 * 56 for row in rows.values())


def test_formulas_evaluate_to_their_totals() -> None:
    for one in count_layers(make_model("seresnet20"), (3, 32, 32)):
        product, total = one.formula.split(" = ")
        assert eval(product.replace("·", "*")) == int(total.replace(",", "")) == one.parameters


def test_tables_and_figure() -> None:
    found = cost(make_model("resnet20"))
    tables = found.tables()
    assert list(tables) == ["cost", "bottleneck"]
    assert tables["cost"].rows[0][:3] == ("ResNet", "conv1", "conv1")
    assert [row[2] for row in tables["cost"].rows[1:4]] == [
        "layer1.0",
        "layer1.0",
        "layer1.1",
    ]
    assert tables["cost"].rows[0][7:] == ("3·3·3·16 = 432", "432·1,024 = 442,368")
    figure = Figure()
    found.draw(figure)
    labels = ["", "weights of a bottleneck, and of blocks to compare it with"]
    assert [axes.get_xlabel() for axes in figure.axes] == labels
    assert figure.get_suptitle() == "ResNet · cost of convolutions and linear layers by block"
