"""Augmentation of whole batches at once: every draw of an epoch is made before its first batch.

So an epoch's images depend on (seed, epoch) alone, and any batch of it can be made again without those before it:
that is what makes a run exactly resumable.
"""

import math
from dataclasses import dataclass, fields
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import TrivialAugmentWide

Flip = bool | Literal["alternating"]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What a training image goes through, in this order.

    `pad`: a crop out of the image padded by so many reflected pixels. `flip`: left to right at random, or
    "alternating": at random in the first epoch, then every other epoch the other way round (Jordan 2024,
    arXiv:2404.00498). `trivial`: TrivialAugment (`data.trivial_augment`). `cutout`: a square of so many pixels set to the mean;
    with `dual_cutout` each image twice in a batch, under two squares. `mixup` and `cutmix`: the parameter of the
    Beta distribution that mixes two images of a batch and their labels, 0 for none; with both, a coin for each batch.
    """

    crop_padding: int = 4
    flip: Flip = True
    trivial_augment: bool = False
    cutout: int = 0
    dual_cutout: bool = False
    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def mixes(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0


@dataclass(frozen=True, slots=True)
class EpochAugmentation:
    """The random choices of one epoch: the order of the images and, for each place in it, what happens to it."""

    order: Tensor  # (N,) int64
    crop_offset: Tensor  # (N, 2) int64 in 0..2 pad
    flip: Tensor  # (N,) bool
    cutout_center: Tensor  # (N, 2) int64, the center of the cutout
    second_cutout_center: Tensor  # (N, 2) int64, the center of the other cutout

    def to(self, device: torch.device) -> Self:
        """On the device, once an epoch: a copy for each batch would make the device wait."""
        return type(self)(*(getattr(self, field.name).to(device) for field in fields(self)))

    def __getitem__(self, places: slice) -> Self:
        return type(self)(*(getattr(self, field.name)[places] for field in fields(self)))


def epoch_seed(seed: int, epoch: int) -> int:
    return (seed * 1_000_003 + epoch) % 2**63


def sample_epoch(
    count: int, side: int, augmentation: Augmentation, seed: int, epoch: int
) -> EpochAugmentation:
    """All random choices of one epoch over `count` images of `side` pixels, from (seed, epoch) alone."""
    rng = torch.Generator().manual_seed(epoch_seed(seed, epoch))
    order = torch.randperm(count, generator=rng)
    shift = torch.randint(0, 2 * augmentation.crop_padding + 1, (count, 2), generator=rng)
    flip = torch.rand(count, generator=rng) < (0.5 if augmentation.flip else 0.0)
    hole = torch.randint(0, side, (count, 2), generator=rng)
    second = torch.randint(0, side, (count, 2), generator=rng)
    if augmentation.flip == "alternating":
        first = (
            torch.rand(count, generator=torch.Generator().manual_seed(epoch_seed(seed, -1))) < 0.5
        )  # by image
        flip = first[order] ^ bool(epoch % 2)
    return EpochAugmentation(order, shift, flip, hole, second)


@dataclass(frozen=True, slots=True)
class BatchMix:
    """How a batch is mixed with itself, each image with the one before it.

    `share` is what an image keeps of itself. For cutmix, `box` is what it takes from the other: rows top to bottom,
    columns left to right, and `share` is the part of the area that is left.
    """

    lam: float
    box: tuple[int, int, int, int] | None = None


def sample_mix(
    augmentation: Augmentation, side: int, seed: int, epoch: int, position: int
) -> BatchMix:
    """The mix of one batch of an epoch, from (seed, epoch, position) alone.

    mixup: Zhang et al. 2018, arXiv:1710.09412. cutmix: Yun et al. 2019, arXiv:1905.04899.
    """
    rng = np.random.default_rng((seed, epoch, position))
    coin, center = rng.random(), rng.integers(0, side, 2)
    if augmentation.cutmix <= 0 or (augmentation.mixup > 0 and coin < 0.5):
        return BatchMix(float(rng.beta(augmentation.mixup, augmentation.mixup)))
    half = side * np.sqrt(1 - rng.beta(augmentation.cutmix, augmentation.cutmix)) / 2
    (top, left), (bottom, right) = (
        np.clip(np.rint(center + way * half), 0, side).astype(int) for way in (-1, 1)
    )
    box = int(top), int(bottom), int(left), int(right)
    return BatchMix(1 - float((bottom - top) * (right - left)) / side**2, box)


def apply_mix(images: Tensor, mix: BatchMix) -> Tensor:
    """Each image of (N, C, H, W) mixed with the one before it in the batch."""
    others = images.roll(1, 0)
    if mix.box is None:
        return torch.lerp(others, images, mix.lam)
    top, bottom, left, right = mix.box
    out = images.clone(memory_format=torch.preserve_format)
    out[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return out


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """(N, classes) float32; torch's own looks at the labels first, for which a device would have to wait."""
    return (labels[:, None] == torch.arange(num_classes, device=labels.device)).float()


