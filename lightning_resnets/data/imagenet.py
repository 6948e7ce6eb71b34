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

from lightning_resnets.data.augment import (
    Augmentation,
    apply_mix,
    erase_boxes,
    mix_targets,
    sample_erase_boxes,
    sample_mix,
)
from lightning_resnets.data.batches import Normalize
from lightning_resnets.data.image_dataset import (
    AutoAugmentPolicy,
    EvalImages,
    ImageFiles,
    ImageSource,
    TrainImages,
)
from lightning_resnets.data.image_folder import list_images, match_wordnet_folders
from lightning_resnets.data.imagenet_classes import class_names
from lightning_resnets.data.sampler import (
    SPLIT_SEED,
    EpochSampler,
    EvalLoader,
    TrainLoader,
    resolve_seed,
    roll_over_epoch,
)
from lightning_resnets.data.streaming import StreamedImages, is_streamed
from lightning_resnets.errors import DataError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


Subset = tuple[ImageSource, Tensor]  # images by number, and the numbers (N,) int64 that are meant


def split_train_val(source: ImageSource, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Numbers of the images to train on and of `count` to hold out, chosen by `seed`, evenly from all classes."""
    if count >= len(source):
        raise DataError(
            f"validation={count:,}: there are {len(source):,} images, so hold fewer out, or 0 for none."
        )
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))
    if isinstance(source, ImageFiles):
        labels = source.labels[order]
        by_class = labels.argsort(
            stable=True
        )  # the first of every class, then the second of every class, ...
        starts = torch.searchsorted(labels[by_class], labels[by_class])
        order = order[by_class][(torch.arange(len(order)) - starts).argsort(stable=True)]
    return order[count:].sort().values, order[:count].sort().values


class ImageNet(L.LightningDataModule):
    """ImageNet's 1,000 classes, or images of some of them.

    `root` holds `train` and `val`, each with a folder a class named by its WordNet number; or these folders themselves;
    or a litdata-optimized copy of either (`data.streaming`), there or in object storage (`s3://...`). `val` is the test
    set, used by `test` alone; `validation` images are split off the training set (0: none).

    Training: a random part of at least `least` of the area at `train_size` pixels, from an epoch on another size
    (`{0: 128, 30: 160}`), flipped or not; `policy` "trivial" or "rand" (of `magnitude` 0 to 30); a share `erase` of
    the images with a rectangle erased; `mixup` and `cutmix` as in `augment.Augmentation`; each image of an epoch
    `repeats` times. Evaluation: the middle at `val_size`, cut from the image scaled to `val_size / crop`. `workers`
    processes load (None: one a core). Batches are (N, 3, side, side) float32, channels last.
    """

    name, mean, std, interpolation = "imagenet", MEAN, STD, "bilinear"

    def __init__(
        self,
        data_dir: str = "data/imagenet",
        batch_size: int = 256,
        num_val_images: int = 0,
        train_image_size: int | dict[int, int] = 176,
        eval_image_size: int = 224,
        eval_crop_pct: float = 0.9655,
        min_crop_scale: float = 0.08,
        auto_augment: AutoAugmentPolicy | None = None,
        auto_augment_magnitude: int = 9,
        random_erase_prob: float = 0.0,
        mixup_alpha: float = 0.0,
        cutmix_alpha: float = 0.0,
        num_augment_repeats: int = 1,
        eval_batch_size: int = 256,
        seed: int | None = None,
        num_workers: int | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.data_dir, self.num_val_images, self.seed, self.num_workers = (
            data_dir,
            num_val_images,
            resolve_seed(seed),
            num_workers,
        )
        self.batch_size, self.eval_batch_size, self.num_augment_repeats = (
            batch_size,
            eval_batch_size,
            num_augment_repeats,
        )
        self.image_sizes = (
            train_image_size if isinstance(train_image_size, dict) else {0: train_image_size}
        )
        self.input_size, self.crop_pct, self.random_erase_prob = (
            (3, eval_image_size, eval_image_size),
            eval_crop_pct,
            random_erase_prob,
        )
        self.min_crop_scale, self.auto_augment_magnitude = min_crop_scale, auto_augment_magnitude
        self.auto_augment: AutoAugmentPolicy | None = auto_augment
        self.augmentation = Augmentation(
            crop_padding=0, flip=True, mixup=mixup_alpha, cutmix=cutmix_alpha
        )
        self._normalize: dict[torch.device, Normalize] = {}
        self.class_names = class_names()
        self.train_set: Subset | None = None
        self.val_set: Subset | None = None
        self.test_set: Subset | None = None
        self._epochs: TrainLoader | None = None
        self._resume: dict[str, Any] = {}

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def validate_options(self) -> None:
        """Raises DataError for the first option that makes no sense."""
        plan = self.augmentation
        if (
            min(
                self.batch_size,
                self.eval_batch_size,
                self.num_augment_repeats,
                self.input_size[1],
                *self.image_sizes.values(),
            )
            < 1
        ):
            raise DataError("Sizes, batch sizes and repeats must be 1 or more.")
        if 0 not in self.image_sizes or min(self.image_sizes) < 0:
            raise DataError(
                "train_size must say the pixels from epoch 0 on, as in {0: 128, 30: 160}."
            )
        if not (
            0.1 <= self.crop_pct <= 1
            and 0 < self.min_crop_scale <= 1
            and 0 <= self.random_erase_prob <= 1
        ):
            raise DataError(
                "crop must be in 0.1 to 1, least above 0 and at most 1, erase in 0 to 1."
            )
        if (
            min(plan.mixup, plan.cutmix, self.num_val_images, self.num_workers or 0) < 0
            or not 0 <= self.auto_augment_magnitude <= 30
        ):
            raise DataError(
                "mixup, cutmix, validation and workers must be 0 or more, magnitude in 0 to 30."
            )

    def source(self, part: str) -> ImageSource | None:
        """The images of `train` or `val`; where `root` has no such parts, all of it is `train` and None is `val`."""
        if is_streamed(self.data_dir):
            return self._stream(part)
        root = Path(self.data_dir).expanduser()
        parted = (root / "train").is_dir() or (root / "val").is_dir()
        if not parted and part == "val":
            return None
        if parted and not (root / part).is_dir():
            raise DataError(
                f"There is no folder '{root / part}': put it beside the other one, with a folder a class."
            )
        if not root.is_dir():
            raise DataError(
                f"There is no ImageNet in '{root}': give the folder that holds train and val, each with a folder for "
                "each class (--data.data_dir DIR)."
            )
        found = list_images(root / part if parted else root)
        places = match_wordnet_folders({name for _, name in found}, self.class_names)
        return ImageFiles(
            [path for path, _ in found], torch.tensor([places[name] for _, name in found])
        )

    def _stream(self, part: str) -> ImageSource | None:
        root = self.data_dir.rstrip("/")
        if "://" not in root and (Path(root).expanduser() / "index.json").is_file():
            return StreamedImages(root) if part == "train" else None
        return StreamedImages(f"{root}/{part}")

    def setup(self, stage: str | None = None) -> None:
        self.validate_options()
        if stage == "fit" and not self.num_val_images and self.trainer is not None:
            self.trainer.limit_val_batches = 0  # Lightning's way to say that there is no validation
        if stage in ("fit", "validate", None) and self.train_set is None:
            self._split()
        if stage in ("test", "predict", None) and self.test_set is None:
            self.test_set = self._test()

    def _split(self) -> None:
        source = self.source("train")
        assert source is not None, "train is always there"
        chosen, held = split_train_val(source, self.num_val_images, SPLIT_SEED)
        self.train_set, self.val_set = (source, chosen), (source, held)

    def _test(self) -> Subset:
        source = self.source("val")
        if source is not None:
            return source, torch.arange(len(source))
        if self.train_set is None:
            self._split()
        held, what = (
            (self.val_set, "held out") if self.num_val_images else (self.train_set, "trained on")
        )
        assert held is not None
        warnings.warn(
            f"'{self.data_dir}' has no val folder: the test is on the images {what}.", stacklevel=2
        )
        return held

    def _loader(self, dataset: Dataset[Any], **options: Any) -> DataLoader[Any]:
        workers = self.num_workers
        if workers is None:
            workers = max(1, num_cores() // (self.trainer.num_devices if self.trainer else 1))
        return DataLoader(
            dataset,
            num_workers=workers,
            collate_fn=identity_collate,
            pin_memory=self._place()[0].type == "cuda",
            generator=torch.Generator(),
            **options,  # its own, so that the run's draws do not depend on the loader
        )

    def _place(self) -> tuple[torch.device, int, int]:
        trainer = self.trainer
        if trainer is None:
            return torch.device("cpu"), 0, 1
        return trainer.strategy.root_device, trainer.global_rank, trainer.world_size

    def train_dataloader(self) -> TrainLoader:
        assert self.train_set is not None, "setup() has not run"
        source, chosen = self.train_set
        _, rank, world = self._place()
        order = EpochSampler(
            chosen,
            self.batch_size,
            self.image_sizes,
            self.seed,
            self.num_augment_repeats,
            rank,
            world,
        )
        crops = TrainImages(
            source, self.seed, self.min_crop_scale, self.auto_augment, self.auto_augment_magnitude
        )
        self._epochs = TrainLoader(self._loader(crops, batch_sampler=order), order)
        if self._resume:
            self._epochs.load_state_dict(self._resume)
        return self._epochs

    def _eval(self, chosen: Subset | None) -> EvalLoader:
        assert chosen is not None, "setup() has not run"
        _, rank, world = self._place()
        places = chosen[1][rank::world].split(self.eval_batch_size)  # none is padded
        whole = EvalImages(chosen[0], self.input_size[1], self.crop_pct, self.interpolation)
        return EvalLoader(self._loader(whole, batch_sampler=[part.tolist() for part in places]))

    def val_dataloader(self) -> EvalLoader:
        if not self.num_val_images:
            raise DataError(
                "No images are held out for validation: say how many, as in --data.num_val_images 10000."
            )
        return self._eval(self.val_set)

    def test_dataloader(self) -> EvalLoader:
        return self._eval(self.test_set)

    def predict_dataloader(self) -> EvalLoader:
        return self._eval(self.test_set)

    def on_after_batch_transfer(
        self, batch: tuple[Any, ...], dataloader_idx: int
    ) -> tuple[Tensor, Tensor]:
        """On the device: uint8 images to a model's input; training batches, which say when they are, erased and mixed."""
        images, labels, *when = batch
        if images.device not in self._normalize:  # its numbers are copied to the device once
            self._normalize[images.device] = Normalize(self.mean, self.std, images.device)
        images = self._normalize[images.device](images)
        return self._augmented(images, labels, *when[0]) if when else (images, labels)

    def _augmented(
        self, images: Tensor, labels: Tensor, epoch: int, position: int
    ) -> tuple[Tensor, Tensor]:
        side, plan = images.shape[-1], self.augmentation
        if self.random_erase_prob:
            rng = np.random.default_rng((self.seed, epoch, position, 1 + self._place()[1]))
            images = erase_boxes(
                images, sample_erase_boxes(len(images), side, self.random_erase_prob, rng)
            )
        if not plan.mixes:
            return images, labels
        mix = sample_mix(plan, side, self.seed, epoch, position)
        images = apply_mix(images, mix).contiguous(memory_format=torch.channels_last)
        return images, mix_targets(labels, self.num_classes, mix)

    def state_dict(self) -> dict[str, Any]:
        return roll_over_epoch(
            self._epochs.state_dict() if self._epochs else self._resume, self.trainer
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called before or after the batches are made: Lightning's own restoring misses those made before."""
        self._resume = state_dict
        if self._epochs:
            self._epochs.load_state_dict(state_dict)


def identity_collate(batch: Any) -> Any:
    """Batches come whole from the data set; a worker process must be able to import what collates them."""
    return batch


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
