"""Batches of images that lie in memory, or on the GPU, as one uint8 tensor: no worker processes."""

from collections.abc import Iterator, Sized

import torch
from torch import Tensor

from lightning_resnets.data.augment import (
    Augmentation,
    EpochAugmentation,
    cutout,
    horizontal_flip,
    random_crop,
    sample_epoch,
    trivial_augment,
)
from lightning_resnets.data.mixup import apply_mix, mix_targets, sample_mix
from lightning_resnets.data.sampler import EpochProgress
from lightning_resnets.errors import DataError


class Normalize:
    """Normalize batches of bytes, with one multiplication and one subtraction.

    Args:
        mean: mean of each channel for pixels in 0 to 1.
        std: standard deviation of each channel.
        device: device of the batches.
    """

    def __init__(
        self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
    ) -> None:
        # (x / 255 - mean) / std, rearranged so that a batch takes two operations.
        deviation = torch.tensor(std, device=device).view(1, -1, 1, 1)
        self.scale = 1 / (255 * deviation)
        self.offset = torch.tensor(mean, device=device).view(1, -1, 1, 1) / deviation

    def __call__(self, images: Tensor) -> Tensor:
        """Return (N, C, H, W) float32, channels last, of (N, C, H, W) uint8."""
        return (images * self.scale - self.offset).contiguous(memory_format=torch.channels_last)


class TrainBatchLoader(EpochProgress):
    """Yield augmented batches, one epoch per iteration; the last, smaller batch is dropped.

    A batch is images (N, C, H, W) float32 and labels (N,) int64, or probabilities (N, K) float32
    where images are mixed. With dual cutout it is twice as large; the second half has the same
    images with other squares. `state_dict` holds the position of the next batch, so that a run
    resumes in the middle of an epoch.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,) int64.
        batch_size: images per batch and rank.
        normalize: applied after the augmentation of bytes.
        augmentation: augmentation of each image.
        seed: seed of order and augmentation.
        rank: this process, which takes every `world_size`-th image of the epoch's order.
        world_size: number of processes.
        num_classes: number K of classes, for mixed labels.

    Raises:
        DataError: there are fewer images than one batch.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        normalize: Normalize,
        augmentation: Augmentation,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        self.images = images
        self.labels = labels
        self.batch_size = batch_size
        self.normalize = normalize
        self.augmentation = augmentation
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.num_classes = num_classes
        self._check_num_images()

    def _check_num_images(self) -> None:
        """Raise DataError if there are fewer images than one batch."""
        if not len(self):
            raise DataError(
                f"{len(self.labels)} images are fewer than one batch of {self.batch_size} on "
                f"{self.world_size} device(s): choose a smaller batch size."
            )

    @property
    def dataset(self) -> Sized:
        """Labels (N,) of all images; Lightning's batch-size finder stops at their number."""
        return self.labels

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return len(self.labels) // self.world_size // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the remaining batches of the current epoch."""
        epoch, first_position = self.start()
        image_size = self.images.shape[-1]
        draws = sample_epoch(len(self.labels), image_size, self.augmentation, self.seed, epoch)
        draws = draws.to(self.images.device)
        images_per_step = self.batch_size * self.world_size
        for position in range(first_position, len(self)):
            start = position * images_per_step
            # Neighbors in the order go to different ranks, as with a DistributedSampler.
            selection = slice(start + self.rank, start + images_per_step, self.world_size)
            # Before the yield: a checkpoint saved during this batch resumes at the next one.
            self.advance(epoch, position, len(self))
            yield self._batch(draws[selection], epoch, position)

    def _batch(self, draws: EpochAugmentation, epoch: int, position: int) -> tuple[Tensor, Tensor]:
        """Augment and normalize one batch."""
        plan = self.augmentation
        labels = self.labels[draws.order]
        images = random_crop(self.images[draws.order], draws.crop_offset, plan.crop_padding)
        images = horizontal_flip(images, draws.flip)  # (N, C, H, W) uint8
        # On bytes, for which its operations are defined.
        if plan.trivial_augment:
            # Ranks have different images, so they draw different operations.
            draw = position * self.world_size + self.rank
            images = trivial_augment(images, self.seed, epoch, draw)
        images = self.normalize(images)
        # After the normalization, where 0 is the mean.
        batch = cutout(images, draws.cutout_center, plan.cutout)
        if plan.dual_cutout:
            second = cutout(images, draws.second_cutout_center, plan.cutout)
            batch = torch.cat((batch, second))
            labels = labels.repeat(2)
        if not plan.mixes:
            return batch, labels
        # Without the rank: a batch is mixed in the same way on all devices.
        mix = sample_mix(plan, images.shape[-1], self.seed, epoch, position)
        return apply_mix(batch, mix), mix_targets(labels, self.num_classes, mix)


class EvalBatchLoader:
    """Yield every image once, in order and not augmented; ranks split the images without padding.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,) int64.
        batch_size: images per batch and rank.
        normalize: applied to every batch.
        rank: this process, which takes every `world_size`-th image.
        world_size: number of processes.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        normalize: Normalize,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.images = images[rank::world_size]
        self.labels = labels[rank::world_size]
        self.batch_size = batch_size
        self.normalize = normalize

    @property
    def dataset(self) -> Sized:
        """Labels (N,) of all images; Lightning's batch-size finder stops at their number."""
        return self.labels

    def __len__(self) -> int:
        """Return the number of batches."""
        # Rounded up: the last, smaller batch counts.
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (N, C, H, W) float32 and labels (N,) int64."""
        image_batches = self.images.split(self.batch_size)
        label_batches = self.labels.split(self.batch_size)
        for images, labels in zip(image_batches, label_batches, strict=True):
            yield self.normalize(images), labels
