"""CIFAR-10 as a LightningDataModule: the official files, checked by MD5, or the sample that ships.

Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images.
"""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from lightning_resnets.data import sample
from lightning_resnets.data.augment import Augmentation
from lightning_resnets.data.batches import EvalBatches, Normalise, TrainBatches

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
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
    binary = (folder / "test_batch.bin").is_file()
    parts = [parse(checked(folder / file, md5), binary) for file, md5 in (BINARY if binary else PYTHON).items()]
    train = torch.cat([images for images, _ in parts[:5]]), torch.cat([labels for _, labels in parts[:5]])
    return train, parts[5]


def split(pictures: Pictures, validation: int, seed: int) -> tuple[Pictures, Pictures]:
    """Split `validation` pictures off the training set, as many of every class, chosen by `seed`."""
    images, labels = pictures
    classes = int(labels.max()) + 1
    if validation % classes or validation >= len(labels):
        raise DataError(f"validation={validation}: take a multiple of {classes} below {len(labels)}, or 0 for none.")
    mixed = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    held = [mixed[labels[mixed] == label][: validation // classes] for label in range(classes)]
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[torch.cat(held)] = True
    return (images[~chosen], labels[~chosen]), (images[chosen], labels[chosen])


class CIFAR10(L.LightningDataModule):
    """CIFAR-10 in memory (or on the GPU), augmented in whole batches.

    `root` holds `cifar-10-batches-py` or `cifar-10-batches-bin`; `download` lets torchvision fetch the former.
    `validation` pictures are split off the training set (0: none); the test set is used by `test` alone. `pad`, `flip`
    and `cutout` are the augmentation (`augment.Augmentation`). Batches are (N, 3, 32, 32) float32, channels last.
    """

    name, classes, size, mean, std = "cifar10", sample.CLASSES, (3, 32, 32), MEAN, STD

    def __init__(
        self,
        root: str = "data",
        batch_size: int = 128,
        validation: int = 0,
        pad: int = 4,
        flip: bool = True,
        cutout: int = 0,
        eval_batch_size: int = 1000,
        seed: int = 0,
        download: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.root, self.download, self.seed = Path(root).expanduser(), download, seed
        self.batch_size, self.eval_batch_size, self.validation = batch_size, eval_batch_size, validation
        self.augmentation = Augmentation(pad, flip, cutout)
        self.train_set: Pictures | None = None
        self.val_set: Pictures | None = None
        self.test_set: Pictures | None = None
        self._batches: TrainBatches | None = None
        self._resume: dict[str, Any] = {}

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def prepare_data(self) -> None:
        if self.download and layout(self.root) is None:
            from torchvision import datasets

            datasets.CIFAR10(str(self.root), download=True)

    def read(self) -> tuple[Pictures, Pictures]:
        """Training and test pictures."""
        folder = layout(self.root)
        if folder is None:
            raise DataError(
                f"There is no CIFAR-10 in '{self.root}': give the folder that holds cifar-10-batches-py or "
                "cifar-10-batches-bin (--data.root DIR), or --data.download true to fetch it there."
            )
        return read(folder)

    def setup(self, stage: str | None = None) -> None:
        if stage == "fit" and not self.validation and self.trainer is not None:
            self.trainer.limit_val_batches = 0  # Lightning's way to say that there is no validation
        if self.test_set is not None:
            return
        self.train_set, self.test_set = self.read()
        if self.validation:
            self.train_set, self.val_set = split(self.train_set, self.validation, self.seed)

    def _place(self) -> tuple[torch.device, int, int]:
        trainer = self.trainer
        if trainer is None:
            return torch.device("cpu"), 0, 1
        return trainer.strategy.root_device, trainer.global_rank, trainer.world_size

    def _eval(self, pictures: Pictures | None) -> EvalBatches:
        assert pictures is not None, "setup() has not run"
        device, rank, world = self._place()
        images, labels = (part.to(device) for part in pictures)
        return EvalBatches(images, labels, self.eval_batch_size, Normalise(self.mean, self.std, device), rank, world)

    def train_dataloader(self) -> TrainBatches:
        assert self.train_set is not None, "setup() has not run"
        device, rank, world = self._place()
        images, labels = (part.to(device) for part in self.train_set)
        normalise = Normalise(self.mean, self.std, device)
        self._batches = TrainBatches(
            images, labels, self.batch_size, normalise, self.augmentation, self.seed, rank, world
        )
        if self._resume:
            self._batches.load_state_dict(self._resume)
        return self._batches

    def state_dict(self) -> dict[str, Any]:
        return self._batches.state_dict() if self._batches else self._resume

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called before or after the batches are made: Lightning's own restoring misses those made before."""
        self._resume = state_dict
        if self._batches:
            self._batches.load_state_dict(state_dict)

    def val_dataloader(self) -> EvalBatches:
        if not self.validation:
            raise DataError("No pictures are held out for validation: say how many, as in --data.validation 5000.")
        return self._eval(self.val_set)

    def test_dataloader(self) -> EvalBatches:
        return self._eval(self.test_set)

    def predict_dataloader(self) -> EvalBatches:
        return self._eval(self.test_set)


class CIFAR10Sample(CIFAR10):
    """The sample that ships: 2,000 training and 1,000 test pictures; nothing is read from `root`."""

    name = "cifar10-sample"

    def prepare_data(self) -> None:
        pass

    def read(self) -> tuple[Pictures, Pictures]:
        def tensors(images: np.ndarray, labels: np.ndarray) -> Pictures:
            return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)

        return tensors(*sample.pictures("train")), tensors(*sample.pictures("test"))
