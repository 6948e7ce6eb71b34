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

from lightning_resnets.data import cifar10_sample
from lightning_resnets.data.augment import Augmentation, Flip
from lightning_resnets.data.batches import EvalBatchLoader, Normalize, TrainBatchLoader
from lightning_resnets.data.sampler import SPLIT_SEED, resolve_seed, roll_over_epoch
from lightning_resnets.errors import DataError

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

ImagesAndLabels = tuple[Tensor, Tensor]  # (N, 3, 32, 32) uint8, (N,) int64


def find_cifar10(root: Path) -> Path | None:
    """The folder in `root` (or `root` itself) that holds the official files, python or binary; None without one."""
    for name, files in LAYOUTS.items():
        for folder in (root / name, root):
            if all((folder / file).is_file() for file in files):
                return folder
    return None


def read_verified(path: Path, md5: str) -> bytes:
    """The file's bytes; raises DataError where their MD5 is not the official one."""
    raw = path.read_bytes()
    if hashlib.md5(raw, usedforsecurity=False).hexdigest() != md5:
        raise DataError(
            f"{path} is not the official CIFAR-10 file (its MD5 differs): remove it and fetch it again."
        )
    return raw


def parse_batch(raw: bytes, binary: bool) -> ImagesAndLabels:
    """Records of one official file. The python layout is a pickle: call this on checked bytes alone."""
    if binary:
        records = np.frombuffer(raw, np.uint8).reshape(-1, 3073)
        labels, pixels = records[:, 0], records[:, 1:]
    else:
        batch = pickle.loads(raw, encoding="bytes")  # noqa: S301 - the MD5 of these bytes is the official one
        labels, pixels = np.asarray(batch[b"labels"], np.uint8), batch[b"data"]
    images = torch.from_numpy(np.array(pixels)).view(-1, 3, 32, 32)
    return images, torch.from_numpy(labels.astype(np.int64))


def read_cifar10(folder: Path) -> tuple[ImagesAndLabels, ImagesAndLabels]:
    """The official 50,000 training and 10,000 test images, every file checked by MD5."""
    parts = read_files(folder, 0)
    train = (
        torch.cat([images for images, _ in parts[:5]]),
        torch.cat([labels for _, labels in parts[:5]]),
    )
    return train, parts[5]


def read_test_set(folder: Path) -> ImagesAndLabels:
    """The 10,000 test images alone."""
    return read_files(folder, 5)[0]


def read_files(folder: Path, first: int) -> list[ImagesAndLabels]:
    """What the six official files hold (five of training, one of testing), from the `first` on."""
    binary = (folder / "test_batch.bin").is_file()
    table = list((BINARY_FILES if binary else PYTHON_FILES).items())
    return [parse_batch(read_verified(folder / file, md5), binary) for file, md5 in table[first:]]


MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def split_train_val(
    images: ImagesAndLabels, num_val_images: int, seed: int
) -> tuple[ImagesAndLabels, ImagesAndLabels]:
    """Split `validation` images off the training set, as many of every class, chosen by `seed`."""
    batch, labels = images
    classes = int(labels.max()) + 1
    if num_val_images % classes or num_val_images >= len(labels):
        raise DataError(
            f"validation={num_val_images}: take a multiple of {classes} below {len(labels)}, or 0 for none."
        )
    mixed = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    held = [mixed[labels[mixed] == label][: num_val_images // classes] for label in range(classes)]
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[torch.cat(held)] = True
    return (batch[~chosen], labels[~chosen]), (batch[chosen], labels[chosen])


class CIFAR10(L.LightningDataModule):
    """CIFAR-10 in memory (or on the GPU), augmented in whole batches.

    `root` holds `cifar-10-batches-py` or `cifar-10-batches-bin`; `download` lets torchvision fetch the former.
    `validation` images are split off the training set (0: none); the test set is used by `test` alone. `pad` to
    `cutmix` are the augmentation (`augment.Augmentation`). `seed` decides the order and the augmentation, not the
    split; by default it is that of Lightning's `seed_everything`. Batches are (N, 3, 32, 32) float32, channels last.
    """

    name, class_names, input_size, mean, std = (
        "cifar10",
        cifar10_sample.CLASSES,
        (3, 32, 32),
        MEAN,
        STD,
    )

    def __init__(
        self,
        data_dir: str = "data",
        batch_size: int = 128,
        num_val_images: int = 0,
        crop_padding: int = 4,
        horizontal_flip: Flip = True,
        trivial_augment: bool = False,
        cutout: int = 0,
        dual_cutout: bool = False,
        mixup_alpha: float = 0.0,
        cutmix_alpha: float = 0.0,
        eval_batch_size: int = 1000,
        seed: int | None = None,
        download: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.data_dir, self.download = Path(data_dir).expanduser(), download
        self.seed = resolve_seed(seed)
        self.batch_size, self.eval_batch_size, self.num_val_images = (
            batch_size,
            eval_batch_size,
            num_val_images,
        )
        self.augmentation = Augmentation(
            crop_padding,
            horizontal_flip,
            trivial_augment,
            cutout,
            dual_cutout,
            mixup_alpha,
            cutmix_alpha,
        )
        self.train_set: ImagesAndLabels | None = None
        self.val_set: ImagesAndLabels | None = None
        self.test_set: ImagesAndLabels | None = None
        self._batches: TrainBatchLoader | None = None
        self._resume: dict[str, Any] = {}

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def prepare_data(self) -> None:
        if self.download and find_cifar10(self.data_dir) is None:
            from torchvision import datasets

            try:
                datasets.CIFAR10(str(self.data_dir), download=True)
            except (OSError, RuntimeError) as error:
                raise DataError(
                    f"CIFAR-10 could not be fetched ({error}): put its files into '{self.data_dir}'."
                ) from error

    def read(self) -> tuple[ImagesAndLabels, ImagesAndLabels]:
        """Training and test images."""
        folder = find_cifar10(self.data_dir)
        if folder is None:
            raise DataError(
                f"There is no CIFAR-10 in '{self.data_dir}': give the folder that holds cifar-10-batches-py or "
                "cifar-10-batches-bin (--data.data_dir DIR), or --data.download true to fetch it there."
            )
        return read_cifar10(folder)

    def setup(self, stage: str | None = None) -> None:
        plan = self.augmentation
        if (
            min(self.batch_size, self.eval_batch_size) < 1
            or min(plan.cutout, self.num_val_images) < 0
        ):
            raise DataError(
                "batch_size and eval_batch_size must be 1 or more, cutout and validation 0 or more."
            )
        if min(plan.mixup, plan.cutmix) < 0:
            raise DataError(
                "mixup and cutmix are parameters of a Beta distribution: 0 for none, else above 0, as 0.2."
            )
        if plan.dual_cutout and (plan.mixes or not plan.cutout):
            raise DataError(
                "dual_cutout needs a cutout (say 16) and goes with neither mixup nor cutmix."
            )
        if not 0 <= plan.crop_padding < self.input_size[1]:
            raise DataError(f"pad={plan.crop_padding}: take 0 to {self.input_size[1] - 1} pixels.")
        if stage == "fit" and not self.num_val_images and self.trainer is not None:
            self.trainer.limit_val_batches = 0  # Lightning's way to say that there is no validation
        if self.test_set is not None:
            return
        self.train_set, self.test_set = self.read()
        if self.num_val_images:
            self.train_set, self.val_set = split_train_val(
                self.train_set, self.num_val_images, SPLIT_SEED
            )

    def _place(self) -> tuple[torch.device, int, int]:
        trainer = self.trainer
        if trainer is None:
            return torch.device("cpu"), 0, 1
        return trainer.strategy.root_device, trainer.global_rank, trainer.world_size

    def _eval(self, images: ImagesAndLabels | None) -> EvalBatchLoader:
        assert images is not None, "setup() has not run"
        device, rank, world = self._place()
        batch, labels = (part.to(device) for part in images)
        return EvalBatchLoader(
            batch, labels, self.eval_batch_size, Normalize(self.mean, self.std, device), rank, world
        )

    def train_dataloader(self) -> TrainBatchLoader:
        assert self.train_set is not None, "setup() has not run"
        device, rank, world = self._place()
        images, labels = (part.to(device) for part in self.train_set)
        normalize = Normalize(self.mean, self.std, device)
        self._batches = TrainBatchLoader(
            images,
            labels,
            self.batch_size,
            normalize,
            self.augmentation,
            self.seed,
            rank,
            world,
            self.num_classes,
        )
        if self._resume:
            self._batches.load_state_dict(self._resume)
        return self._batches

    def state_dict(self) -> dict[str, Any]:
        return roll_over_epoch(
            self._batches.state_dict() if self._batches else self._resume, self.trainer
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called before or after the batches are made: Lightning's own restoring misses those made before."""
        self._resume = state_dict
        if self._batches:
            self._batches.load_state_dict(state_dict)

    def val_dataloader(self) -> EvalBatchLoader:
        if not self.num_val_images:
            raise DataError(
                "No images are held out for validation: say how many, as in --data.num_val_images 5000."
            )
        return self._eval(self.val_set)

    def test_dataloader(self) -> EvalBatchLoader:
        return self._eval(self.test_set)

    def predict_dataloader(self) -> EvalBatchLoader:
        return self._eval(self.test_set)


class CIFAR10Sample(CIFAR10):
    """The sample that ships: 2,000 training and 1,000 test images; nothing is read from `root`."""

    name = "cifar10-sample"

    def prepare_data(self) -> None:
        pass

    def read(self) -> tuple[ImagesAndLabels, ImagesAndLabels]:
        def tensors(batch: np.ndarray, labels: np.ndarray) -> ImagesAndLabels:
            return torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(
                labels
            )

        return tensors(*cifar10_sample.load_sample("train")), tensors(
            *cifar10_sample.load_sample("test")
        )
