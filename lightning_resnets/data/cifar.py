"""CIFAR-10 as a LightningDataModule: the official files, checked by MD5, or the sample that ships.

Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images.
"""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from lightning_resnets.data import sample
from lightning_resnets.data.augment import Augmentation, Flip
from lightning_resnets.data.batches import EvalBatches, Normalise, TrainBatches
from lightning_resnets.data.official import DataError, Pictures, layout, read
from lightning_resnets.data.progress import SPLIT, at_the_end, whole_seed

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


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
    `validation` pictures are split off the training set (0: none); the test set is used by `test` alone. `pad` to
    `cutmix` are the augmentation (`augment.Augmentation`). `seed` decides the order and the augmentation, not the
    split; by default it is that of Lightning's `seed_everything`. Batches are (N, 3, 32, 32) float32, channels last.
    """

    name, classes, size, mean, std = "cifar10", sample.CLASSES, (3, 32, 32), MEAN, STD

    def __init__(
        self,
        root: str = "data",
        batch_size: int = 128,
        validation: int = 0,
        pad: int = 4,
        flip: Flip = True,
        trivial: bool = False,
        cutout: int = 0,
        dual_cutout: bool = False,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        eval_batch_size: int = 1000,
        seed: int | None = None,
        download: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.root, self.download = Path(root).expanduser(), download
        self.seed = whole_seed(seed)
        self.batch_size, self.eval_batch_size, self.validation = batch_size, eval_batch_size, validation
        self.augmentation = Augmentation(pad, flip, trivial, cutout, dual_cutout, mixup, cutmix)
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

            try:
                datasets.CIFAR10(str(self.root), download=True)
            except (OSError, RuntimeError) as error:
                raise DataError(
                    f"CIFAR-10 could not be fetched ({error}): put its files into '{self.root}'."
                ) from error

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
        plan = self.augmentation
        if min(self.batch_size, self.eval_batch_size) < 1 or min(plan.cutout, self.validation) < 0:
            raise DataError("batch_size and eval_batch_size must be 1 or more, cutout and validation 0 or more.")
        if min(plan.mixup, plan.cutmix) < 0:
            raise DataError("mixup and cutmix are parameters of a Beta distribution: 0 for none, else above 0, as 0.2.")
        if plan.dual_cutout and (plan.mixes or not plan.cutout):
            raise DataError("dual_cutout needs a cutout (say 16) and goes with neither mixup nor cutmix.")
        if not 0 <= plan.pad < self.size[1]:
            raise DataError(f"pad={plan.pad}: take 0 to {self.size[1] - 1} pixels.")
        if stage == "fit" and not self.validation and self.trainer is not None:
            self.trainer.limit_val_batches = 0  # Lightning's way to say that there is no validation
        if self.test_set is not None:
            return
        self.train_set, self.test_set = self.read()
        if self.validation:
            self.train_set, self.val_set = split(self.train_set, self.validation, SPLIT)

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
            images, labels, self.batch_size, normalise, self.augmentation, self.seed, rank, world, self.num_classes
        )
        if self._resume:
            self._batches.load_state_dict(self._resume)
        return self._batches

    def state_dict(self) -> dict[str, Any]:
        return at_the_end(self._batches.state_dict() if self._batches else self._resume, self.trainer)

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
