"""Read the official files of CIFAR-10, in the python or the binary layout, checked by MD5.

Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images.
"""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lightning_resnets.errors import DataError

# MD5 of each official file; the order is that of the images, the test set comes last.
PYTHON_FILES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}

BINARY_FILES = {
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}

LAYOUTS = {"cifar-10-batches-py": PYTHON_FILES, "cifar-10-batches-bin": BINARY_FILES}

NUM_TRAIN_FILES = 5

ImagesAndLabels = tuple[Tensor, Tensor]  # (N, 3, 32, 32) uint8, (N,) int64


def find_cifar10(data_dir: Path) -> Path | None:
    """Find the folder with the official files, in the python or the binary layout.

    Args:
        data_dir: that folder, or the one that contains it.

    Returns:
        The folder, or None.
    """
    for name, files in LAYOUTS.items():
        for folder in (data_dir / name, data_dir):
            # All of them, so that half a download is not taken for the dataset.
            if all((folder / file).is_file() for file in files):
                return folder
    return None


def read_verified(path: Path, md5: str) -> bytes:
    """Read a file and check its hash.

    Args:
        path: file to read.
        md5: official MD5, in hexadecimal.

    Returns:
        The bytes.

    Raises:
        DataError: the file has another hash.
    """
    raw = path.read_bytes()
    # The dataset is published with MD5s; systems in FIPS mode allow them only with this flag.
    if hashlib.md5(raw, usedforsecurity=False).hexdigest() != md5:
        raise DataError(
            f"'{path}' is not the official CIFAR-10 file (its MD5 differs). "
            "Remove it and download it again."
        )
    return raw


def parse_batch(raw: bytes, is_binary: bool) -> ImagesAndLabels:
    """Parse one official file.

    The python layout is a pickle: call this only with verified bytes.

    Args:
        raw: content of the file.
        is_binary: whether it has the binary layout.

    Returns:
        Images (N, 3, 32, 32) uint8 and labels (N,) int64.
    """
    if is_binary:
        # A record is a byte for the label and 3 * 32 * 32 bytes for the pixels.
        records = np.frombuffer(raw, np.uint8).reshape(-1, 3073)
        labels = records[:, 0]
        pixels = records[:, 1:]
    else:
        batch = pickle.loads(raw, encoding="bytes")  # noqa: S301 - the MD5 is the official one
        labels = np.asarray(batch[b"labels"], np.uint8)
        pixels = batch[b"data"]
    # A copy, because torch warns of the read-only memory of bytes.
    images = torch.from_numpy(np.array(pixels)).view(-1, 3, 32, 32)
    return images, torch.from_numpy(labels.astype(np.int64))


def read_cifar10(folder: Path) -> tuple[ImagesAndLabels, ImagesAndLabels]:
    """Read the 50,000 training and 10,000 test images, every file checked by MD5.

    Args:
        folder: result of `find_cifar10`.

    Returns:
        Training set and test set.

    Raises:
        DataError: a file is not the official one.
    """
    *train_files, test_set = _read_files(folder, 0)
    images = torch.cat([images for images, _ in train_files])
    labels = torch.cat([labels for _, labels in train_files])
    return (images, labels), test_set


def read_test_set(folder: Path) -> ImagesAndLabels:
    """Read the 10,000 test images.

    Args:
        folder: result of `find_cifar10`.

    Returns:
        Images and labels.

    Raises:
        DataError: the file is not the official one.
    """
    # Without the training files, which are five times as large.
    return _read_files(folder, NUM_TRAIN_FILES)[0]


def _read_files(folder: Path, first: int) -> list[ImagesAndLabels]:
    """Read the official files, five of training and one of test, from index `first` on."""
    is_binary = (folder / "test_batch.bin").is_file()
    files = list((BINARY_FILES if is_binary else PYTHON_FILES).items())
    return [
        parse_batch(read_verified(folder / name, md5), is_binary) for name, md5 in files[first:]
    ]
