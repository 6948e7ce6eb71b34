"""Order of the images of an epoch that worker processes load, resumable at any batch.

An image's augmentation depends on its key alone, so the number of workers changes nothing. Worker
processes that are spawned import this module, so it must not import Lightning, which takes seconds.
"""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Sampler

from lightning_resnets.data.augment import epoch_seed
from lightning_resnets.errors import DataError
from lightning_resnets.utils.arguments import MAX_SEED, check_int

# Seed of the validation split: the same images in every run, whatever the run's own seed.
SPLIT_SEED = 0


class EpochHook(NamedTuple):
    """Lightning calls `loader.batch_sampler.sampler.set_epoch` before every training epoch."""

    sampler: "EpochProgress"


class EpochProgress:
    """Position of the next batch of a loader.

    Lightning sets the epoch. Outside of a Trainer the loader counts its epochs. The position is
    right even where the caller stops at the last batch without asking for one more.

    Attributes:
        epoch: epoch of the next batch.
        position: its position in that epoch.
        is_fixed: repeat the first epoch, for `Trainer(overfit_batches=...)`.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.position = 0
        self.is_fixed = False
        self._is_resumed = False

    @property
    def batch_sampler(self) -> EpochHook:
        """Object through which Lightning sets the epoch."""
        return EpochHook(self)

    def set_epoch(self, epoch: int) -> None:
        """Move to the start of an epoch, or stay at a resumed position in it.

        Args:
            epoch: epoch of the Trainer.
        """
        if self.is_fixed:
            epoch = 0
        # Lightning sets the epoch again when it resumes within it.
        if self._is_resumed and epoch == self.epoch:
            return
        self.epoch = epoch
        self.position = 0
        self._is_resumed = False

    def start(self) -> tuple[int, int]:
        """Start a loop over the loader.

        Returns:
            The epoch and the position of its first batch.
        """
        # An epoch that was left early (limit_train_batches) is followed by a whole one.
        if self.position and not self._is_resumed:
            self.epoch += not self.is_fixed
            self.position = 0
        self._is_resumed = False
        return self.epoch, self.position

    def advance(self, epoch: int, position: int, num_batches: int) -> None:
        """Move to the batch after this one.

        Args:
            epoch: epoch of the batch that is about to be yielded.
            position: its position.
            num_batches: number of batches of an epoch.
        """
        # divmod moves on to the start of the next epoch after the last batch.
        self.epoch, self.position = divmod(epoch * num_batches + position + 1, num_batches)
        if self.is_fixed:
            self.epoch = 0

    def state_dict(self) -> dict[str, Any]:
        """Return epoch and position of the next batch."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume at a saved position.

        Args:
            state: result of `state_dict`.
        """
        self.epoch = state["epoch"]
        self.position = state["position"]
        self._is_resumed = True


def resolve_seed(seed: int | None) -> int:
    """Choose the seed of a datamodule.

    Args:
        seed: explicit seed, or None.

    Returns:
        That seed, else the one of Lightning's `seed_everything`, else 0.

    Raises:
        DataError: the seed is not an integer of at least 0.
    """
    if seed is None:
        # seed_everything leaves its seed here, also for processes that are started later.
        return int(os.environ.get("PL_GLOBAL_SEED", "0"))
    return check_int("seed", seed, 0, MAX_SEED, DataError)


class SampleKey(NamedTuple):
    """Identifies a training sample: image index, repeat, epoch, image size."""

    image_index: int
    repeat: int
    epoch: int
    image_size: int


class EpochSampler(Sampler[list[SampleKey]]):
    """Yield the batches of keys of one epoch for one rank; the last, smaller batch is dropped.

    `epoch` and `position` are attributes that say where to start.

    Args:
        indices: (N,) int64, the images to choose from.
        batch_size: images per batch and rank.
        image_sizes: side of the images in pixels, by the first epoch with this size.
        seed: seed of the order.
        num_repeats: each image of an epoch comes so often in a row, hence on different ranks, and
            an epoch has that much fewer images (Hoffer et al. 2019, arXiv:1901.09335).
        rank: this process.
        world_size: number of processes.

    Raises:
        DataError: there are fewer images than one batch.
    """

    def __init__(
        self,
        indices: Tensor,
        batch_size: int,
        image_sizes: dict[int, int],
        seed: int = 0,
        num_repeats: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.indices = indices
        self.batch_size = batch_size
        self.image_sizes = image_sizes
        self.seed = seed
        self.num_repeats = num_repeats
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.position = 0
        if not len(self):
            raise DataError(
                f"{len(indices):,} images are fewer than one batch of {batch_size:,} on "
                f"{world_size} device(s): choose a smaller batch size."
            )

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        # Rounded down, because every rank must take the same number of steps.
        return len(self.indices) // self.world_size // self.batch_size

    def image_size(self, epoch: int) -> int:
        """Return the side of the images of an epoch.

        Args:
            epoch: number of the epoch.

        Returns:
            Side in pixels.
        """
        # The latest change up to this epoch; there is always one at epoch 0.
        return self.image_sizes[max(start for start in self.image_sizes if start <= epoch)]

    def __iter__(self) -> Iterator[list[SampleKey]]:
        """Yield the keys of each remaining batch."""
        epoch = self.epoch
        image_size = self.image_size(epoch)
        rng = torch.Generator().manual_seed(epoch_seed(self.seed, epoch))
        shuffled = torch.randperm(len(self.indices), generator=rng)
        # Positions of this rank in the epoch's order, in which repeats follow each other.
        positions = torch.arange(self.rank, len(self.indices), self.world_size)
        order = self.indices[shuffled[positions // self.num_repeats]]
        repeats = positions % self.num_repeats
        for batch in range(self.position, len(self)):
            part = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
            pairs = zip(order[part].tolist(), repeats[part].tolist(), strict=True)
            # Plain numbers: a tensor sent to a worker takes a block of shared memory.
            yield [SampleKey(index, repeat, epoch, image_size) for index, repeat in pairs]
