"""Epochs of images that worker processes load: who loads what and when, and going on in the middle of one.

What an image becomes is decided by its key alone, so the number of workers changes nothing.
"""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from lightning_resnets.data.augment import epoch_seed
from lightning_resnets.errors import DataError

SPLIT_SEED = 0  # the seed of images held out: the same ones in every run, whatever its own seed


class EpochProgress:
    """Which batch comes next; true even where the caller stops at the last batch without asking for one more."""

    def __init__(self) -> None:
        self.epoch = self.position = 0
        self._resumed = False

    def start(self) -> tuple[int, int]:
        """The epoch and the position in it to begin at, when a loop over the loader starts."""
        if (
            self.position and not self._resumed
        ):  # the epoch before was left early (limit_train_batches)
            self.epoch, self.position = self.epoch + 1, 0
        self._resumed = False
        return self.epoch, self.position

    def advance(self, epoch: int, position: int, count: int) -> None:
        """The batch at a position of an epoch of `count` is about to be given."""
        self.epoch, self.position = divmod(epoch * count + position + 1, count)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]
        self._resumed = True


def roll_over_epoch(state: dict[str, Any], trainer: L.Trainer | None) -> dict[str, Any]:
    """The state with an epoch that `limit_train_batches` ends here counted as ended."""
    if state and trainer is not None and 0 < trainer.num_training_batches <= state["position"]:
        return {"epoch": state["epoch"] + 1, "position": 0}
    return state


def resolve_seed(seed: int | None) -> int:
    """The seed given, else that of Lightning's `seed_everything`, else 0."""
    return int(os.environ.get("PL_GLOBAL_SEED", "0")) if seed is None else seed


class SampleKey(NamedTuple):
    """Which image, the how many-eth time in its epoch, in which epoch, at which side."""

    image_index: int
    repeat: int
    epoch: int
    image_size: int


class EpochSampler(Sampler[list[SampleKey]]):
    """The batches of keys of an epoch for one process of `world`; the last, smaller batch is dropped.

    `chosen` (N,) are the images to choose from. With `repeats` an epoch has every repeats-th image, so often, one
    after the other, hence in different processes (Hoffer et al. 2019, arXiv:1901.09335). `sides` says from which epoch
    on images have which side. `epoch` and `position` say where to begin.
    """

    def __init__(
        self,
        chosen: Tensor,
        batch_size: int,
        sides: dict[int, int],
        seed: int = 0,
        repeats: int = 1,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.chosen, self.batch_size, self.sides, self.seed, self.repeats = (
            chosen,
            batch_size,
            sides,
            seed,
            repeats,
        )
        self.rank, self.world = rank, world
        self.epoch = self.position = 0
        if not len(self):
            raise DataError(
                f"{len(chosen):,} images give no batch of {batch_size:,} in {world} process(es): take a smaller batch."
            )

    def __len__(self) -> int:
        return len(self.chosen) // self.world // self.batch_size

    def image_size(self, epoch: int) -> int:
        return self.sides[max(start for start in self.sides if start <= epoch)]

    def __iter__(self) -> Iterator[list[SampleKey]]:
        epoch, count = self.epoch, len(self.chosen)
        mixed = torch.randperm(
            count, generator=torch.Generator().manual_seed(epoch_seed(self.seed, epoch))
        )
        places = torch.arange(self.rank, count, self.world)
        order, repeat, side = (
            self.chosen[mixed[places // self.repeats]],
            places % self.repeats,
            self.image_size(epoch),
        )
        for position in range(self.position, len(self)):
            part = slice(position * self.batch_size, (position + 1) * self.batch_size)
            pairs = zip(order[part].tolist(), repeat[part].tolist(), strict=True)
            yield [SampleKey(number, time, epoch, side) for number, time in pairs]


class TrainLoader(EpochProgress):
    """One epoch after the other out of a DataLoader with an `Order`: images, labels and (epoch, position) of a batch.

    `state_dict` says which batch comes next; it is true even where the caller stops at the last batch without asking
    for one more. An epoch that is left early is followed by a whole one.
    """

    def __init__(self, loader: DataLoader[Any], order: EpochSampler) -> None:
        super().__init__()
        self.loader, self.order = loader, order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, tuple[int, int]]]:
        epoch, first = self.order.epoch, self.order.position = self.start()
        for position, (images, labels) in enumerate(reraise_worker_errors(self.loader), first):
            self.advance(epoch, position, len(self))
            yield images, labels, (epoch, position)


class EvalLoader:
    """Every image once, in order, out of a DataLoader: images and labels."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from reraise_worker_errors(self.loader)


def reraise_worker_errors(loader: DataLoader[Any]) -> Iterator[tuple[Tensor, Tensor]]:
    """A loader's batches; an exception that came in place of one is raised here.

    Raised in a worker, its sentence would come wrapped in the worker's whole stack.
    """
    for batch in loader:
        if isinstance(batch, Exception):
            raise batch
        yield batch
