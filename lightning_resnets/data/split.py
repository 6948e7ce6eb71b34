"""Split validation images off a training set, in equal shares of every class."""

import torch
from torch import Tensor

from lightning_resnets.errors import DataError


def stratified_split(labels: Tensor, num_val_images: int, seed: int) -> tuple[Tensor, Tensor]:
    """Choose validation images from each class in proportion; each keeps a training image.

    Args:
        labels: (N,) int64, class index of each image.
        num_val_images: number of validation images.
        seed: seed of the choice.

    Returns:
        Sorted indices of training and of validation images, (N,) int64 each.

    Raises:
        DataError: there are not enough images.
    """
    counts = labels.bincount()
    quotas = class_quotas(counts, num_val_images)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    is_val = torch.zeros(len(labels), dtype=torch.bool)
    # Sorted by class, and at random within each class.
    by_class = order[labels[order].argsort(stable=True)]
    starts = counts.cumsum(0) - counts
    for start, quota in zip(starts.tolist(), quotas.tolist(), strict=True):
        is_val[by_class[start : start + quota]] = True
    return (~is_val).nonzero().flatten(), is_val.nonzero().flatten()


def class_quotas(counts: Tensor, num_val_images: int) -> Tensor:
    """Distribute validation images over classes by the largest-remainder method.

    Args:
        counts: (K,) int64, images of each class; classes without images are allowed.
        num_val_images: number of validation images.

    Returns:
        (K,) int64, which sum to `num_val_images`; each below the class's number of images.

    Raises:
        DataError: there are not enough images.
    """
    most = (counts - 1).clamp(min=0)
    total = int(counts.sum())
    _check_num_val_images(num_val_images, int(most.sum()), total)
    # Integers, so that the shares are exact: a quota is at least the rounded-down share.
    shares = counts * num_val_images
    quotas = torch.minimum(shares // max(1, total), most)
    remainders = shares - quotas * total
    # More than once only where a class had no image to spare for its remainder.
    while missing := num_val_images - int(quotas.sum()):
        chosen = _largest_remainders(remainders, quotas < most, missing)
        quotas[chosen] += 1
        remainders[chosen] -= total
    return quotas


def _check_num_val_images(num_val_images: int, most: int, total: int) -> None:
    """Raise DataError unless every class can keep a training image."""
    if not 0 <= num_val_images <= most:
        raise DataError(
            f"num_val_images must be 0 to {most:,}, so that every class keeps a "
            f"training image, got {num_val_images:,} ({total:,} images; 0 for no validation)."
        )


def _largest_remainders(remainders: Tensor, has_spare: Tensor, count: int) -> Tensor:
    """Return the indices of the largest remainders among the classes with an image to spare."""
    classes = has_spare.nonzero().flatten()
    # Stable, so that ties go to the same classes on every machine.
    return classes[remainders[classes].argsort(descending=True, stable=True)[:count]]
