"""Augmentation of whole batches at once: every draw of an epoch is made before its first batch.

So an epoch's pictures depend on (seed, epoch) alone, and any batch of it can be made again without those before it:
that is what makes a run exactly resumable.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What a training picture goes through: crop with `pad` reflected pixels, flip, cutout of a `cutout` square."""

    pad: int = 4
    flip: bool = True
    cutout: int = 0


@dataclass(frozen=True, slots=True)
class Draws:
    """The random choices of one epoch: the order of the pictures and, for each place in it, crop, flip and cutout."""

    order: Tensor  # (N,) int64
    shift: Tensor  # (N, 2) int64 in 0..2 pad
    flip: Tensor  # (N,) bool
    hole: Tensor  # (N, 2) int64, the centre of the cutout


def draw(count: int, side: int, augmentation: Augmentation, seed: int, epoch: int) -> Draws:
    """All random choices of one epoch over `count` pictures of `side` pixels, from (seed, epoch) alone."""
    rng = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    order = torch.randperm(count, generator=rng)
    shift = torch.randint(0, 2 * augmentation.pad + 1, (count, 2), generator=rng)
    flip = torch.rand(count, generator=rng) < (0.5 if augmentation.flip else 0.0)
    hole = torch.randint(0, side, (count, 2), generator=rng)
    return Draws(order, shift, flip, hole)


def crop(images: Tensor, shift: Tensor, pad: int) -> Tensor:
    """Cut windows of the images' own size out of the images padded by reflection.

    `images` (N, C, H, W), `shift` (N, 2) rows and columns in 0..2 pad; `pad` of them gives the image itself.
    """
    if not pad:
        return images
    count, _, height, width = images.shape
    padded = F.pad(images.float(), (pad,) * 4, mode="reflect")  # torch has no reflection for uint8
    windows = padded.to(images.dtype).unfold(2, height, 1).unfold(3, width, 1)  # (N, C, 2p+1, 2p+1, H, W)
    return windows[torch.arange(count, device=images.device), :, shift[:, 0], shift[:, 1]]


def mirror(images: Tensor, chosen: Tensor) -> Tensor:
    """Flip the chosen images left to right; `chosen` is (N,) bool."""
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def cutout(images: Tensor, hole: Tensor, side: int) -> Tensor:
    """Set a square of `side` pixels around `hole` to zero (DeVries and Taylor 2017, arXiv:1708.04552)."""
    if not side:
        return images
    height, width = images.shape[-2:]
    first = hole - side // 2
    rows = torch.arange(height, device=images.device) - first[:, :1]  # (N, H), 0..side-1 inside the hole
    columns = torch.arange(width, device=images.device) - first[:, 1:]
    inside = ((rows >= 0) & (rows < side))[:, None, :, None] & ((columns >= 0) & (columns < side))[:, None, None, :]
    return images.masked_fill(inside, 0)
