"""Check the points of the comparison against papers and cards, and that its figure is readable."""

import itertools
import math
import random
from functools import cache

import pytest
from matplotlib.figure import Figure
from torch import nn

from lightning_resnets.analysis.accuracy_vs_cost import AccuracyVsCostResult, accuracy_vs_cost
from lightning_resnets.analysis.comparison_points import (
    ANALYZED,
    MEASURED,
    PUBLISHED,
    SLOW_MODELS,
    TEN_CROP,
    ModelPoint,
    bundled_points,
    comparable_results,
    family,
    pareto_front,
)
from lightning_resnets.analysis.label_placement import Mark, place_labels
from lightning_resnets.checkpoint.bundled import bundled_checkpoints
from lightning_resnets.checkpoint.load import read_card
from lightning_resnets.cli.analysis_files import FIGURE_SIZE_INCHES
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from lightning_resnets.models.published_results import PUBLISHED_RESULTS
from lightning_resnets.models.registry import create_model
from lightning_resnets.utils.skip_init import skip_init


@cache
def make_model(name: str) -> nn.Module:
    with skip_init():
        return create_model(name).eval()


def test_points_have_published_and_measured_errors() -> None:
    """Huang et al. 2017, table 2: DenseNet-BC (100, 12) has 0.8M; Zagoruyko: WRN-16-8 11.0M."""
    models = ["resnet110", "densenet_bc_100_12", "wrn_16_8"]
    found = accuracy_vs_cost(make_model("resnet20"), models=models)
    points = {point.model: point for point in found.points if point.kind == PUBLISHED}
    assert round(points["densenet_bc_100_12"].parameters / 1e6, 1) == 0.8
    assert round(points["wrn_16_8"].parameters / 1e6, 1) == 11.0
    assert round(points["resnet110"].parameters / 1e6, 1) == 1.7
    assert points["resnet110"].error == PUBLISHED_RESULTS["resnet110"].error
    own = [point for point in found.points if point.kind == MEASURED]
    assert {point.model for point in own} >= {"resnet20", "densenet_bc_40_12"}
    assert all(point.label.endswith(" (measured)") for point in own)
    cards = [read_card(path) for path in bundled_checkpoints().values()]
    errors = {card.arch: 100 * card.metrics["test_error"] for card in cards}
    assert {point.model: point.error for point in bundled_points()} == pytest.approx(errors)


def test_imagenet_models_are_compared_under_one_protocol() -> None:
    results = comparable_results(is_small=False)
    expected = {"alexnet", "vgg16", "vgg19", "vgg16_bn", "vgg19_bn", "googlenet", "inception_v3"}
    expected |= {f"resnet{depth}" for depth in (18, 34, 50, 101, 152)}
    expected |= {f"densenet{depth}" for depth in (121, 161, 169, 201, 264)}
    expected |= {"seresnet50", "seresnet101", "seresnet152", "seresnext50_32x4d", "senet154"}
    assert expected <= results.keys()
    ten_crop = {name for name, result in results.items() if "10-crop" in result.source}
    assert ten_crop == {"plain18", "plain34"}
    names = ["alexnet", "plain18", "inception_resnet_v2"]
    found = accuracy_vs_cost(make_model("resnet18"), (3, 224, 224), models=names)
    protocols = [point.protocol for point in found.points]
    assert protocols == ["1-crop, 224×224", TEN_CROP, "1-crop, 299×299"]


def test_pareto_front_is_not_beaten() -> None:
    models = ["resnet20", "resnet110", "resnet56", "densenet_40_12"]
    points = accuracy_vs_cost(make_model("resnet20"), models=models).points
    published = [point for point in points if point.kind == PUBLISHED]
    expected = [
        p for p in published if not any(q.macs < p.macs and q.error <= p.error for q in published)
    ]
    assert pareto_front(points) == expected
    assert family("seresnet50") == family("senet154") == "SE"
    assert family("preresnet110") == "pre-activation"


def make_result(count: int, seed: int, own_error: float) -> AccuracyVsCostResult:
    """Return points as dense as those of the published models."""
    rng = random.Random(seed)
    points: list[ModelPoint] = []
    for index in range(count):
        macs = int(math.exp(rng.gauss(math.log(6e9), 0.8)))
        error = 17 + math.exp(rng.gauss(1.6, 0.5))
        kind = MEASURED if index % 7 == 0 else PUBLISHED
        protocol = TEN_CROP if index % 11 == 0 else "1-crop"
        parameters = int(math.exp(rng.gauss(math.log(4e7), 0.8)))
        point = ModelPoint(
            f"model{index}_32x4d", "ResNet", parameters, macs, error, kind, protocol, ""
        )
        points.append(point)
    own = ModelPoint("mine", "SE", 25_000_000, 5 * 10**9, own_error, ANALYZED, "1-crop", "mine")
    return AccuracyVsCostResult(tuple(points), "ImageNet", own)