def mix_targets(labels: Tensor, num_classes: int, mix: BatchMix) -> Tensor:
    """Labels (N,) as probabilities (N, classes) float32, mixed as the images are."""
    own = one_hot(labels, num_classes)
    return torch.lerp(own.roll(1, 0), own, mix.lam)


def random_crop(images: Tensor, shift: Tensor, pad: int) -> Tensor:
    """Cut windows of the images' own size out of the images padded by reflection.

    `images` (N, C, H, W), `shift` (N, 2) rows and columns in 0..2 pad; `pad` of them gives the image itself.
    """
    if not pad:
        return images
    count, channels, height, width = images.shape
    rows, columns = (
        reflect_indices(shift[:, :1] - pad, height),
        reflect_indices(shift[:, 1:] - pad, width),
    )
    places = (rows[:, :, None] * width + columns[:, None, :]).view(count, 1, -1)  # (N, 1, H W)
    return images.flatten(2).gather(2, places.expand(-1, channels, -1)).view_as(images)


def reflect_indices(start: Tensor, side: int) -> Tensor:
    """Places start, start + 1, ... of (N, 1) int64 along a side, those outside it reflected at its ends; (N, side)."""
    places = start + torch.arange(side, device=start.device)
    return (side - 1) - ((side - 1) - places.abs()).abs()


def horizontal_flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Flip the chosen images left to right; `chosen` is (N,) bool."""
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def cutout(images: Tensor, hole: Tensor, side: int) -> Tensor:
    """Set a square of `side` pixels around `hole` to zero (DeVries and Taylor 2017, arXiv:1708.04552)."""
    if not side:
        return images
    height, width = images.shape[-2:]
    first = hole - side // 2
    rows = (
        torch.arange(height, device=images.device) - first[:, :1]
    )  # (N, H), 0..side-1 inside the hole
    columns = torch.arange(width, device=images.device) - first[:, 1:]
    inside = ((rows >= 0) & (rows < side))[:, None, :, None] & ((columns >= 0) & (columns < side))[
        :, None, None, :
    ]
    return torch.where(inside, 0, images)  # masked_fill would lose channels_last


MAX_ATTEMPTS = 10


def sample_erase_boxes(count: int, side: int, share: float, rng: np.random.Generator) -> Tensor:
    """First row, end row, first column and end column for each of `count` square images, (N, 4) int64.

    A `share` of them has a rectangle of 2 to 33 % of the area and sides 0.3 to 3.3 to one another, the others one of
    no pixels.
    """
    area = side**2 * rng.uniform(0.02, 0.33, (count, MAX_ATTEMPTS))
    ratio = np.exp(rng.uniform(math.log(0.3), math.log(3.3), (count, MAX_ATTEMPTS)))
    sizes = np.rint(np.stack((np.sqrt(area * ratio), np.sqrt(area / ratio)), 2))  # (N, tries, 2)
    fits = (sizes[..., 0] < side) & (sizes[..., 1] < side)
    first = fits.argmax(1)  # the first that fits
    sizes = sizes[np.arange(count), first]
    sizes *= (fits[np.arange(count), first] & (rng.random(count) < share))[:, None]
    starts = np.floor(rng.random((count, 2)) * (side - sizes + 1))
    rows, columns = (
        np.stack((starts[:, way], starts[:, way] + sizes[:, way]), 1) for way in (0, 1)
    )
    return torch.from_numpy(np.concatenate((rows, columns), 1).astype(np.int64))


def erase_boxes(images: Tensor, boxes: Tensor) -> Tensor:
    """Images (N, C, H, W), normalized, with 0 (the mean) inside `boxes` (N, 4), as `rectangles` gives them."""
    boxes = boxes.to(images.device, non_blocking=True)
    rows, columns = (torch.arange(length, device=images.device) for length in images.shape[-2:])
    high = (rows >= boxes[:, :1]) & (rows < boxes[:, 1:2])  # (N, H)
    wide = (columns >= boxes[:, 2:3]) & (columns < boxes[:, 3:])
    out = images.clone()  # masked_fill would give up the order of the channels
    return out.masked_fill_(high[:, None, :, None] & wide[:, None, None, :], 0)


IMAGES_PER_DRAW = 8  # images that share an operation: one an image is the paper's (arXiv:2103.10158), and 8 times the calls


def trivial_augment(images: Tensor, seed: int, epoch: int, position: int) -> Tensor:
    """uint8 images (N, C, H, W), each group of 8 through one random operation of random strength.

    The draws come from (seed, epoch, position of the batch) alone; torch's own generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(
            epoch_seed(epoch_seed(seed, epoch), position)
        )  # torch.manual_seed: GPUs' too
        transform = TrivialAugmentWide()
        return torch.cat([transform(group) for group in images.split(IMAGES_PER_DRAW)])
