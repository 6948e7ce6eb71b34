"""Analysis inputs of a bundled model, and a loss landscape that is quick to compute."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from lightning_resnets.analysis import registry
from lightning_resnets.analysis.labeled_images import LabeledImages
from lightning_resnets.analysis.registry import AnalysisInputs
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


def shrink_loss_landscape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the registry compute the loss on 3 x 3 points instead of 11 x 11."""
    original: Callable[..., Any] = registry.loss_landscape

    def small(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs, num_points=3)

    monkeypatch.setattr(registry, "loss_landscape", small)
