"""Analysis inputs of a bundled model, and analyses that are quick to compute."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from lightning_resnets.analysis.labeled_images import LabeledImages
from lightning_resnets.analysis.registry import ANALYSES, AnalysisInputs
from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.cli.analysis_inputs import make_analysis_inputs
from lightning_resnets.data import cifar10_sample
from lightning_resnets.preprocessing import preprocess


def bundled_inputs(name: str, count: int = 12) -> AnalysisInputs:
    """Return a bundled model and the first test images of the sample."""
    loaded = load_checkpoint(resolve_checkpoint(name))
    card = loaded.card
    pixels, labels = cifar10_sample.load_sample("test")
    images = [preprocess(image, card.input_size, card.mean, card.std) for image in pixels[:count]]
    labeled = LabeledImages(torch.cat(images), torch.tensor(labels[:count]))
    return make_analysis_inputs(loaded, None, labeled)


def shrink_slow_analyses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute the loss on 3 x 3 points instead of 11 x 11, and compare with one model only."""
    for name, kwargs in {
        "loss_landscape": {"num_points": 3},
        "accuracy_vs_cost": {"models": ["resnet20"]},
    }.items():
        original = ANALYSES[name]
        small = replace(original, function=partial(original.function, **kwargs))
        monkeypatch.setitem(ANALYSES, name, small)
