"""Test the baseline, the untrained models and the images of an analysis."""

from pathlib import Path

import pytest
import torch

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.cli.analysis_inputs import load_analysis_images, plain_baseline_name
from lightning_resnets.data import cifar10_sample
from lightning_resnets.errors import AnalysisError
from lightning_resnets.models.registry import create_model
from lightning_resnets.preprocessing import preprocess
from tests.helpers.analysis_inputs import bundled_inputs


def test_images_are_preprocessed_as_the_model_card_says() -> None:
    card = load_checkpoint(resolve_checkpoint("resnet20")).card
    pixels, labels = cifar10_sample.load_sample("test")
    images = load_analysis_images(card, None, None, 1000)
    for index in (0, 499, 999):
        expected = preprocess(pixels[index], card.input_size, card.mean, card.std)[0]
        torch.testing.assert_close(images.images[index], expected, rtol=0, atol=0)
    assert images.labels.tolist() == labels.tolist()


def test_model_for_other_images_needs_a_dataset() -> None:
    card = load_checkpoint(resolve_checkpoint("resnet20")).card
    imagenet = type(card).from_dict({**card.to_dict(), "dataset": "imagenet"})
    with pytest.raises(AnalysisError, match=r"Missing --dataset: .* but the model is for imagenet"):
        load_analysis_images(imagenet, None, Path("anywhere"), 10)


@pytest.mark.parametrize(
    ("arch", "baseline"),
    [
        ("resnet56", "plain56"),
        ("seresnet20", "plain20"),
        ("preresnet110", "plain110"),
        ("resnet50", None),
        ("densenet_bc_40_12", None),
        ("plain20", None),
        ("wrn_16_8", None),
    ],
)
def test_baseline_is_the_plain_model_of_the_same_depth(arch: str, baseline: str | None) -> None:
    assert plain_baseline_name(arch) == baseline


def test_untrained_models_depend_on_the_seed_only() -> None:
    before = torch.get_rng_state()
    inputs = bundled_inputs("seresnet20", 2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(0)
    expected = create_model("seresnet20").state_dict()
    torch.set_rng_state(before)
    assert inputs.untrained is not None
    weights = inputs.untrained.state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in expected.items())
    assert inputs.untrained_baseline_name == "plain20"
