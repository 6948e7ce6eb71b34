"""Loaded models can be trained and explained with gradients; those for inference are frozen."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.convert import serialize
from lightning_resnets.checkpoint.load import load_checkpoint, load_model

# Files without a card are read as possibly another model too.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Identified as:lightning_resnets.errors.CheckpointWarning"
)


@pytest.fixture(params=[".ckpt", ".safetensors", ".pth", ".npz"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a checkpoint of every format, with half-precision weights in one of them."""
    loaded = load_checkpoint(resolve_checkpoint("resnet20"))
    path = tmp_path / f"model{request.param}"
    if request.param == ".npz":
        arrays = {name: value.numpy() for name, value in loaded.model.state_dict().items()}
        np.savez(path, **arrays)
    else:
        is_half = request.param == ".pth"
        path.write_bytes(serialize(loaded.model, loaded.card, request.param, is_half))
    return path


def test_loaded_model_is_fine_tuned(checkpoint: Path) -> None:
    content = checkpoint.read_bytes()
    model, _ = load_model(checkpoint)
    assert not model.training
    assert all(weight.requires_grad for weight in model.parameters())
    optimizer = torch.optim.SGD(model.train().parameters(), lr=0.01, momentum=0.9)
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8)
    losses = list[float]()
    for _ in range(5):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    # Weights may be mapped from the file, which must stay as it is.
    assert checkpoint.read_bytes() == content
    first = load_checkpoint(checkpoint).model.get_parameter("conv1.weight")
    assert not torch.equal(first, model.get_parameter("conv1.weight"))


def test_gradients_reach_the_last_block(checkpoint: Path) -> None:
    model, _ = load_model(checkpoint)
    model(torch.randn(1, 3, 32, 32))[0, 3].backward()
    gradient = model.get_parameter("layer3.2.conv2.weight").grad
    assert gradient is not None
    assert gradient.abs().max() > 0


def test_frozen_on_request_and_for_inference(checkpoint: Path) -> None:
    model, _ = load_model(checkpoint, trainable=False)
    assert not any(weight.requires_grad for weight in model.parameters())
    loaded = load_checkpoint(checkpoint)
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
