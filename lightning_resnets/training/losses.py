"""Losses of image classification, for labels and for the probabilities of mixed images."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_resnets.data.mixup import one_hot
from lightning_resnets.errors import TrainingError

# Probability above which binary cross entropy counts a class of a mixed image as present.
BCE_TARGET_THRESHOLD = 0.2


@dataclass(frozen=True, slots=True)
class ClassificationLoss:
    """Loss of a batch of logits.

    Attributes:
        kind: "cross_entropy", or "bce": binary cross entropy of each class, in which a mixed image
            shows both of its classes ("ResNet strikes back", arXiv:2110.00476, section 2.1).
        label_smoothing: probability that is spread over all classes.
        consistency_weight: weight of the squared distance between the logits of the first and the
            second half of the batch.
    """

    kind: str
    label_smoothing: float
    consistency_weight: float

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: (N, K) float32.
            targets: labels (N,) int64, or probabilities (N, K) float32.

        Returns:
            The mean over the batch, a scalar.
        """
        if self.kind == "cross_entropy":
            loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        else:
            loss = self._binary_cross_entropy(logits, targets)
        if self.consistency_weight:
            # Dual cutout: both halves show the same images, under different squares.
            first, second = logits.chunk(2)
            loss = loss + self.consistency_weight * F.mse_loss(first, second)
        return loss

    def _binary_cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the binary cross entropy over images and classes."""
        num_classes = logits.shape[1]
        if targets.ndim == 2:
            is_present = (targets > BCE_TARGET_THRESHOLD).float()
        else:
            is_present = one_hot(targets, num_classes)
        # The same share for every class as in F.cross_entropy.
        smooth = is_present * (1 - self.label_smoothing) + self.label_smoothing / num_classes
        return F.binary_cross_entropy_with_logits(logits, smooth)


def check_targets(logits: Tensor, targets: Tensor, batch_idx: int) -> None:
    """Check that a batch has no class that the model does not have.

    On a GPU only the first batch of an epoch is checked, because the check waits for the device.

    Args:
        logits: (N, K).
        targets: labels (N,), or probabilities (N, K).
        batch_idx: index of the batch in its epoch.

    Raises:
        TrainingError: a class is out of range.
    """
    if batch_idx > 0 and targets.device.type != "cpu":
        return
    num_classes = logits.shape[1]
    low, high = _class_range(targets)
    if low < 0 or high >= num_classes:
        label = low if low < 0 else high
        raise TrainingError(
            f"The data has the label {label} but the model has {num_classes} classes, 0 to "
            f"{num_classes - 1}. Set num_classes to the number of classes of the data "
            "(--model.num_classes), or correct the labels."
        )


def _class_range(targets: Tensor) -> tuple[int, int]:
    """Return the smallest and the largest class of a batch."""
    # Probabilities have a column for each class of the data.
    if targets.ndim == 2:
        return 0, targets.shape[1] - 1
    # Stacked, so that the device is waited for once.
    low, high = torch.stack(targets.aminmax()).tolist()
    return int(low), int(high)
