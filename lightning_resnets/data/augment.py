"""Augment whole batches on their device; every draw of an epoch is made before its first batch.

So an epoch's images depend on (seed, epoch) alone, and any batch of it can be made again without
those before it: that is what makes a run exactly resumable.
"""

import math
from dataclasses import dataclass, fields
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import TrivialAugmentWide

Flip = bool | Literal["alternating"]

MAX_ATTEMPTS = 10  # for a rectangle that fits into the image

# Images that share one operation of TrivialAugment. The paper (arXiv:2103.10158) draws one for each
# image, which takes 8 times as many calls.
IMAGES_PER_DRAW = 8


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Augmentation of training images, in this order.

    Attributes:
        crop_padding: pixels of reflection padding around the image before a random crop.
        flip: flip left to right at random; "alternating" draws for the first epoch, then flips
            every other epoch (Jordan 2024, arXiv:2404.00498).
        trivial_augment: apply TrivialAugment (Müller and Hutter 2021, arXiv:2103.10158).
        cutout: side in pixels of a square set to the mean; 0 for none.
        dual_cutout: take each image twice into a batch, with two different squares.
        mixup: parameter of the Beta distribution of mixup; 0 for none.
        cutmix: parameter of the Beta distribution of cutmix; 0 for none. With both, each batch
            draws one of the two.
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
        """Return whether images of a batch are mixed with each other."""
        return self.mixup > 0 or self.cutmix > 0


@dataclass(frozen=True, slots=True)
class EpochAugmentation:
    """Random choices of one epoch, or of a batch of it.

    Attributes:
        order: (N,) int64, index of the image at each position.
        crop_offset: (N, 2) int64, row and column of the crop, 0 to 2 * crop_padding.
        flip: (N,) bool.
        cutout_center: (N, 2) int64, row and column.
        second_cutout_center: (N, 2) int64, for the second copy of dual cutout.
    """

    order: Tensor
    crop_offset: Tensor
    flip: Tensor
    cutout_center: Tensor
    second_cutout_center: Tensor

    def to(self, device: torch.device) -> Self:
        """Copy to a device; once an epoch, because a copy for each batch would block.

        Args:
            device: the images' device.

        Returns:
            The same choices there.
        """
        return type(self)(*(getattr(self, field.name).to(device) for field in fields(self)))

    def __getitem__(self, positions: slice) -> Self:
        """Return the choices at some positions."""
        return type(self)(*(getattr(self, field.name)[positions] for field in fields(self)))


def epoch_seed(seed: int, epoch: int) -> int:
    """Combine a seed and an epoch.

    Args:
        seed: seed of the run.
        epoch: number of the epoch.

    Returns:
        A seed for the epoch, below 2**63.
    """
    return (seed * 1_000_003 + epoch) % 2**63


def sample_epoch(
    num_images: int, image_size: int, augmentation: Augmentation, seed: int, epoch: int
) -> EpochAugmentation:
    """Draw all random choices of an epoch from (seed, epoch) alone.

    Args:
        num_images: number of training images N.
        image_size: side of the images in pixels.
        augmentation: which choices are needed.
        seed: seed of the run.
        epoch: number of the epoch.

    Returns:
        The order of the images, and the choices for each position in it.
    """
    rng = torch.Generator().manual_seed(epoch_seed(seed, epoch))
    order = torch.randperm(num_images, generator=rng)
    offset = torch.randint(0, 2 * augmentation.crop_padding + 1, (num_images, 2), generator=rng)
    # Drawn even without flips, so that the later draws do not depend on this option.
    flip = torch.rand(num_images, generator=rng) < (0.5 if augmentation.flip else 0.0)
    center = torch.randint(0, image_size, (num_images, 2), generator=rng)
    second_center = torch.randint(0, image_size, (num_images, 2), generator=rng)
    if augmentation.flip == "alternating":
        flip = _first_epoch_flips(num_images, seed)[order] ^ bool(epoch % 2)
    return EpochAugmentation(order, offset, flip, center, second_center)


def _first_epoch_flips(num_images: int, seed: int) -> Tensor:
    """Draw the images, (N,) bool, that alternating flip mirrors in even epochs."""
    rng = torch.Generator().manual_seed(epoch_seed(seed, -1))
    return torch.rand(num_images, generator=rng) < 0.5


def random_crop(images: Tensor, offset: Tensor, padding: int) -> Tensor:
    """Crop windows of the images' own size out of the images padded by reflection.

    Args:
        images: (N, C, H, W).
        offset: (N, 2) int64, row and column in 0 to 2 * padding; `padding` keeps the image.
        padding: pixels on each side.

    Returns:
        (N, C, H, W).
    """
    if not padding:
        return images
    num_images, channels, height, width = images.shape
    rows = reflect_indices(offset[:, :1] - padding, height)
    columns = reflect_indices(offset[:, 1:] - padding, width)
    pixels = (rows[:, :, None] * width + columns[:, None, :]).view(num_images, 1, -1)  # (N, 1, H W)
    return images.flatten(2).gather(2, pixels.expand(-1, channels, -1)).view_as(images)


