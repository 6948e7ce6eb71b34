"""Checkpoints of other projects open with the logits, or without a head the features, of theirs."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint.load import LoadedCheckpoint, load_checkpoint
from tests.helpers.third_party_checkpoints import CASES, Case

# Tolerance of the largest difference, relative to the largest value.
TOLERANCE = 1e-4

# ResNet-50s whose files take seconds to write and to read.
SLOW = (
    "detectron2 msra blobs",
    "detectron2 msra blobs, flat",
    "detectron2 from torchvision",
    "detectron2 detector",
    "paddle resnet50",
    "moco v2",
    "dino training",
    "torchvision fcn",
    "torchvision faster r-cnn",
    "mmpretrain seresnet50",
    "timm headless seresnet50",
    "spark resnet50",
    "dino backbone",
)

# Heads that are not a chain of linear layers: the bodies open without them.
HEADLESS = ("fastai resnet34",)


def relative_difference(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


def pooled_features(model: nn.Module, image: Tensor) -> Tensor:
    """Return the global mean of the last feature map."""
    caught = list[Tensor]()
    pool = [layer for layer in model.modules() if isinstance(layer, nn.AdaptiveAvgPool2d)][-1]
    handle = pool.register_forward_hook(lambda _, args, output: caught.append(output.flatten(1)))
    model(image)
    handle.remove()
    return caught[0]


def assert_same(loaded: LoadedCheckpoint, case: Case, is_headless: bool) -> None:
    with torch.no_grad():
        outputs = loaded.model(case.image)
        features = pooled_features(loaded.model, case.image)
    assert relative_difference(features, case.features) < TOLERANCE
    if is_headless:
        assert loaded.card.class_names == ()
        assert torch.equal(outputs, features)
        assert any("feature extractor" in note for note in loaded.notes)
    else:
        assert case.logits is not None
        assert len(loaded.card.class_names) == case.logits.shape[1]
        assert relative_difference(outputs, case.logits) < TOLERANCE


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CASES]
)
def test_checkpoints_of_other_projects_open(name: str, tmp_path: Path) -> None:
    case = CASES[name]()
    loaded = load_checkpoint(case.save(tmp_path / "a.pth"))
    assert_same(loaded, case, case.logits is None or name in HEADLESS)
