"""Batches made from pictures that lie in memory (or on the GPU) as one uint8 tensor: no worker processes."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lightning_resnets.data.augment import Augmentation, crop, cutout, draw, mirror


class Normalise:
    """uint8 (N, C, H, W) to float32, channels last: pictures in 0..1, minus mean, over std, as one multiplication."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> None:
        deviation = torch.tensor(std, device=device).view(1, -1, 1, 1)
        self.scale = 1 / (255 * deviation)
        self.offset = torch.tensor(mean, device=device).view(1, -1, 1, 1) / deviation

    def __call__(self, images: Tensor) -> Tensor:
        return (images * self.scale - self.offset).contiguous(memory_format=torch.channels_last)


class TrainBatches:
    """Augmented batches of one epoch after the other; the last, smaller batch is dropped.

    Yields images (N, C, H, W) float32 and labels (N,) int64. `rank` of `world` processes takes every world-th picture
    of the epoch's order. `state_dict` says which batch comes next, so that a run goes on in the middle of
    an epoch; it is true even where the caller stops at the last batch without asking for one more.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, batch_size: int, normalise: Normalise, augmentation: Augmentation,
        seed: int = 0, rank: int = 0, world: int = 1,
    ) -> None:  # fmt: skip
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self.normalise, self.augmentation, self.seed = normalise, augmentation, seed
        self.rank, self.world = rank, world
        self.epoch = self.position = 0
        self._resumed = False
        if not len(self):
            raise ValueError(
                f"{len(labels)} pictures give no batch of {batch_size} in {world} process(es): take a smaller batch."
            )

    def __len__(self) -> int:
        return len(self.labels) // self.world // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self.position and not self._resumed:  # the epoch before was left early (limit_train_batches)
            self.epoch, self.position = self.epoch + 1, 0
        self._resumed = False
        draws = draw(len(self.labels), self.images.shape[-1], self.augmentation, self.seed, self.epoch)
        for position in range(self.position, len(self)):
            first = position * self.batch_size * self.world + self.rank
            places = torch.arange(first, first + self.batch_size * self.world, self.world)
            self.epoch, self.position = divmod(self.epoch * len(self) + position + 1, len(self))
            order, device = draws.order[places].to(self.images.device), self.images.device
            images = crop(self.images[order], draws.shift[places].to(device), self.augmentation.pad)
            images = self.normalise(mirror(images, draws.flip[places].to(device)))
            yield cutout(images, draws.hole[places].to(device), self.augmentation.cutout), self.labels[order]

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]
        self._resumed = True


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
