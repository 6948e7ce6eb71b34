"""Batches made from images that lie in memory (or on the GPU) as one uint8 tensor: no worker processes."""

from collections.abc import Iterator

import torch
from torch import Tensor

from lightning_resnets.data.augment import (
    Augmentation,
    EpochAugmentation,
    apply_mix,
    cutout,
    horizontal_flip,
    mix_targets,
    random_crop,
    sample_epoch,
    sample_mix,
    trivial_augment,
)
from lightning_resnets.data.sampler import EpochProgress


class Normalize:
    """uint8 (N, C, H, W) to float32, channels last: images in 0..1, minus mean, over std, as one multiplication."""

    def __init__(
        self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
    ) -> None:
        deviation = torch.tensor(std, device=device).view(1, -1, 1, 1)
        self.scale = 1 / (255 * deviation)
        self.offset = torch.tensor(mean, device=device).view(1, -1, 1, 1) / deviation

    def __call__(self, images: Tensor) -> Tensor:
        return (images * self.scale - self.offset).contiguous(memory_format=torch.channels_last)


class TrainBatchLoader(EpochProgress):
    """Augmented batches of one epoch after the other; the last, smaller batch is dropped.

    Yields images (N, C, H, W) float32 and labels (N,) int64, or, where images are mixed, probabilities (N, classes)
    float32; with dual cutout 2 N of each, the second half the same images under the other squares. `rank` of `world`
    processes takes every world-th image of the epoch's order. `state_dict` says which batch comes next, so that a run
    goes on in the middle of an epoch.
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
        world: int = 1,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        self.images, self.labels, self.batch_size, self.classes = (
            images,
            labels,
            batch_size,
            num_classes,
        )
        self.normalize, self.augmentation, self.seed = normalize, augmentation, seed
        self.rank, self.world = rank, world
        if not len(self):
            raise ValueError(
                f"{len(labels)} images give no batch of {batch_size} in {world} process(es): take a smaller batch."
            )

    def __len__(self) -> int:
        return len(self.labels) // self.world // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, start = self.start()
        draws = sample_epoch(
            len(self.labels), self.images.shape[-1], self.augmentation, self.seed, epoch
        )
        draws = draws.to(self.images.device)
        for position in range(start, len(self)):
            first = position * self.batch_size * self.world
            chosen = draws[first + self.rank : first + self.batch_size * self.world : self.world]
            self.advance(epoch, position, len(self))
            yield self._batch(chosen, epoch, position)

    def _batch(self, draws: EpochAugmentation, epoch: int, position: int) -> tuple[Tensor, Tensor]:
        plan = self.augmentation
        images, labels = (
            random_crop(self.images[draws.order], draws.crop_offset, plan.crop_padding),
            self.labels[draws.order],
        )
        images = horizontal_flip(images, draws.flip)  # (N, C, H, W) uint8
        if plan.trivial_augment:
            images = trivial_augment(images, self.seed, epoch, position * self.world + self.rank)
        images = self.normalize(images)
        holed = cutout(images, draws.cutout_center, plan.cutout)
        if plan.dual_cutout:
            holed = torch.cat((holed, cutout(images, draws.second_cutout_center, plan.cutout)))
            labels = labels.repeat(2)
        if not plan.mixes:
            return holed, labels
        mix = sample_mix(plan, images.shape[-1], self.seed, epoch, position)
        return apply_mix(holed, mix), mix_targets(labels, self.classes, mix)


class EvalBatchLoader:
    """Every image once, in order, unchanged; with several processes each takes its own share and none is padded."""

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        normalize: Normalize,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.images, self.labels = images[rank::world], labels[rank::world]
        self.batch_size, self.normalize = batch_size, normalize

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in zip(
            self.images.split(self.batch_size), self.labels.split(self.batch_size), strict=True
        ):
            yield self.normalize(images), labels