def check_names(figure: Figure, labels: list[str]) -> None:
    """Check that each label is there once, and that none overlaps another or leaves the axes."""
    figure.canvas.draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    named = [text for text in texts if "unknown" not in text.get_text()]
    assert sorted(text.get_text() for text in named) == sorted(labels)
    boxes = [text.get_window_extent() for text in texts]
    for one, other in itertools.combinations(boxes, 2):
        # Rounding to pixels may make neighbors touch.
        width = min(one.x1, other.x1) - max(one.x0, other.x0)
        height = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert width < 1.5 or height < 1.5
    area = figure.axes[0].get_window_extent()
    for box in (text.get_window_extent() for text in named):
        assert box.x0 > area.x0 - 1
        assert box.x1 < area.x1 + 1


@pytest.mark.parametrize("own_error", [22.0, math.nan])
@pytest.mark.parametrize("seed", range(3))
def test_every_mark_is_named_without_overlap(seed: int, own_error: float) -> None:
    result = make_result(36, seed, own_error)
    figure = Figure(FIGURE_SIZE_INCHES, layout="compressed")
    result.draw(figure)
    labels = [point.label for point in result.points]
    check_names(figure, labels if math.isnan(own_error) else [*labels, "mine"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "image_size", "error"), [("resnet20", 32, 8.0), ("resnet50", 224, None)]
)
def test_all_published_models_are_named(name: str, image_size: int, error: float | None) -> None:
    size = (3, image_size, image_size)
    found = accuracy_vs_cost(make_model(name), size, test_error=error, model_name=name)
    published = [point.model for point in found.points if point.kind == PUBLISHED]
    assert {*published, *SLOW_MODELS} >= comparable_results(image_size == 32).keys()
    figure = Figure(FIGURE_SIZE_INCHES, layout="compressed")
    found.draw(figure)
    measured = [p.label for p in found.points if p.kind == MEASURED and p.model != name]
    check_names(figure, [*published, *measured] + ([name] if error else []))


def test_area_is_proportional_to_parameters() -> None:
    figure = Figure(FIGURE_SIZE_INCHES)
    result = make_result(5, 0, math.nan)
    result.draw(figure)
    circles = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    sizes = [line.get_markersize() for line in circles[:5]]
    shares = [
        point.parameters / max(p.parameters for p in result.points) for point in result.points
    ]
    assert [(size / max(sizes)) ** 2 for size in sizes] == pytest.approx(shares)
    faces = [line.get_markerfacecolor() for line in circles[:5]]
    assert [face == "none" for face in faces] == [p.kind == PUBLISHED for p in result.points]


def test_names_avoid_marks_and_a_line() -> None:
    figure = Figure((6, 4))
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 10)
    marks = [Mark(f"name {index}", 4 + index % 3, 4 + index // 3, 10) for index in range(9)]
    areas = place_labels(axes, marks, line=6.5)
    line = 72 * 6 * (0.1 + 0.8 * 0.65)
    for area in areas:
        assert not area.left < line < area.right
        for mark in marks:
            x = 72 * 6 * (0.1 + 0.08 * mark.x)
            y = 72 * 4 * (0.1 + 0.08 * mark.y)
            nearest = (min(max(x, area.left), area.right), min(max(y, area.bottom), area.top))
            assert math.dist((x, y), nearest) >= 10 - 1e-6


def test_table_has_the_analyzed_model_last() -> None:
    found = accuracy_vs_cost(
        make_model("resnet20"), models=["resnet20"], test_error=8.5, model_name="mine"
    )
    table = found.tables()["accuracy_vs_cost"]
    assert table.columns == ModelPoint._fields
    assert table.rows[-1][0] == "mine"
    assert table.rows[-1][2:6] == (269_722, 40_551_040, 8.5, ANALYZED)
    assert {row[5] for row in table.rows} == {PUBLISHED, MEASURED, ANALYZED}
    figure = Figure(FIGURE_SIZE_INCHES)
    found.draw(figure)
    assert "mine" in [text.get_text() for text in figure.axes[0].texts]


def test_without_a_model_only_the_others_are_compared() -> None:
    found = accuracy_vs_cost(models=["resnet20"])
    kinds = {point.kind for point in found.points}
    assert kinds == {PUBLISHED, MEASURED}
    assert found.tables()["accuracy_vs_cost"].rows == tuple(map(tuple, found.points))
    figure = Figure(FIGURE_SIZE_INCHES)
    found.draw(figure)
    check_names(figure, [point.label for point in found.points])
    assert figure.get_suptitle().startswith("error on CIFAR-10")


def test_invalid_models_and_cancel_raise() -> None:
    with pytest.raises(
        AnalysisError,
        match=r"^'resnet50' has no published error on images of this size\. Models with one: resn",
    ):
        accuracy_vs_cost(make_model("resnet20"), models=["resnet50"])

    def progress(done: int, total: int) -> None:
        raise AnalysisCancelled

    with pytest.raises(AnalysisCancelled):
        accuracy_vs_cost(make_model("resnet20"), models=["resnet20"], progress=progress)
