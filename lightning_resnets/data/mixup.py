"""Mix the images of a batch and their labels: mixup and cutmix."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_resnets.data.augment import Augmentation


@dataclass(frozen=True, slots=True)
class BatchMix:
    """Mix of a batch with itself: each image with the one before it.

    Attributes:
        lam: weight of an image's own label; with cutmix the fraction of its area that is left.
        box: rectangle that cutmix takes from the other image: first row, end row, first column,
            end column. None for mixup.
    """

    lam: float
    box: tuple[int, int, int, int] | None = None


def sample_mix(
    augmentation: Augmentation, image_size: int, seed: int, epoch: int, position: int
) -> BatchMix:
    """Draw the mix of one batch from (seed, epoch, position) alone.

    mixup: Zhang et al. 2018, arXiv:1710.09412. cutmix: Yun et al. 2019, arXiv:1905.04899.

    Args:
        augmentation: parameters of mixup and cutmix; at least one is above 0.
        image_size: side of the images in pixels.
        seed: seed of the run.
        epoch: number of the epoch.
        position: number of the batch in the epoch.

    Returns:
        The mix.
    """
    rng = np.random.default_rng((seed, epoch, position))
    # Both draws are made for every batch, so that the later ones do not depend on the method.
    coin = rng.random()
    center = rng.integers(0, image_size, 2)
    if augmentation.cutmix <= 0 or (augmentation.mixup > 0 and coin < 0.5):
        return BatchMix(float(rng.beta(augmentation.mixup, augmentation.mixup)))
    return _cutmix(image_size, center, rng.beta(augmentation.cutmix, augmentation.cutmix))


def _cutmix(image_size: int, center: NDArray[np.int64], lam: float) -> BatchMix:
    """Return the mix with a square around a center, cut at the borders of the image."""
    # The square covers 1 - lam of the image (Yun et al. 2019, section 3.1).
    half = image_size * np.sqrt(1 - lam) / 2
    top, left = np.clip(np.rint(center - half), 0, image_size).astype(int)
    bottom, right = np.clip(np.rint(center + half), 0, image_size).astype(int)
    # The border may have cut the square, so lam is computed again.
    area = float((bottom - top) * (right - left))
    box = (int(top), int(bottom), int(left), int(right))
    return BatchMix(1 - area / image_size**2, box)


def apply_mix(images: Tensor, mix: BatchMix) -> Tensor:
    """Mix each image with the one before it in the batch.

    Args:
        images: (N, C, H, W).
        mix: mix of the batch.

    Returns:
        (N, C, H, W).
    """
    # The order of an epoch is random, and so is the image before.
    others = images.roll(1, 0)
    if mix.box is None:
        return torch.lerp(others, images, mix.lam)
    top, bottom, left, right = mix.box
    # A copy, because the batch still belongs to the caller.
    out = images.clone(memory_format=torch.preserve_format)
    out[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return out


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Encode labels as probabilities, without torch's own check, for which a GPU has to wait.

    Args:
        labels: (N,) int64.
        num_classes: number K of classes.

    Returns:
        (N, K) float32.
    """
    return (labels[:, None] == torch.arange(num_classes, device=labels.device)).float()


def mix_targets(labels: Tensor, num_classes: int, mix: BatchMix) -> Tensor:
    """Turn labels into probabilities mixed like the images.

    Args:
        labels: (N,) int64.
        num_classes: number K of classes.
        mix: mix of the batch.

    Returns:
        (N, K) float32.
    """
    own = one_hot(labels, num_classes)
    return torch.lerp(own.roll(1, 0), own, mix.lam)
