"""ImageNet as a LightningDataModule: worker processes decode and crop, the device does the rest.

Russakovsky et al. 2015, ImageNet Large Scale Visual Recognition Challenge (arXiv:1409.0575).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_resnets.data.augment import Augmentation, erase_boxes, sample_erase_boxes
from lightning_resnets.data.batches import Normalize
from lightning_resnets.data.datamodule import MAX_ALPHA, SETUP_FIRST, NoLoaders
from lightning_resnets.data.image_dataset import (
    AutoAugmentPolicy,
    EvalImages,
    ImageSource,
    TrainImages,
)
from lightning_resnets.data.imagenet_classes import class_names
from lightning_resnets.data.imagenet_source import Subset, open_split, split_train_val, val_or_train
from lightning_resnets.data.loaders import EvalLoader, TrainLoader
from lightning_resnets.data.mixup import apply_mix, mix_targets, sample_mix
from lightning_resnets.data.sampler import SPLIT_SEED, EpochSampler, resolve_seed
from lightning_resnets.data.worker_datamodule import WorkerDataModule
from lightning_resnets.errors import DataError
from lightning_resnets.utils.arguments import check_bool, check_choice, check_int, check_number

# Of each channel over ImageNet, for pixels in 0 to 1, as in torchvision's recipes.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

MAX_SIDE = 4096  # pixels
MAX_REPEATS = 100
MAX_WORKERS = 1024
AUTO_AUGMENT_POLICIES = (None, "trivial", "rand")


class ImageNet(WorkerDataModule):
    """ImageNet's 1,000 classes, or images of some of them.

    Batches are (N, 3, H, W) float32, channels last. Folder `val` is the test set, which only
    `test` uses.

    Args:
        data_dir: folder that contains `train` and `val`, each with one folder per class named by
            WordNet ID; or a folder of class folders; or a litdata-optimized copy of either, local
            or in object storage (`s3://...`).
        batch_size: training images per batch and device.
        num_val_images: images split off the training set for validation; 0 for none.
        train_image_size: side of training images in pixels, or sizes by the epoch from which on
            they apply (`{0: 128, 30: 160}`).
        eval_image_size: side of the center crop in evaluation.
        eval_crop_pct: that side as a fraction of the resized shorter side.
        min_crop_scale: minimum area of a training crop as a fraction of the image.
        auto_augment: "trivial" (TrivialAugmentWide), "rand" (RandAugment) or None.
        auto_augment_magnitude: strength of RandAugment, 0 to 30.
        random_erase_prob: fraction of training images with an erased rectangle.
        mixup_alpha: parameter of the Beta distribution of mixup; 0 for none.
        cutmix_alpha: parameter of the Beta distribution of cutmix; 0 for none.
        num_augment_repeats: times that each image of an epoch is taken.
        eval_batch_size: images per batch and device in validation, test and prediction.
        seed: seed of order and augmentation, not of the split; None for `seed_everything`.
        num_workers: worker processes; None for one per core.
        skip_damaged_images: go on without images that cannot be read, and count them; in training
            another image of the batch takes their place.
    """

    name = "imagenet"
    mean = MEAN
    std = STD
    interpolation = "bilinear"

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
        skip_damaged_images: bool = False,
    ) -> None:
        super().__init__(batch_size, num_workers)
        self.save_hyperparameters()
        self.data_dir = data_dir
        self.num_val_images = num_val_images
        self.seed = resolve_seed(seed)
        self.skip_damaged_images = skip_damaged_images
        self.eval_batch_size = eval_batch_size
        self.num_augment_repeats = num_augment_repeats
        has_sizes = isinstance(train_image_size, dict)
        self.image_sizes = train_image_size if has_sizes else {0: train_image_size}
        self.input_size = (3, eval_image_size, eval_image_size)
        self.crop_pct = eval_crop_pct
        self.random_erase_prob = random_erase_prob
        self.min_crop_scale = min_crop_scale
        self.auto_augment: AutoAugmentPolicy | None = auto_augment
        self.auto_augment_magnitude = auto_augment_magnitude
        self.augmentation = Augmentation(
            crop_padding=0, flip=True, mixup=mixup_alpha, cutmix=cutmix_alpha
        )
        self.class_names = class_names()
        self.train_set: Subset | None = None
        self.val_set: Subset | None = None
        self.test_set: Subset | None = None
        self._normalize: dict[torch.device, Normalize] = {}

    def validate_options(self) -> None:
        """Check the options.

        Raises:
            DataError: the first option that is out of range.
        """
        check_int("batch_size", self.batch_size, 1, error=DataError)
        check_int("eval_batch_size", self.eval_batch_size, 1, error=DataError)
        check_int("num_augment_repeats", self.num_augment_repeats, 1, MAX_REPEATS, DataError)
        check_int("eval_image_size", self.input_size[1], 1, MAX_SIDE, DataError)
        for epoch, side in self.image_sizes.items():
            check_int("train_image_size", side, 1, MAX_SIDE, DataError)
            check_int("an epoch in train_image_size", epoch, error=DataError)
        if 0 not in self.image_sizes:
            raise DataError("train_image_size must contain epoch 0, for example {0: 128, 30: 160}.")
        check_number("eval_crop_pct", self.crop_pct, error=DataError)
        check_number("min_crop_scale", self.min_crop_scale, error=DataError)
        check_bool("skip_damaged_images", self.skip_damaged_images, DataError)
        if not 0.1 <= self.crop_pct <= 1:
            raise DataError(f"eval_crop_pct must be 0.1 to 1, got {self.crop_pct:g}.")
        if not 0 < self.min_crop_scale <= 1:
            raise DataError(
                f"min_crop_scale must be above 0 and at most 1, got {self.min_crop_scale:g}."
            )
        self._check_probabilities()

    def _check_probabilities(self) -> None:
        """Raise DataError for the first option of augmentation or loading that is out of range."""
        check_number("random_erase_prob", self.random_erase_prob, 0, 1, DataError)
        check_number("mixup_alpha", self.augmentation.mixup, 0, MAX_ALPHA, DataError)
        check_number("cutmix_alpha", self.augmentation.cutmix, 0, MAX_ALPHA, DataError)
        check_int("num_val_images", self.num_val_images, error=DataError)
        if self.num_workers is not None:
            check_int("num_workers", self.num_workers, 0, MAX_WORKERS, DataError)
        check_choice("auto_augment", self.auto_augment, AUTO_AUGMENT_POLICIES, DataError)
        check_int("auto_augment_magnitude", self.auto_augment_magnitude, 0, 30, DataError)

    def source(self, split: str) -> ImageSource | None:
        """Open the images of a split.

        Args:
            split: "train" or "val".

        Returns:
            The images. Where `data_dir` has no splits, all images are "train", and "val" is None.

        Raises:
            DataError: there are no images, or a folder is not named by WordNet ID.
        """
        return open_split(self.data_dir, split, self.class_names)

    def setup(self, stage: str | None = None) -> None:
        """Check the options and open the images that a stage needs.

        Args:
            stage: "fit", "validate", "test", "predict" or None for all.

        Raises:
            DataError: an option is out of range, or there are no images.
        """
        self.validate_options()
        if stage in ("fit", "validate", None) and self.train_set is None:
            self._open_train_set()
        if stage in ("test", "predict", None) and self.test_set is None:
            self.test_set = self._open_test_set()

    def _open_train_set(self) -> None:
        """Open the training images and split off the validation images."""
        source = self.source("train")
        assert source is not None, "train always exists"
        train, val = split_train_val(source, self.num_val_images, SPLIT_SEED)
        self.train_set = (source, train)
        self.val_set = (source, val)

    def _open_test_set(self) -> Subset:
        """Open folder val, or where it is missing fall back to other images with a warning."""
        source = self.source("val")
        if source is not None:
            return source, torch.arange(len(source))
        if self.train_set is None:
            self._open_train_set()
        assert self.train_set is not None
        held_out = self.val_set if self.num_val_images else None
        return val_or_train(self.data_dir, held_out, self.train_set)

    def train_dataloader(self) -> TrainLoader:
        """Return the training batches, at the position of a resumed run."""
        if self.train_set is None:
            raise DataError(SETUP_FIRST)
        source, indices = self.train_set
        _, rank, world_size = self._device_and_rank()
        self._cut_batch_size(len(indices))
        sampler = EpochSampler(
            indices,
            self.batch_size,
            self.image_sizes,
            seed=self.seed,
            num_repeats=self.num_augment_repeats,
            rank=rank,
            world_size=world_size,
        )
        dataset = TrainImages(
            source,
            self.seed,
            self.min_crop_scale,
            self.auto_augment,
            self.auto_augment_magnitude,
            self.skip_damaged_images,
        )
        return self._train_loader_of(dataset, sampler)

    def val_dataloader(self) -> EvalLoader | NoLoaders:
        """Return the validation images, or no loaders if `fit` has none.

        Raises:
            DataError: no images were split off and validation was requested.
        """
        if not self.num_val_images:
            return self._no_val_loaders(example=10_000)
        return self._eval_loader(self.val_set)

    def test_dataloader(self) -> EvalLoader:
        """Return the test images."""
        return self._eval_loader(self.test_set)

    def predict_dataloader(self) -> EvalLoader:
        """Return the test images."""
        # Each row of predictions belongs to an image, so none may be left out.
        return self._eval_loader(self.test_set, skip_damaged=False)

    def _eval_loader(self, subset: Subset | None, skip_damaged: bool | None = None) -> EvalLoader:
        """Build a loader of images that are not augmented."""
        if subset is None:
            raise DataError(SETUP_FIRST)
        source, indices = subset
        if skip_damaged is None:
            skip_damaged = self.skip_damaged_images
        dataset = EvalImages(
            source, self.input_size[1], self.crop_pct, self.interpolation, skip_damaged
        )
        return self._eval_loader_of(dataset, indices, self.eval_batch_size)

    def on_after_batch_transfer(
        self, batch: tuple[Any, ...], dataloader_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Turn bytes on the device into a model's input.

        Args:
            batch: images (N, 3, H, W) uint8, labels (N,) int64, and (epoch, position) in training.
            dataloader_idx: unused.

        Returns:
            Images (N, 3, H, W) float32, and labels (N,) int64 or probabilities (N, K) float32.
        """
        images, labels, *moment = batch
        # The constants are copied to the device once.
        if images.device not in self._normalize:
            self._normalize[images.device] = Normalize(self.mean, self.std, images.device)
        images = self._normalize[images.device](images)
        if not moment:
            return images, labels
        epoch, position = moment[0]
        return self._erase_and_mix(images, labels, epoch, position)

    def _erase_and_mix(
        self, images: Tensor, labels: Tensor, epoch: int, position: int
    ) -> tuple[Tensor, Tensor]:
        """Augment a normalized training batch."""
        image_size = images.shape[-1]
        if self.random_erase_prob:
            rank = self._device_and_rank()[1]
            # 1 + rank: NumPy ignores a 0 at the end, and rank 0 would repeat sample_mix's draws.
            rng = np.random.default_rng((self.seed, epoch, position, 1 + rank))
            boxes = sample_erase_boxes(len(images), image_size, self.random_erase_prob, rng)
            images = erase_boxes(images, boxes)
        if not self.augmentation.mixes:
            return images, labels
        mix = sample_mix(self.augmentation, image_size, self.seed, epoch, position)
        images = apply_mix(images, mix).contiguous(memory_format=torch.channels_last)
        return images, mix_targets(labels, self.num_classes, mix)
