"""Loss and accuracy of an epoch as a torchmetrics.Metric that never waits for the device."""

import torch
from torch import Tensor
from torchmetrics import Metric


class ClassificationCounts(Metric):
    """Sums over the images of an epoch: loss, correct predictions, images.

    The stock metrics of torchmetrics copy their initial state to the device when they are reset,
    and check inputs by reading values from it. This one does neither, so that a training step
    stays free of synchronization. Counts are exact: they are int64. The loss is summed in float32,
    because MPS has no float64. `compute` adds up the sums of all ranks.

    The states are not part of a model's state dict.
    """

    full_state_update = False

    loss: Tensor
    correct: Tensor
    correct_flip_tta: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("loss", torch.zeros(()), dist_reduce_fx="sum")
        for name in ("correct", "correct_flip_tta", "total"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @property
    def update_called(self) -> bool:
        """Return True: a rank without images computes as well, and torchmetrics must not warn."""
        return True

    def update(self, loss: Tensor, is_correct: Tensor, is_correct_flip_tta: Tensor) -> None:
        """Add a batch.

        Args:
            loss: mean loss of the batch, a scalar.
            is_correct: (N,) bool, predictions that are correct.
            is_correct_flip_tta: (N,) bool, the same with flip test-time augmentation.
        """
        count = len(is_correct)
        self.loss.add_(loss.detach().float() * count)
        self.correct.add_(is_correct.sum())
        self.correct_flip_tta.add_(is_correct_flip_tta.sum())
        self.total.add_(count)

    def compute(self) -> dict[str, Tensor]:
        """Compute the means over the images of all ranks.

        Returns:
            loss, and accuracy and error (0 to 1) without and with flip test-time augmentation, and
            images as a count; all float32. All but images are NaN if there were no images.
        """
        images = self.total.float()
        accuracy = self.correct.float() / images
        accuracy_flip_tta = self.correct_flip_tta.float() / images
        return {
            "loss": self.loss / images,
            "accuracy": accuracy,
            "error": 1 - accuracy,
            "accuracy_flip_tta": accuracy_flip_tta,
            "error_flip_tta": 1 - accuracy_flip_tta,
            "images": images,
        }

    def reset(self) -> None:
        """Set all sums to zero, in new tensors on the metric's device."""
        self._update_count = 0
        self._computed = None
        self._forward_cache = None
        # An exception inside of `compute` leaves these behind.
        self._cache = None
        self._is_synced = False
        # After an evaluation on several ranks the states are inference tensors, which training
        # cannot update. In processes started by "ddp_spawn" they lie in memory that all share.
        with torch.inference_mode(False):
            for name, default in self._defaults.items():
                assert isinstance(default, Tensor)
                setattr(self, name, torch.zeros_like(default, device=self.device))


class CountedMean(Metric):
    """One of the means of `ClassificationCounts`, in the form that `LightningModule.log` takes.

    Args:
        counts: the counts.
        name: a key of `ClassificationCounts.compute`.
    """

    full_state_update = False

    def __init__(self, counts: ClassificationCounts, name: str) -> None:
        # The counts themselves are synchronized over ranks.
        super().__init__(sync_on_compute=False)
        # In a tuple it is not a submodule, which would be counted twice.
        self._counts = (counts,)
        self._name = name

    @property
    def update_called(self) -> bool:
        """Return True: the counts are updated instead."""
        return True

    def update(self) -> None:
        """Do nothing: the counts are updated instead."""

    def compute(self) -> Tensor:
        """Return the mean over the images of all ranks, a float32 scalar."""
        return self._counts[0].compute()[self._name]
