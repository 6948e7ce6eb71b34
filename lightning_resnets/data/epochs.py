"""Epochs of pictures that worker processes load: who loads what and when, and going on in the middle of one.

What a picture becomes is decided by its key alone, so the number of workers changes nothing.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from lightning_resnets.data.augment import seeded
from lightning_resnets.data.official import DataError
from lightning_resnets.data.progress import Progress


class Key(NamedTuple):
    """Which picture, the how many-eth time in its epoch, in which epoch, at which side."""

    number: int
    repeat: int
    epoch: int
    side: int


class Order(Sampler[list[Key]]):
    """The batches of keys of an epoch for one process of `world`; the last, smaller batch is dropped.

    `chosen` (N,) are the pictures to choose from. With `repeats` an epoch has every repeats-th picture, so often, one
    after the other, hence in different processes (Hoffer et al. 2019, arXiv:1901.09335). `sides` says from which epoch
    on pictures have which side. `epoch` and `position` say where to begin.
    """

    def __init__(
        self, chosen: Tensor, batch_size: int, sides: dict[int, int], seed: int = 0, repeats: int = 1, rank: int = 0,
        world: int = 1,
    ) -> None:  # fmt: skip
        self.chosen, self.batch_size, self.sides, self.seed, self.repeats = chosen, batch_size, sides, seed, repeats
        self.rank, self.world = rank, world
        self.epoch = self.position = 0
        if not len(self):
            raise DataError(
                f"{len(chosen):,} pictures give no batch of {batch_size:,} in {world} process(es): "
                "take a smaller batch."
            )

    def __len__(self) -> int:
        return len(self.chosen) // self.world // self.batch_size

    def side(self, epoch: int) -> int:
        return self.sides[max(start for start in self.sides if start <= epoch)]

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, count = self.epoch, len(self.chosen)
        mixed = torch.randperm(count, generator=torch.Generator().manual_seed(seeded(self.seed, epoch)))
        places = torch.arange(self.rank, count, self.world)
        order, repeat, side = self.chosen[mixed[places // self.repeats]], places % self.repeats, self.side(epoch)
        for position in range(self.position, len(self)):
            part = slice(position * self.batch_size, (position + 1) * self.batch_size)
            pairs = zip(order[part].tolist(), repeat[part].tolist(), strict=True)
            yield [Key(number, time, epoch, side) for number, time in pairs]


class Epochs(Progress):
    """One epoch after the other out of a DataLoader with an `Order`: images, labels and (epoch, position) of a batch.

    `state_dict` says which batch comes next; it is true even where the caller stops at the last batch without asking
    for one more. An epoch that is left early is followed by a whole one.
    """

    def __init__(self, loader: DataLoader[Any], order: Order) -> None:
        super().__init__()
        self.loader, self.order = loader, order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, tuple[int, int]]]:
        epoch, first = self.order.epoch, self.order.position = self.begin()
        for position, (images, labels) in enumerate(raised(self.loader), first):
            self.passed(epoch, position, len(self))
            yield images, labels, (epoch, position)


class Once:
    """Every picture once, in order, out of a DataLoader: images and labels."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from raised(self.loader)


def raised(loader: DataLoader[Any]) -> Iterator[tuple[Tensor, Tensor]]:
    """A loader's batches; an exception that came in place of one is raised here.

    Raised in a worker, its sentence would come wrapped in the worker's whole stack.
    """
    for batch in loader:
        if isinstance(batch, Exception):
            raise batch
        yield batch
