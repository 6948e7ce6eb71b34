"""Base class of the datamodules: resuming in the middle of an epoch, and ranks."""

import os
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch

from lightning_resnets.data.sampler import EpochProgress, roll_over_epoch


class ResumableDataModule(L.LightningDataModule):
    """LightningDataModule whose training loader resumes at any batch."""

    class_names: Sequence[str]

    def __init__(self) -> None:
        super().__init__()
        self._train_loader: EpochProgress | None = None
        self._resume_state: dict[str, Any] = {}

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def _device_and_rank(self) -> tuple[torch.device, int, int]:
        """Return the device, the rank and the number of ranks; outside of a run the CPU alone."""
        trainer = self.trainer
        if trainer is None:
            return torch.device("cpu"), 0, 1
        return trainer.strategy.root_device, trainer.global_rank, trainer.world_size

    def _resolve_num_workers(self, num_workers: int | None) -> int:
        """Return the number of worker processes; None shares the cores among the devices."""
        if num_workers is not None:
            return num_workers
        num_devices = self.trainer.num_devices if self.trainer else 1
        return max(1, num_cores() // num_devices)

    def _disable_validation_if_empty(self, stage: str | None, num_val_images: int) -> None:
        """Turn validation off where no images were split off."""
        if stage == "fit" and not num_val_images and self.trainer is not None:
            # Lightning asks for a loader unless the limit is 0.
            self.trainer.limit_val_batches = 0

    def _resume(self, loader: EpochProgress) -> None:
        """Keep the new training loader, and set it to the position of a resumed run."""
        self._train_loader = loader
        if self._resume_state:
            loader.load_state_dict(self._resume_state)

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the next training batch."""
        state = self._train_loader.state_dict() if self._train_loader else self._resume_state
        return roll_over_epoch(state, self.trainer)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume at a position, whether or not the loader exists yet.

        Args:
            state_dict: result of `state_dict`.
        """
        # Lightning's own restoring misses a loader that was made before.
        self._resume_state = state_dict
        if self._train_loader:
            self._train_loader.load_state_dict(state_dict)


def identity_collate(batch: Any) -> Any:
    """Return a batch, which comes whole from the dataset.

    Args:
        batch: anything.

    Returns:
        The same object. A lambda could not be sent to worker processes.
    """
    return batch


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
