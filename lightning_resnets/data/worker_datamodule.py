"""Base class of the datamodules whose images are loaded in worker processes."""

import os
import warnings
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_resnets.data.datamodule import ResumableDataModule
from lightning_resnets.data.loaders import (
    EvalLoader,
    TrainLoader,
    WorkerBatches,
    identity_collate,
)
from lightning_resnets.data.sampler import EpochSampler
from lightning_resnets.errors import DataWarning
from lightning_resnets.utils.format import join_first, plural

MAX_LISTED = 3  # damaged images in a message


class WorkerDataModule(ResumableDataModule):
    """Build loaders with worker processes, and stop these processes at the end of a run.

    Args:
        batch_size: training images per batch and device.
        num_workers: worker processes; None for one per core.
    """

    def __init__(self, batch_size: int, num_workers: int | None) -> None:
        super().__init__(batch_size)
        self.num_workers = num_workers
        self._worker_batches: list[WorkerBatches] = []

    def _resolve_num_workers(self) -> int:
        """Return the number of worker processes; None shares the cores among the devices."""
        if self.num_workers is not None:
            return self.num_workers
        num_devices = self.trainer.num_devices if self.trainer else 1
        return max(1, num_cores() // num_devices)

    def _train_loader_of(self, dataset: Dataset[Any], key_sampler: EpochSampler) -> TrainLoader:
        """Build the training loader, at the position of a resumed run."""
        batches = self._worker_batches_of(dataset, key_sampler)
        loader = TrainLoader(batches, key_sampler)
        self._start_training(loader)
        return loader

    def _eval_loader_of(
        self, dataset: Dataset[Any], indices: Tensor, batch_size: int
    ) -> EvalLoader:
        """Build a loader of images in order; ranks split them without padding."""
        _, rank, world_size = self._device_and_rank()
        parts = indices[rank::world_size].split(batch_size)
        batches = self._worker_batches_of(dataset, [part.tolist() for part in parts])
        return EvalLoader(batches, indices)

    def _worker_batches_of(self, dataset: Dataset[Any], batch_sampler: Any) -> WorkerBatches:
        """Build a DataLoader with worker processes."""
        num_workers = self._resolve_num_workers()
        loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=batch_sampler,
            num_workers=num_workers,
            collate_fn=identity_collate,
            pin_memory=self._device_and_rank()[0].type == "cuda",
            # A generator of its own: the run's draws must not depend on the loader.
            generator=torch.Generator(),
            # A spawned worker (macOS, Windows) imports torch, which takes seconds each time.
            persistent_workers=num_workers > 0,
        )
        batches = WorkerBatches(loader)
        self._worker_batches.append(batches)
        return batches

    def teardown(self, stage: str | None = None) -> None:
        """Stop the worker processes, and count the damaged images that were skipped.

        Args:
            stage: unused.
        """
        # A dictionary keeps the order, and an image that several loaders report counts once.
        messages: dict[str, None] = {}
        for batches in self._worker_batches:
            batches.shut_down()
            messages |= dict.fromkeys(batches.damaged.values())
        self._worker_batches = []
        if messages:
            count = plural(len(messages), "damaged image")
            warnings.warn(
                f"Skipped {count} in all. {join_first(messages, MAX_LISTED)}",
                DataWarning,
                stacklevel=2,
            )


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    # macOS and Windows do not tell; cpu_count itself may be unknown.
    return os.cpu_count() or 1
