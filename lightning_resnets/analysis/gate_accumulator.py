"""Sum the weights of one gate by class, batch by batch, on the model's device."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightning_resnets.merges import Gate

CLOSED_BELOW = 0.05
OPEN_ABOVE = 0.95

SUMMARY = ("mean", "closed", "open", "class_distance")
COLUMNS = ("gate", "depth", "class", "images", "mean", "std", "closed", "open")


@dataclass(slots=True)
class GateAccumulator:
    """Sums over the images of each class, K classes and C channels.

    Attributes:
        weights: weights by channel (K, C), means over space.
        squares: squared weights (K,), each image's mean over channels.
        closed: fractions of weights below CLOSED_BELOW (K,).
        open: fractions of weights above OPEN_ABOVE (K,).
        count: number of images (K,).
    """

    weights: Tensor
    squares: Tensor
    closed: Tensor
    open: Tensor
    count: Tensor

    @classmethod
    def zeros(cls, num_classes: int, channels: int, device: torch.device) -> "GateAccumulator":
        """Create an accumulator without images.

        Args:
            num_classes: number of classes K.
            channels: number of channels C.
            device: device of the sums.

        Returns:
            Sums of zero in float64, on MPS in float32 (it has no float64).
        """
        dtype = torch.float32 if device.type == "mps" else torch.float64
        rows = [torch.zeros(num_classes, dtype=dtype, device=device) for _ in range(4)]
        return cls(torch.zeros(num_classes, channels, dtype=dtype, device=device), *rows)

    def update(self, weight: Tensor, labels: Tensor) -> None:
        """Add the weights of one batch.

        Args:
            weight: (N, C, 1, 1), or (N, C, H, W) for a Highway gate, of which the mean over space
                counts.
            labels: classes (N,).
        """
        # float64 sums: a mean over 50,000 images must not drift.
        weight = weight.detach().to(self.weights.dtype)
        mean = weight.mean((2, 3))  # (N, C)
        self.weights.index_add_(0, labels, mean)
        self.squares.index_add_(0, labels, mean.square().mean(1))
        self.closed.index_add_(0, labels, (weight < CLOSED_BELOW).to(weight.dtype).mean((1, 2, 3)))
        self.open.index_add_(0, labels, (weight > OPEN_ABOVE).to(weight.dtype).mean((1, 2, 3)))
        self.count.index_add_(0, labels, torch.ones_like(labels, dtype=weight.dtype))

    def flatten(self) -> Tensor:
        """Return all sums in one vector, for a reduction over ranks."""
        return torch.cat((self.weights.flatten(), self.squares, self.closed, self.open, self.count))

    def unflatten(self, flat: Tensor) -> "GateAccumulator":
        """Restore an accumulator of this shape from a vector.

        Args:
            flat: a vector made by `flatten`.

        Returns:
            The sums on the CPU.
        """
        num_classes, channels = self.weights.shape
        weights, *rows = flat.cpu().split([num_classes * channels, *[num_classes] * 4])
        return GateAccumulator(weights.view(num_classes, channels), *rows)

    def rows(self) -> list[tuple[float, ...]]:
        """Compute statistics by class.

        Returns:
            For each class: number of images, mean and standard deviation over images and channels,
            and the fractions of closed and open weights; NaN for a class without images.
        """
        # Classes without images give NaN, which tables leave out.
        mean = self.weights.mean(1) / self.count
        # Rounding can make a variance of 0 slightly negative.
        std = (self.squares / self.count - mean.square()).clamp_min(0).sqrt()
        columns = (self.count, mean, std, self.closed / self.count, self.open / self.count)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def summary(self) -> dict[str, float]:
        """Compute statistics over all images.

        Returns:
            The values named in SUMMARY. `class_distance` is the root mean square, over channels
            and pairs of classes, of the difference of their mean weights.
        """
        count = self.count.sum()
        has_images = self.count > 0
        means = self.weights[has_images] / self.count[has_images, None]
        # The variance is half the mean squared difference over all pairs.
        variance = float(means.var(0).mean()) if len(means) > 1 else 0.0
        return {
            "mean": float(self.weights.mean(1).sum() / count),
            "closed": float(self.closed.sum() / count),
            "open": float(self.open.sum() / count),
            "class_distance": math.sqrt(2 * variance),
        }

    def means(self) -> Tensor:
        """Return the mean weight by class and channel (K, C); NaN for a class without images."""
        return self.weights / self.count[:, None]


def find_gates(module: nn.Module) -> dict[str, Gate]:
    """Find the gates of a model.

    Args:
        module: a model, or a LightningModule with a `model`.

    Returns:
        Gates from input to output, by the name of the module that owns them.
    """
    # A LightningModule also holds metrics and losses.
    model = getattr(module, "model", module)
    return {
        name.removesuffix(".gate"): part
        for name, part in model.named_modules()
        if isinstance(part, Gate)
    }
