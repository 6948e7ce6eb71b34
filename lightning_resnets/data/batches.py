"""Batches made from pictures that lie in memory (or on the GPU) as one uint8 tensor: no worker processes."""

from collections.abc import Iterator

import torch
from torch import Tensor

from lightning_resnets.data.augment import (
    Augmentation,
    Draws,
    crop,
    cutout,
    draw,
    mirror,
    mixed,
    mixed_targets,
    mixing,
)
from lightning_resnets.data.progress import Progress
from lightning_resnets.data.trivial import trivial


class Normalise:
    """uint8 (N, C, H, W) to float32, channels last: pictures in 0..1, minus mean, over std, as one multiplication."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> None:
        deviation = torch.tensor(std, device=device).view(1, -1, 1, 1)
        self.scale = 1 / (255 * deviation)
        self.offset = torch.tensor(mean, device=device).view(1, -1, 1, 1) / deviation

    def __call__(self, images: Tensor) -> Tensor:
        return (images * self.scale - self.offset).contiguous(memory_format=torch.channels_last)


class TrainBatches(Progress):
    """Augmented batches of one epoch after the other; the last, smaller batch is dropped.

    Yields images (N, C, H, W) float32 and labels (N,) int64, or, where pictures are mixed, probabilities (N, classes)
    float32; with dual cutout 2 N of each, the second half the same pictures under the other squares. `rank` of `world`
    processes takes every world-th picture of the epoch's order. `state_dict` says which batch comes next, so that a run
    goes on in the middle of an epoch.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, batch_size: int, normalise: Normalise, augmentation: Augmentation,
        seed: int = 0, rank: int = 0, world: int = 1, classes: int = 10,
    ) -> None:  # fmt: skip
        super().__init__()
        self.images, self.labels, self.batch_size, self.classes = images, labels, batch_size, classes
        self.normalise, self.augmentation, self.seed = normalise, augmentation, seed
        self.rank, self.world = rank, world
        if not len(self):
            raise ValueError(
                f"{len(labels)} pictures give no batch of {batch_size} in {world} process(es): take a smaller batch."
            )

    def __len__(self) -> int:
        return len(self.labels) // self.world // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, start = self.begin()
        draws = draw(len(self.labels), self.images.shape[-1], self.augmentation, self.seed, epoch)
        draws = draws.to(self.images.device)
        for position in range(start, len(self)):
            first = position * self.batch_size * self.world
            chosen = draws[first + self.rank : first + self.batch_size * self.world : self.world]
            self.passed(epoch, position, len(self))
            yield self._batch(chosen, epoch, position)

    def _batch(self, draws: Draws, epoch: int, position: int) -> tuple[Tensor, Tensor]:
        plan = self.augmentation
        images, labels = crop(self.images[draws.order], draws.shift, plan.pad), self.labels[draws.order]
        images = mirror(images, draws.flip)  # (N, C, H, W) uint8
        if plan.trivial:
            images = trivial(images, self.seed, epoch, position * self.world + self.rank)
        images = self.normalise(images)
        holed = cutout(images, draws.hole, plan.cutout)
        if plan.dual_cutout:
            holed = torch.cat((holed, cutout(images, draws.second, plan.cutout)))
            labels = labels.repeat(2)
        if not plan.mixes:
            return holed, labels
        mix = mixing(plan, images.shape[-1], self.seed, epoch, position)
        return mixed(holed, mix), mixed_targets(labels, self.classes, mix)


class EvalBatches:
    """Every picture once, in order, unchanged; with several processes each takes its own share and none is padded."""

    def __init__(
        self, images: Tensor, labels: Tensor, batch_size: int, normalise: Normalise, rank: int = 0, world: int = 1
    ) -> None:
        self.images, self.labels = images[rank::world], labels[rank::world]
        self.batch_size, self.normalise = batch_size, normalise

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in zip(self.images.split(self.batch_size), self.labels.split(self.batch_size), strict=True):
            yield self.normalise(images), labels
