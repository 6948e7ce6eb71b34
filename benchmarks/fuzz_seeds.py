"""Valid files of every format, from which the fuzzer makes damaged ones; always the same bytes."""

import io
import json
import pickle
import tempfile
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import nn

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
LEGACY = {"_use_new_zipfile_serialization": False}
IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")


class Small(nn.Module):
    """A model with all that a pickle of one may contain."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.bn1 = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2)


def _card() -> dict[str, Any]:
    """Return the model card of a resnet20."""
    return {
        "arch": "resnet20",
        "class_names": [str(index) for index in range(10)],
        "input_size": (3, 32, 32),
        "mean": (0.5,) * 3,
        "std": (0.5,) * 3,
    }


def save_bytes(value: Any, **options: Any) -> bytes:
    """Return the bytes that torch.save writes.

    Args:
        value: anything.
        **options: passed to torch.save.
    """
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def _npz(save: Callable[..., None]) -> bytes:
    """Return the bytes of an .npz file."""
    file = io.BytesIO()
    save(file, **{"conv1/weight": np.ones((4, 3, 3, 3), "f4"), "fc": np.zeros((2, 4))})
    return file.getvalue()


def _image(form: str) -> bytes:
    """Return the bytes of an image."""
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def _distributed(state: dict[str, Any]) -> dict[str, bytes]:
    """Return the files of a distributed checkpoint by name."""
    import torch.distributed.checkpoint as dcp

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # One process needs no group.
        warnings.simplefilter("ignore")
        dcp.save(state, checkpoint_id=folder, no_dist=True)  # type: ignore[attr-defined]
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _model() -> nn.Module:
    """Return the same model every time, without changing torch's random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Small()


def companion_files() -> dict[str, bytes]:
    """Return files that lie beside the fuzzed ones: shards of an index, pieces of a metadata.

    Returns:
        Bytes by name.
    """
    weights = _model().state_dict()
    files = _distributed({"state_dict": weights, "epoch": 3})
    del files[".metadata"]
    names = list(weights)
    for number, shard in enumerate(SHARDS):
        part = {name: weights[name] for name in names[number::2]}
        files[shard] = safetensors.torch.save(part)
    return files


@cache
def valid_files() -> Mapping[str, bytes]:
    """Return one valid file of every format, by its name.

    Returns:
        Names with the ending that the format has, and bytes.
    """
    from lightning_resnets import create_model

    model = _model()
    weights = model.state_dict()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = create_model("resnet20").state_dict()
    arrays = {name: weight.numpy() for name, weight in weights.items()}
    index = {"weight_map": dict(zip(weights, SHARDS * len(weights), strict=False))}
    files = {
        "card.ckpt": save_bytes({"state_dict": state, "card": _card()}),
        "zip.pth": save_bytes({"state_dict": weights, "epoch": 3, "args": {"lr": 0.1}}),
        "legacy.pth": save_bytes({"state_dict": weights, "epoch": 3}, **LEGACY),
        "module.pth": save_bytes(model),
        "legacy-module.pth": save_bytes(model, **LEGACY),
        "a.safetensors": safetensors.torch.save(weights, {"card": json.dumps(_card())}),
        "a.npz": _npz(np.savez),
        "packed.npz": _npz(np.savez_compressed),
        "arrays.pkl": pickle.dumps(arrays, 4),
        "latin.pkl": pickle.dumps(arrays, 2),
        "model.safetensors.index.json": json.dumps(index).encode(),
        ".metadata": _distributed({"state_dict": weights, "epoch": 3})[".metadata"],
    }
    files |= {f"image.{form.lower()}": _image(form) for form in IMAGE_FORMATS}
    return files
