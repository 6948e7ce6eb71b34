"""Checkpoints with random weights and requests for tests of the engine."""

from pathlib import Path

import numpy as np
import torch

from gui.graph import Edit
from gui.state import ImageInput, Request
from lightning_resnets.checkpoint import ModelCard
from lightning_resnets.models.registry import create_model

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


def save_checkpoint(folder: Path, arch: str) -> str:
    """Save a checkpoint with random weights whose batch norms are not identities."""
    torch.manual_seed(0)
    model = create_model(arch)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    card = ModelCard(
        arch=arch,
        class_names=CLASSES,
        input_size=(3, 32, 32),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        dataset="cifar10",
    )
    path = folder / f"{arch}.ckpt"
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": weights, "card": card.to_dict()}, path)
    return str(path)


IMAGE = ImageInput("noise", pixels=PIXELS)


def make_request(model: str, selected: str | None = None, *edits: Edit) -> Request:
    return Request(checkpoint=model, image=IMAGE, selected=selected, edits=edits)
