"""Test the counts of the built-in models against the papers and torchvision."""

import re

import pytest
import torchvision
from torch import nn

from lightning_resnets.models.ilsvrc import CHALLENGE_ENTRIES
from lightning_resnets.models.published_results import PUBLISHED_RESULTS
from lightning_resnets.models.registry import MODELS
from lightning_resnets.models.single_crop_results import SINGLE_CROP_RESULTS, TORCHVISION_ERRORS
from lightning_resnets.models.summary import build_uninitialized, summarize_model

SLOW = {"resnet1202", "plain1202", "preresnet1001", "densenet_bc_250_24"}


@pytest.mark.parametrize(
    ("name", "parameters", "giga_macs", "error"),
    [
        ("resnet50", 25_557_032, 4.089, 24.7),
        ("resnet152", 60_192_808, 11.514, 23.0),
        ("densenet161", 28_681_000, 7.728, 22.33),
        ("seresnet110", 1_742_200, 0.2529, None),
        ("resnet110", 1_727_962, 0.2529, 6.43),
    ],
)
def test_counts_are_those_of_the_papers_and_torchvision(
    name: str, parameters: int, giga_macs: float, error: float | None
) -> None:
    summary = summarize_model(name)
    assert summary.parameters == parameters
    assert summary.macs / 1e9 == pytest.approx(giga_macs, abs=6e-4)
    assert (summary.published and summary.published.error) == error


def test_uninitialized_model_has_the_number_of_classes_asked_for() -> None:
    for num_classes in (None, 7):
        classifier = build_uninitialized("resnet20", num_classes).get_submodule("fc")
        assert isinstance(classifier, nn.Linear)
        assert classifier.out_features == (num_classes or 10)


def test_published_results_belong_to_models() -> None:
    assert PUBLISHED_RESULTS.keys() <= MODELS.keys()
    for result in PUBLISHED_RESULTS.values():
        assert 1 < result.error < 50
        assert "arXiv" in result.source or "authors" in result.source


@pytest.mark.parametrize(
    ("name", "error", "note"),
    [
        ("resnet34", 24.52, "shortcut B, as here"),
        ("resnet18", 27.88, "the paper's shortcut A; with B, as here, 30.43 %"),
        ("resnet50", 24.7, "with the stride in the 3x3, as here, 24.01 %"),
        ("resnet110", 6.43, "best of 5 runs; mean 6.61 ± 0.16 %"),
        ("highway19", 7.54, "mean 7.72 ± 0.16 %"),
        ("preresnet164", 5.46, "median of 5 runs"),
        ("wide_resnet50_2", 21.9, ""),
        ("resnext50_32x4d", 22.2, ""),
        ("resnext101_32x4d", 21.2, ""),
        ("resnext101_64x4d", 20.4, ""),
        ("densenet264", 22.15, ""),
        ("senet154", 18.68, ""),
    ],
)
def test_published_error_is_of_this_model_or_its_note_says_so(
    name: str, error: float, note: str
) -> None:
    assert PUBLISHED_RESULTS[name].error == error
    assert note in PUBLISHED_RESULTS[name].note


@pytest.mark.parametrize("name", sorted(TORCHVISION_ERRORS))
def test_single_crop_errors_are_those_that_torchvision_publishes(name: str) -> None:
    weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]  # type: ignore[index]
    accuracy = weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    assert SINGLE_CROP_RESULTS[name].error == pytest.approx(100 - accuracy, abs=0.006)


def test_single_crop_errors_of_the_papers_are_their_published_results() -> None:
    """Other protocols (10-crop) must not slip into the comparison."""
    for name in SINGLE_CROP_RESULTS.keys() - TORCHVISION_ERRORS.keys():
        assert SINGLE_CROP_RESULTS[name] == PUBLISHED_RESULTS[name]
        assert "10-crop" not in SINGLE_CROP_RESULTS[name].source


# Where a name counts otherwise: wide ResNets count the three projections but not the classifier,
# and DenseNet-264 has 2 (6 + 12 + 64 + 48) + 5 layers.
OTHER_DEPTHS = {"wrn_16_8": 14, "sewrn_16_8": 14, "wrn_28_10": 26, "densenet264": 265}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
        for name in MODELS
        if re.search(r"net_?(bc_)?\d+|wrn|vgg|highway|plain", name)
    ],
)
def test_depth_is_the_number_in_the_name(name: str) -> None:
    numbers = re.findall(r"\d+", name)
    assert summarize_model(name).depth == OTHER_DEPTHS.get(name, int(numbers[0]))


def test_depth_of_models_without_a_number() -> None:
    """Krizhevsky et al. 2012: 8 layers; Szegedy et al. 2014: 22."""
    assert summarize_model("alexnet").depth == 8
    assert summarize_model("googlenet").depth == 22


def test_challenge_entries_have_the_depth_of_their_models() -> None:
    for entry in CHALLENGE_ENTRIES:
        if entry.model:
            assert summarize_model(entry.model).depth == entry.layers
    errors = [entry.top5_error for entry in CHALLENGE_ENTRIES]
    assert errors == sorted(errors, reverse=True)
