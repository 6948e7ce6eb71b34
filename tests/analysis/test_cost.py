"""Compare counts with torchinfo and the papers, and the bottleneck with its published numbers."""

from functools import cache

import pytest
from matplotlib.figure import Figure
from torch import nn
from torchinfo import summary

from lightning_resnets.analysis.accuracy_vs_cost import bundled_points, family, pareto_front
from lightning_resnets.analysis.cost import COMPARISON_MODELS, bottleneck, cost, count_layers
from lightning_resnets.checkpoint.bundled import bundled_checkpoints
from lightning_resnets.checkpoint.load import read_card
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from lightning_resnets.models.published_results import PUBLISHED_RESULTS
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
    assert all(row[2] == row[1] * 56 * 56 for row in rows.values())


def test_formulas_evaluate_to_their_totals() -> None:
    for one in count_layers(make_model("seresnet20"), (3, 32, 32)):
        product, total = one.formula.split(" = ")
        assert eval(product.replace("·", "*")) == int(total.replace(",", "")) == one.parameters


def test_points_have_published_and_measured_errors() -> None:
    """Huang et al. 2017, table 2: DenseNet-BC (100, 12) has 0.8M; Zagoruyko: WRN-16-8 11.0M."""
    found = cost(make_model("resnet20"), models=["resnet110", "densenet_bc_100_12", "wrn_16_8"])
    points = {point.model: point for point in found.points if point.source != "measured"}
    assert round(points["densenet_bc_100_12"].parameters / 1e6, 1) == 0.8
    assert round(points["wrn_16_8"].parameters / 1e6, 1) == 11.0
    assert round(points["resnet110"].parameters / 1e6, 1) == 1.7
    assert points["resnet110"].error == PUBLISHED_RESULTS["resnet110"].error
    own = [point for point in found.points if point.source == "measured"]
    assert {point.model for point in own} >= {"resnet20", "densenet_bc_40_12"}
    cards = [read_card(path) for path in bundled_checkpoints().values()]
    errors = {card.arch: 100 * card.metrics["test_error"] for card in cards}
    assert {point.model: point.error for point in bundled_points()} == pytest.approx(errors)
    assert not {point.model for point in found.points} & set(COMPARISON_MODELS)


def test_pareto_front_is_not_beaten() -> None:
    points = cost(
        make_model("resnet20"), models=["resnet20", "resnet110", "resnet56", "densenet_40_12"]
    ).points
    published = [point for point in points if point.source != "measured"]
    slow = [
        p
        for p in published
        if not any(q.parameters < p.parameters and q.error <= p.error for q in published)
    ]
    assert pareto_front(points, "parameters") == slow
    assert family("seresnet50") == "SE"
    assert family("preresnet110") == "pre-activation"


@pytest.mark.slow
def test_every_published_model_of_a_size_is_a_point() -> None:
    found = cost(make_model("resnet20"))
    assert {"resnet110", "wrn_28_10", "densenet_100_24"} <= {point.model for point in found.points}
    assert "resnet50" not in {point.model for point in found.points}


def test_tables_and_figure() -> None:
    found = cost(make_model("resnet20"), models=["resnet20", "densenet_40_12"])
    tables = found.tables()
    assert list(tables) == ["cost", "bottleneck", "comparison"]
    assert tables["cost"].rows[0][:3] == ("ResNet", "conv1", "conv1")
    assert [row[2] for row in tables["cost"].rows[1:4]] == [
        "layer1.0",
        "layer1.0",
        "layer1.1",
    ]
    assert tables["cost"].rows[0][7:] == ("3·3·3·16 = 432", "432·1,024 = 442,368")
    figure = Figure()
    found.draw(figure)
    words = ["", "weights of a block", "MACs per image", "parameters"]
    assert [axes.get_xlabel() for axes in figure.axes] == words
    left, right = ({text.get_text() for text in axes.texts} for axes in figure.axes[2:])
    assert "densenet_40_12" in left
    assert "ResNet" in left  # at a line, its error being unknown
    assert left == right


def test_analyzed_model_with_known_error_is_a_point() -> None:
    found = cost(make_model("resnet20"), models=["resnet20"], test_error=8.5, model_name="mine")
    assert found.model_point[:1] + found.model_point[2:5] == ("mine", 269_722, 40_551_040, 8.5)
    figure = Figure()
    found.draw(figure)
    assert all("mine" in [text.get_text() for text in axes.texts] for axes in figure.axes[2:])


def test_invalid_models_and_cancel_raise() -> None:
    with pytest.raises(
        AnalysisError,
        match=r"^'resnet21' has no published error\. Models with one: resnet20, ",
    ):
        cost(make_model("resnet20"), models=["resnet21"])

    def progress(done: int, total: int) -> None:
        raise AnalysisCancelled

    with pytest.raises(AnalysisCancelled):
        cost(make_model("resnet20"), models=["resnet20"], progress=progress)
