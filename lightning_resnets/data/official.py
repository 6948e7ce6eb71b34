"""The official CIFAR-10 files, python or binary layout, checked by MD5 before they are read; torch and numpy alone.

Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images.
"""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

PYTHON = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
BINARY = {
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}
LAYOUTS = {"cifar-10-batches-py": PYTHON, "cifar-10-batches-bin": BINARY}

Pictures = tuple[Tensor, Tensor]  # (N, 3, 32, 32) uint8, (N,) int64


class DataError(ValueError):
    """Data that is missing or not what it should be; its text is one sentence that names the remedy."""


def layout(root: Path) -> Path | None:
    """The folder in `root` (or `root` itself) that holds the official files, python or binary; None without one."""
    for name, files in LAYOUTS.items():
        for folder in (root / name, root):
            if all((folder / file).is_file() for file in files):
                return folder
    return None


def checked(path: Path, md5: str) -> bytes:
    """The file's bytes; raises DataError where their MD5 is not the official one."""
    raw = path.read_bytes()
    if hashlib.md5(raw, usedforsecurity=False).hexdigest() != md5:
        raise DataError(f"{path} is not the official CIFAR-10 file (its MD5 differs): remove it and fetch it again.")
    return raw


def parse(raw: bytes, binary: bool) -> Pictures:
    """Records of one official file. The python layout is a pickle: call this on checked bytes alone."""
    if binary:
        records = np.frombuffer(raw, np.uint8).reshape(-1, 3073)
        labels, pixels = records[:, 0], records[:, 1:]
    else:
        batch = pickle.loads(raw, encoding="bytes")  # noqa: S301 - the MD5 of these bytes is the official one
        labels, pixels = np.asarray(batch[b"labels"], np.uint8), batch[b"data"]
    images = torch.from_numpy(np.array(pixels)).view(-1, 3, 32, 32)
    return images, torch.from_numpy(labels.astype(np.int64))


def read(folder: Path) -> tuple[Pictures, Pictures]:
    """The official 50,000 training and 10,000 test pictures, every file checked by MD5."""
    parts = files(folder, 0)
    train = torch.cat([images for images, _ in parts[:5]]), torch.cat([labels for _, labels in parts[:5]])
    return train, parts[5]


def test(folder: Path) -> Pictures:
    """The 10,000 test pictures alone."""
    return files(folder, 5)[0]


def files(folder: Path, first: int) -> list[Pictures]:
    """What the six official files hold (five of training, one of testing), from the `first` on."""
    binary = (folder / "test_batch.bin").is_file()
    table = list((BINARY if binary else PYTHON).items())
    return [parse(checked(folder / file, md5), binary) for file, md5 in table[first:]]
