"""Augmentation of whole batches at once: every draw of an epoch is made before its first batch.

So an epoch's pictures depend on (seed, epoch) alone, and any batch of it can be made again without those before it:
that is what makes a run exactly resumable.
"""

from dataclasses import dataclass, fields
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

Flip = bool | Literal["alternating"]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What a training picture goes through, in this order.

    `pad`: a crop out of the picture padded by so many reflected pixels. `flip`: left to right at random, or
    "alternating": at random in the first epoch, then every other epoch the other way round (Jordan 2024,
    arXiv:2404.00498). `trivial`: TrivialAugment (`data.trivial`). `cutout`: a square of so many pixels set to the mean;
    with `dual_cutout` each picture twice in a batch, under two squares. `mixup` and `cutmix`: the parameter of the
    Beta distribution that mixes two pictures of a batch and their labels, 0 for none; with both, a coin for each batch.
    """

    pad: int = 4
    flip: Flip = True
    trivial: bool = False
    cutout: int = 0
    dual_cutout: bool = False
    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def mixes(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0


@dataclass(frozen=True, slots=True)
class Draws:
    """The random choices of one epoch: the order of the pictures and, for each place in it, what happens to it."""

    order: Tensor  # (N,) int64
    shift: Tensor  # (N, 2) int64 in 0..2 pad
    flip: Tensor  # (N,) bool
    hole: Tensor  # (N, 2) int64, the centre of the cutout
    second: Tensor  # (N, 2) int64, the centre of the other cutout

    def to(self, device: torch.device) -> Self:
        """On the device, once an epoch: a copy for each batch would make the device wait."""
        return type(self)(*(getattr(self, field.name).to(device) for field in fields(self)))

    def __getitem__(self, places: slice) -> Self:
        return type(self)(*(getattr(self, field.name)[places] for field in fields(self)))


def seeded(seed: int, epoch: int) -> int:
    return (seed * 1_000_003 + epoch) % 2**63


def draw(count: int, side: int, augmentation: Augmentation, seed: int, epoch: int) -> Draws:
    """All random choices of one epoch over `count` pictures of `side` pixels, from (seed, epoch) alone."""
    rng = torch.Generator().manual_seed(seeded(seed, epoch))
    order = torch.randperm(count, generator=rng)
    shift = torch.randint(0, 2 * augmentation.pad + 1, (count, 2), generator=rng)
    flip = torch.rand(count, generator=rng) < (0.5 if augmentation.flip else 0.0)
    hole = torch.randint(0, side, (count, 2), generator=rng)
    second = torch.randint(0, side, (count, 2), generator=rng)
    if augmentation.flip == "alternating":
        first = torch.rand(count, generator=torch.Generator().manual_seed(seeded(seed, -1))) < 0.5  # by picture
        flip = first[order] ^ bool(epoch % 2)
    return Draws(order, shift, flip, hole, second)


@dataclass(frozen=True, slots=True)
class Mix:
    """How a batch is mixed with itself, each picture with the one before it.

    `share` is what a picture keeps of itself. For cutmix, `box` is what it takes from the other: rows top to bottom,
    columns left to right, and `share` is the part of the area that is left.
    """

    share: float
    box: tuple[int, int, int, int] | None = None


def mixing(augmentation: Augmentation, side: int, seed: int, epoch: int, position: int) -> Mix:
    """The mix of one batch of an epoch, from (seed, epoch, position) alone.

    mixup: Zhang et al. 2018, arXiv:1710.09412. cutmix: Yun et al. 2019, arXiv:1905.04899.
    """
    rng = np.random.default_rng((seed, epoch, position))
    coin, centre = rng.random(), rng.integers(0, side, 2)
    if augmentation.cutmix <= 0 or (augmentation.mixup > 0 and coin < 0.5):
        return Mix(float(rng.beta(augmentation.mixup, augmentation.mixup)))
    half = side * np.sqrt(1 - rng.beta(augmentation.cutmix, augmentation.cutmix)) / 2
    (top, left), (bottom, right) = (np.clip(np.rint(centre + way * half), 0, side).astype(int) for way in (-1, 1))
    box = int(top), int(bottom), int(left), int(right)
    return Mix(1 - float((bottom - top) * (right - left)) / side**2, box)


def mixed(images: Tensor, mix: Mix) -> Tensor:
    """Each image of (N, C, H, W) mixed with the one before it in the batch."""
    others = images.roll(1, 0)
    if mix.box is None:
        return torch.lerp(others, images, mix.share)
    top, bottom, left, right = mix.box
    out = images.clone(memory_format=torch.preserve_format)
    out[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return out


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """(N, classes) float32; torch's own looks at the labels first, for which a device would have to wait."""
    return (labels[:, None] == torch.arange(classes, device=labels.device)).float()


def mixed_targets(labels: Tensor, classes: int, mix: Mix) -> Tensor:
    """Labels (N,) as probabilities (N, classes) float32, mixed as the images are."""
    own = one_hot(labels, classes)
    return torch.lerp(own.roll(1, 0), own, mix.share)


def crop(images: Tensor, shift: Tensor, pad: int) -> Tensor:
    """Cut windows of the images' own size out of the images padded by reflection.

    `images` (N, C, H, W), `shift` (N, 2) rows and columns in 0..2 pad; `pad` of them gives the image itself.
    """
    if not pad:
        return images
    count, channels, height, width = images.shape
    rows, columns = reflected(shift[:, :1] - pad, height), reflected(shift[:, 1:] - pad, width)
    places = (rows[:, :, None] * width + columns[:, None, :]).view(count, 1, -1)  # (N, 1, H W)
    return images.flatten(2).gather(2, places.expand(-1, channels, -1)).view_as(images)


def reflected(start: Tensor, side: int) -> Tensor:
    """Places start, start + 1, ... of (N, 1) int64 along a side, those outside it reflected at its ends; (N, side)."""
    places = start + torch.arange(side, device=start.device)
    return (side - 1) - ((side - 1) - places.abs()).abs()


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
    return torch.where(inside, 0, images)  # masked_fill would lose channels_last
