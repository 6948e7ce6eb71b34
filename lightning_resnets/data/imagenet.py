"""ImageNet as a LightningDataModule: decoded and cropped by worker processes, all else for whole batches on the device.

Russakovsky et al. 2015, ImageNet Large Scale Visual Recognition Challenge (arXiv:1409.0575).
"""

import os
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_resnets.data.augment import Augmentation, mixed, mixed_targets, mixing
from lightning_resnets.data.batches import Normalise
from lightning_resnets.data.epochs import Epochs, Once, Order
from lightning_resnets.data.erasing import erased, rectangles
from lightning_resnets.data.folder import numbered, pictures
from lightning_resnets.data.imagenet_classes import names
from lightning_resnets.data.official import DataError
from lightning_resnets.data.pictures import Crops, Files, Policy, Source, Whole
from lightning_resnets.data.progress import SPLIT, at_the_end, whole_seed
from lightning_resnets.data.streaming import Stream, streamed

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Chosen = tuple[Source, Tensor]  # pictures by number, and the numbers (N,) int64 that are meant


def split(source: Source, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Numbers of the pictures to train on and of `count` to hold out, chosen by `seed`, evenly from all classes."""
    if count >= len(source):
        raise DataError(f"validation={count:,}: there are {len(source):,} pictures, so hold fewer out, or 0 for none.")
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))
    if isinstance(source, Files):
        labels = source.labels[order]
        by_class = labels.argsort(stable=True)  # the first of every class, then the second of every class, ...
        starts = torch.searchsorted(labels[by_class], labels[by_class])
        order = order[by_class][(torch.arange(len(order)) - starts).argsort(stable=True)]
    return order[count:].sort().values, order[:count].sort().values


class ImageNet(L.LightningDataModule):
    """ImageNet's 1,000 classes, or pictures of some of them.

    `root` holds `train` and `val`, each with a folder a class named by its WordNet number; or these folders themselves;
    or a litdata-optimised copy of either (`data.streaming`), there or in object storage (`s3://...`). `val` is the test
    set, used by `test` alone; `validation` pictures are split off the training set (0: none).

    Training: a random part of at least `least` of the area at `train_size` pixels, from an epoch on another size
    (`{0: 128, 30: 160}`), flipped or not; `policy` "trivial" or "rand" (of `magnitude` 0 to 30); a share `erase` of
    the pictures with a rectangle erased; `mixup` and `cutmix` as in `augment.Augmentation`; each picture of an epoch
    `repeats` times. Evaluation: the middle at `val_size`, cut from the picture scaled to `val_size / crop`. `workers`
    processes load (None: one a core). Batches are (N, 3, side, side) float32, channels last.
    """

    name, mean, std, resample = "imagenet", MEAN, STD, "bilinear"

    def __init__(
        self,
        root: str = "data/imagenet",
        batch_size: int = 256,
        validation: int = 0,
        train_size: int | dict[int, int] = 176,
        val_size: int = 224,
        crop: float = 0.9655,
        least: float = 0.08,
        policy: Policy | None = None,
        magnitude: int = 9,
        erase: float = 0.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        repeats: int = 1,
        eval_batch_size: int = 256,
        seed: int | None = None,
        workers: int | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.root, self.validation, self.seed, self.workers = root, validation, whole_seed(seed), workers
        self.batch_size, self.eval_batch_size, self.repeats = batch_size, eval_batch_size, repeats
        self.sides = train_size if isinstance(train_size, dict) else {0: train_size}
        self.size, self.crop, self.erase = (3, val_size, val_size), crop, erase
        self.least, self.magnitude = least, magnitude
        self.policy: Policy | None = policy
        self.augmentation = Augmentation(pad=0, flip=True, mixup=mixup, cutmix=cutmix)
        self._normalise: dict[torch.device, Normalise] = {}
        self.classes = names()
        self.train_set: Chosen | None = None
        self.val_set: Chosen | None = None
        self.test_set: Chosen | None = None
        self._epochs: Epochs | None = None
        self._resume: dict[str, Any] = {}

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def check(self) -> None:
        """Raises DataError for the first option that makes no sense."""
        plan = self.augmentation
        if min(self.batch_size, self.eval_batch_size, self.repeats, self.size[1], *self.sides.values()) < 1:
            raise DataError("Sizes, batch sizes and repeats must be 1 or more.")
        if 0 not in self.sides or min(self.sides) < 0:
            raise DataError("train_size must say the pixels from epoch 0 on, as in {0: 128, 30: 160}.")
        if not (0.1 <= self.crop <= 1 and 0 < self.least <= 1 and 0 <= self.erase <= 1):
            raise DataError("crop must be in 0.1 to 1, least above 0 and at most 1, erase in 0 to 1.")
        if min(plan.mixup, plan.cutmix, self.validation, self.workers or 0) < 0 or not 0 <= self.magnitude <= 30:
            raise DataError("mixup, cutmix, validation and workers must be 0 or more, magnitude in 0 to 30.")

    def source(self, part: str) -> Source | None:
        """The pictures of `train` or `val`; where `root` has no such parts, all of it is `train` and None is `val`."""
        if streamed(self.root):
            return self._stream(part)
        root = Path(self.root).expanduser()
        parted = (root / "train").is_dir() or (root / "val").is_dir()
        if not parted and part == "val":
            return None
        if parted and not (root / part).is_dir():
            raise DataError(f"There is no folder '{root / part}': put it beside the other one, with a folder a class.")
        if not root.is_dir():
            raise DataError(
                f"There is no ImageNet in '{root}': give the folder that holds train and val, each with a folder for "
                "each class (--data.root DIR)."
            )
        found = pictures(root / part if parted else root)
        places = numbered({name for _, name in found}, self.classes)
        return Files([path for path, _ in found], torch.tensor([places[name] for _, name in found]))

    def _stream(self, part: str) -> Source | None:
        root = self.root.rstrip("/")
        if "://" not in root and (Path(root).expanduser() / "index.json").is_file():
            return Stream(root) if part == "train" else None
        return Stream(f"{root}/{part}")

    def setup(self, stage: str | None = None) -> None:
        self.check()
        if stage == "fit" and not self.validation and self.trainer is not None:
            self.trainer.limit_val_batches = 0  # Lightning's way to say that there is no validation
        if stage in ("fit", "validate", None) and self.train_set is None:
            self._split()
        if stage in ("test", "predict", None) and self.test_set is None:
            self.test_set = self._test()

    def _split(self) -> None:
        source = self.source("train")
        assert source is not None, "train is always there"
        chosen, held = split(source, self.validation, SPLIT)
        self.train_set, self.val_set = (source, chosen), (source, held)

    def _test(self) -> Chosen:
        source = self.source("val")
        if source is not None:
            return source, torch.arange(len(source))
        if self.train_set is None:
            self._split()
        held, what = (self.val_set, "held out") if self.validation else (self.train_set, "trained on")
        assert held is not None
        warnings.warn(f"'{self.root}' has no val folder: the test is on the pictures {what}.", stacklevel=2)
        return held

    def _loader(self, dataset: Dataset[Any], **options: Any) -> DataLoader[Any]:
        workers = self.workers
        if workers is None:
            workers = max(1, cores() // (self.trainer.num_devices if self.trainer else 1))
        return DataLoader(
            dataset, num_workers=workers, collate_fn=as_it_is,
            pin_memory=self._place()[0].type == "cuda",
            generator=torch.Generator(), **options,  # its own, so that the run's draws do not depend on the loader
        )  # fmt: skip

    def _place(self) -> tuple[torch.device, int, int]:
        trainer = self.trainer
        if trainer is None:
            return torch.device("cpu"), 0, 1
        return trainer.strategy.root_device, trainer.global_rank, trainer.world_size

    def train_dataloader(self) -> Epochs:
        assert self.train_set is not None, "setup() has not run"
        source, chosen = self.train_set
        _, rank, world = self._place()
        order = Order(chosen, self.batch_size, self.sides, self.seed, self.repeats, rank, world)
        crops = Crops(source, self.seed, self.least, self.policy, self.magnitude)
        self._epochs = Epochs(self._loader(crops, batch_sampler=order), order)
        if self._resume:
            self._epochs.load_state_dict(self._resume)
        return self._epochs

    def _eval(self, chosen: Chosen | None) -> Once:
        assert chosen is not None, "setup() has not run"
        _, rank, world = self._place()
        places = chosen[1][rank::world].split(self.eval_batch_size)  # none is padded
        whole = Whole(chosen[0], self.size[1], self.crop, self.resample)
        return Once(self._loader(whole, batch_sampler=[part.tolist() for part in places]))

    def val_dataloader(self) -> Once:
        if not self.validation:
            raise DataError("No pictures are held out for validation: say how many, as in --data.validation 10000.")
        return self._eval(self.val_set)

    def test_dataloader(self) -> Once:
        return self._eval(self.test_set)

    def predict_dataloader(self) -> Once:
        return self._eval(self.test_set)

    def on_after_batch_transfer(self, batch: tuple[Any, ...], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """On the device: uint8 images to a net's input; training batches, which say when they are, erased and mixed."""
        images, labels, *when = batch
        if images.device not in self._normalise:  # its numbers are copied to the device once
            self._normalise[images.device] = Normalise(self.mean, self.std, images.device)
        images = self._normalise[images.device](images)
        return self._augmented(images, labels, *when[0]) if when else (images, labels)

    def _augmented(self, images: Tensor, labels: Tensor, epoch: int, position: int) -> tuple[Tensor, Tensor]:
        side, plan = images.shape[-1], self.augmentation
        if self.erase:
            rng = np.random.default_rng((self.seed, epoch, position, 1 + self._place()[1]))
            images = erased(images, rectangles(len(images), side, self.erase, rng))
        if not plan.mixes:
            return images, labels
        mix = mixing(plan, side, self.seed, epoch, position)
        images = mixed(images, mix).contiguous(memory_format=torch.channels_last)
        return images, mixed_targets(labels, self.num_classes, mix)

    def state_dict(self) -> dict[str, Any]:
        return at_the_end(self._epochs.state_dict() if self._epochs else self._resume, self.trainer)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called before or after the batches are made: Lightning's own restoring misses those made before."""
        self._resume = state_dict
        if self._epochs:
            self._epochs.load_state_dict(state_dict)


def as_it_is(batch: Any) -> Any:
    """Batches come whole from the data set; a worker process must be able to import what collates them."""
    return batch


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
