"""Loss and accuracy of an epoch as a torchmetrics.Metric that never waits for the device."""

import torch
from torch import Tensor
from torchmetrics import Metric


class ClassificationCounts(Metric):
    """Sums over the images of an epoch: loss, correct predictions, images.

    The stock metrics of torchmetrics get new state tensors when they are reset, and check inputs by
    reading values from the device. This one updates and resets in place and reads nothing, so that
    a training step stays free of synchronization. Counts are exact: they are int64. The loss is
    summed in float32, because MPS has no float64. `compute` adds up the sums of all ranks.

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
            loss, accuracy and accuracy_flip_tta (0 to 1), and images as a count; all float32.
        """
        images = self.total.float()
        return {
            "loss": self.loss / images,
            "accuracy": self.correct.float() / images,
            "accuracy_flip_tta": self.correct_flip_tta.float() / images,
            "images": images,
        }

    def reset(self) -> None:
        """Set all sums to zero, in place."""
        self._update_count = 0
        self._computed = None
        for name in self._defaults:
            getattr(self, name).zero_()
