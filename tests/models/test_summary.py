"""Test the counts of the built-in models against the papers and torchvision."""

import pytest
from torch import nn

from lightning_resnets.models.published_results import PUBLISHED_RESULTS
from lightning_resnets.models.registry import MODELS
from lightning_resnets.models.summary import build_uninitialized, summarize_model


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
        if "authors" not in result.source:
            assert 1 < result.error < 50
            assert "arXiv" in result.source
