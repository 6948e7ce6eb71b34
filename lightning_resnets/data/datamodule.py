"""Base class of the datamodules: resuming in the middle of an epoch, and ranks."""

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import CombinedLoader

from lightning_resnets.data.sampler import EpochProgress
from lightning_resnets.errors import DataError

SETUP_FIRST = "The images are not read yet: call setup() first, or let a Trainer do it."
# A Beta distribution with larger parameters mixes all images half and half.
MAX_ALPHA = 100.0


class NoLoaders(CombinedLoader):
    """No loaders at all. Lightning takes an empty list for one loader without batches."""

    def __init__(self) -> None:
        super().__init__([], "sequential")

    @property
    def flattened(self) -> list[Any]:
        """Return no loaders."""
        return []

    @flattened.setter
    def flattened(self, flattened: list[Any]) -> None:
        """Keep none: Lightning sets the loaders that it has prepared, of which there are none.

        Args:
            flattened: ignored.
        """


class ResumableDataModule(L.LightningDataModule):
    """LightningDataModule whose training loader resumes at any batch.

    Args:
        batch_size: training images per batch and device.
    """

    class_names: Sequence[str]

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self._given_batch_size = batch_size
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

    def _cut_batch_size(self, num_images: int) -> None:
        """Cut a batch size that Lightning's batch-size finder has set to the number of images."""
        per_device = max(1, num_images // self._device_and_rank()[2])
        # One that the user gave raises an error instead.
        if self.batch_size != self._given_batch_size and self.batch_size > per_device:
            self.batch_size = per_device
            self.hparams["batch_size"] = per_device

    def _no_val_loaders(self, example: int) -> NoLoaders:
        """Return no loaders, with which `fit` skips validation.

        Raises:
            DataError: validation was requested.
        """
        if self.trainer is not None and self.trainer.state.fn == "fit":
            return NoLoaders()
        raise DataError(
            "There are no validation images. Set their number, for example "
            f"--data.num_val_images {example}."
        )

    def _start_training(self, loader: EpochProgress) -> None:
        """Keep the new training loader, and set it to the position of a resumed run."""
        self._train_loader = loader
        loader.is_fixed = getattr(self.trainer, "overfit_batches", 0) > 0
        if self._resume_state:
            loader.load_state_dict(self._resume_state)
        # A loader that Lightning requests later, in the same run, starts at an epoch of its own.
        self._resume_state = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the next training batch."""
        state = self._train_loader.state_dict() if self._train_loader else self._resume_state
        return roll_over_epoch(state, self.trainer)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume at a position, whether or not the loader exists yet.

        Args:
            state_dict: result of `state_dict`.
        """
        # Read now, so that damage is found while the checkpoint is restored.
        self._resume_state = {name: int(state_dict[name]) for name in ("epoch", "position")}
        # Lightning's own restoring misses a loader that was made before.
        if self._train_loader:
            self._train_loader.load_state_dict(self._resume_state)


def roll_over_epoch(state: dict[str, Any], trainer: L.Trainer | None) -> dict[str, Any]:
    """Count an epoch that `limit_train_batches` ends here as complete.

    Args:
        state: result of `EpochProgress.state_dict`, or empty.
        trainer: the trainer, or None outside of a run.

    Returns:
        The state, at the start of the next epoch if this one is over.
    """
    if state and trainer is not None and 0 < trainer.num_training_batches <= state["position"]:
        return {"epoch": state["epoch"] + 1, "position": 0}
    return state
