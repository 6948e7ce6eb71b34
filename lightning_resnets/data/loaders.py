"""Loaders whose batches come from worker processes, and what they do about damaged images."""

import warnings
from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from lightning_resnets.data.image_dataset import BatchOrError, ImageBatch
from lightning_resnets.data.sampler import EpochProgress, EpochSampler
from lightning_resnets.errors import DataWarning


def identity_collate(batch: Any) -> Any:
    """Return a batch, which comes whole from the dataset.

    Args:
        batch: anything.

    Returns:
        The same object. A lambda could not be sent to worker processes.
    """
    return batch


class WorkerBatches:
    """Batches of a DataLoader, without the errors and damaged images that come with them.

    Args:
        loader: loader of batches or errors.

    Attributes:
        damaged: message of each damaged image that was skipped, by its index.
    """

    def __init__(self, loader: DataLoader[BatchOrError]) -> None:
        self.loader = loader
        self.damaged: dict[int, str] = {}

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and labels.

        Raises:
            DataError: a worker could not read an image.
            ImageError: a worker could not read an image.
        """
        for batch in self.loader:
            # Raised in a worker, the message would arrive wrapped in the worker's whole traceback.
            if isinstance(batch, Exception):
                raise batch
            assert isinstance(batch, ImageBatch)
            self._report(batch.damaged)
            yield batch.images, batch.labels

    def _report(self, damaged: dict[int, str]) -> None:
        """Warn about the first damaged image; the datamodule counts them at the end."""
        if damaged and not self.damaged:
            message = next(iter(damaged.values()))
            warnings.warn(f"Skipped a damaged image. {message}", DataWarning, stacklevel=2)
        self.damaged |= damaged

    def shut_down(self) -> None:
        """Stop worker processes that wait for the next epoch."""
        iterator = self.loader._iterator  # noqa: SLF001 - torch has no public method
        if iterator is not None:
            iterator._shutdown_workers()  # type: ignore[attr-defined]  # noqa: SLF001
        self.loader._iterator = None  # noqa: SLF001


class TrainLoader(EpochProgress):
    """Yield one epoch per iteration from a DataLoader with an `EpochSampler`.

    Args:
        batches: batches of the DataLoader.
        key_sampler: its batch sampler.
    """

    def __init__(self, batches: WorkerBatches, key_sampler: EpochSampler) -> None:
        super().__init__()
        self.batches = batches
        # Lightning would take an attribute `sampler` for one that it may replace.
        self.key_sampler = key_sampler

    @property
    def dataset(self) -> Tensor:
        """Indices (N,) of the images; Lightning's batch-size finder stops at their number."""
        return self.key_sampler.indices

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return len(self.key_sampler)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, tuple[int, int]]]:
        """Yield images, labels and (epoch, position) of each remaining batch."""
        epoch, first_position = self.start()
        self.key_sampler.epoch = epoch
        self.key_sampler.position = first_position
        for position, (images, labels) in enumerate(self.batches, first_position):
            self.advance(epoch, position, len(self))
            yield images, labels, (epoch, position)


class EvalLoader:
    """Yield every image once, in order, from a DataLoader.

    Args:
        batches: batches of the DataLoader.
        indices: (N,) int64, the images.
    """

    def __init__(self, batches: WorkerBatches, indices: Tensor) -> None:
        self.batches = batches
        self.dataset = indices

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.batches.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and labels."""
        # A batch is empty if all of its images are damaged.
        return (batch for batch in self.batches if len(batch[1]))