def reflect_indices(start: Tensor, length: int) -> Tensor:
    """Return indices start, start + 1, ... along an axis, those outside reflected at its ends.

    Args:
        start: (N, 1) int64.
        length: length of the axis.

    Returns:
        (N, length) int64 in 0 to length - 1.
    """
    indices = start + torch.arange(length, device=start.device)
    return (length - 1) - ((length - 1) - indices.abs()).abs()


def horizontal_flip(images: Tensor, is_flipped: Tensor) -> Tensor:
    """Flip some images left to right.

    Args:
        images: (N, C, H, W).
        is_flipped: (N,) bool.

    Returns:
        (N, C, H, W).
    """
    return torch.where(is_flipped[:, None, None, None], images.flip(-1), images)


def cutout(images: Tensor, center: Tensor, size: int) -> Tensor:
    """Set a square of each image to zero (DeVries and Taylor 2017, arXiv:1708.04552).

    Args:
        images: (N, C, H, W), normalized, so that 0 is the mean.
        center: (N, 2) int64, row and column of the square's center.
        size: side of the square in pixels; 0 for none.

    Returns:
        (N, C, H, W).
    """
    if not size:
        return images
    height, width = images.shape[-2:]
    first = center - size // 2
    # Distance from the first row and column of the square: 0 to size - 1 inside.
    rows = torch.arange(height, device=images.device) - first[:, :1]  # (N, H)
    columns = torch.arange(width, device=images.device) - first[:, 1:]  # (N, W)
    in_rows = (rows >= 0) & (rows < size)
    in_columns = (columns >= 0) & (columns < size)
    inside = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return torch.where(inside, 0, images)  # masked_fill would lose channels_last


def sample_erase_boxes(
    num_images: int, image_size: int, probability: float, rng: np.random.Generator
) -> Tensor:
    """Draw the rectangles of random erasing (Zhong et al. 2017, arXiv:1708.04896).

    Args:
        num_images: number N of square images.
        image_size: their side in pixels.
        probability: fraction of images with a rectangle, of 2 to 33 % of the area and with an
            aspect ratio of 0.3 to 3.3.
        rng: source of the draws.

    Returns:
        (N, 4) int64: first row, end row, first column, end column; an empty box for no rectangle.
    """
    sizes, has_fit = _sample_erase_sizes(num_images, image_size, rng)
    is_erased = has_fit & (rng.random(num_images) < probability)
    sizes *= is_erased[:, None]
    # + 1, so that a rectangle can end at the last row or column.
    starts = np.floor(rng.random((num_images, 2)) * (image_size - sizes + 1))
    ends = starts + sizes
    boxes = np.stack((starts[:, 0], ends[:, 0], starts[:, 1], ends[:, 1]), 1)
    return torch.from_numpy(boxes.astype(np.int64))


def _sample_erase_sizes(
    num_images: int, image_size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Draw heights and widths (N, 2) that fit into an image, and (N,) where there is none."""
    area = image_size**2 * rng.uniform(0.02, 0.33, (num_images, MAX_ATTEMPTS))
    # Uniform in the logarithm, so that high and wide rectangles are equally likely.
    log_ratio = rng.uniform(math.log(0.3), math.log(3.3), (num_images, MAX_ATTEMPTS))
    ratio = np.exp(log_ratio)
    # (N, MAX_ATTEMPTS, 2): height and width
    sizes = np.rint(np.stack((np.sqrt(area * ratio), np.sqrt(area / ratio)), 2))
    fits = (sizes[..., 0] < image_size) & (sizes[..., 1] < image_size)
    images = np.arange(num_images)
    # argmax of booleans is the first attempt that fits, or 0 if none does.
    first_fit = fits.argmax(1)
    return sizes[images, first_fit], fits[images, first_fit]


def erase_boxes(images: Tensor, boxes: Tensor) -> Tensor:
    """Set a rectangle of each image to zero.

    Args:
        images: (N, C, H, W), normalized, so that 0 is the mean.
        boxes: (N, 4) int64, as `sample_erase_boxes` returns them.

    Returns:
        (N, C, H, W).
    """
    boxes = boxes.to(images.device, non_blocking=True)
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    in_rows = (rows >= boxes[:, :1]) & (rows < boxes[:, 1:2])  # (N, H)
    in_columns = (columns >= boxes[:, 2:3]) & (columns < boxes[:, 3:])  # (N, W)
    inside = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    # masked_fill, not in place, would lose channels_last.
    return images.clone().masked_fill_(inside, 0)


def trivial_augment(images: Tensor, seed: int, epoch: int, position: int) -> Tensor:
    """Apply a random operation of random strength to each group of 8 images.

    The draws come from (seed, epoch, position) alone; torch's global generator is left as it was.

    Args:
        images: (N, C, H, W) uint8.
        seed: seed of the run.
        epoch: number of the epoch.
        position: number of the batch in the epoch.

    Returns:
        (N, C, H, W) uint8.
    """
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would seed the generators of GPUs too.
        torch.default_generator.manual_seed(epoch_seed(epoch_seed(seed, epoch), position))
        transform = TrivialAugmentWide()
        return torch.cat([transform(group) for group in images.split(IMAGES_PER_DRAW)])
