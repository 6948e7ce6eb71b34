"""Turn an image into a model's input, exactly as in validation, and back."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lightning_resnets.errors import ImageError, InvalidArgumentError
from lightning_resnets.utils.arguments import check_choice, check_int, check_number, check_type
from lightning_resnets.utils.format import format_value
from lightning_resnets.utils.image_files import read_image

# Whoever preprocesses images reads them first.
__all__ = [
    "Preprocessing",
    "center_crop",
    "denormalize",
    "preprocess",
    "read_image",
    "resize_and_crop",
]

INTERPOLATIONS = ("bilinear", "bicubic")
# Below, an image would be enlarged more than a hundredfold before it is cropped.
MIN_CROP_PCT = 0.01
MAX_SIDE = 2**14  # pixels
# Of pixels in 0..1, or in 0..255 where somebody forgot to divide.
MAX_MEAN = 1000.0
MIN_STD = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """Image size and normalization that a model expects.

    Attributes:
        input_size: (C, H, W) of the model's input.
        mean: mean of each channel for pixels in 0..1, in the order of `channel_order`.
        std: standard deviation of each channel, likewise.
        channel_order: "RGB" or "BGR".
        crop_pct: side of the center crop as a fraction of the resized shorter side.
        interpolation: "bilinear" or "bicubic".
    """

    input_size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: str = "RGB"
    crop_pct: float = 1.0
    interpolation: str = "bilinear"


def preprocess(
    image: NDArray[np.uint8],
    input_size: tuple[int, int, int],
    mean: Sequence[float],
    std: Sequence[float],
    channel_order: str = "RGB",
    crop_pct: float = 1.0,
    interpolation: str = "bilinear",
) -> Tensor:
    """Turn an image into a model's input, equal to the bit to `data.batches.Normalize`.

    A model whose input does not have three channels gets the mean of red, green and blue.

    Args:
        image: uint8 (H, W, 3) of any size.
        input_size: see `Preprocessing`, as for all that follow.
        mean: mean of each channel.
        std: standard deviation of each channel.
        channel_order: "RGB" or "BGR".
        crop_pct: fraction of the center crop.
        interpolation: "bilinear" or "bicubic".

    Returns:
        The input, float32 (1, C, H, W).

    Raises:
        ImageError: `image` is not an array of RGB bytes.
        InvalidArgumentError: another argument is not valid.
    """
    _check_sizes(input_size, mean, std)
    check_choice("channel_order", channel_order, ("RGB", "BGR"))
    channels = input_size[0]
    resized = resize_and_crop(image, input_size[1:], crop_pct, interpolation)
    # Copied, because torch warns of arrays that are read-only.
    pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1)  # (3, H, W)
    if channel_order == "BGR":
        pixels = pixels.flip(0)
    if channels == 3:
        values = pixels.unsqueeze(0)
    else:
        values = pixels.float().mean(0).expand(1, channels, -1, -1)
    deviation = torch.tensor(std).view(1, -1, 1, 1)
    offset = torch.tensor(mean).view(1, -1, 1, 1) / deviation
    # One multiplication and one subtraction, in the same order as in training.
    return values * (1 / (255 * deviation)) - offset


def _check_sizes(input_size: Sequence[int], mean: Sequence[float], std: Sequence[float]) -> None:
    """Raise unless these are a size (C, H, W) and numbers for each of its channels."""
    for name, values in (("input_size", input_size), ("mean", mean), ("std", std)):
        check_type(name, values, (tuple, list), "a tuple of numbers")
    if len(input_size) != 3:
        shown = format_value(input_size)
        raise InvalidArgumentError(f"input_size must be (C, H, W), got {shown}.")
    for side in input_size:
        check_int("each number of input_size", side, 1, MAX_SIDE)
    channels = input_size[0]
    # One number serves all channels.
    if len(mean) not in (1, channels) or len(std) not in (1, channels):
        raise InvalidArgumentError(
            f"mean and std must have {channels} numbers, one for each channel, "
            f"got {len(mean)} and {len(std)}."
        )
    for value in mean:
        check_number("each number of mean", value, -MAX_MEAN, MAX_MEAN)
    for value in std:
        check_number("each number of std", value, MIN_STD, MAX_MEAN)


def denormalize(
    values: Tensor, mean: Sequence[float], std: Sequence[float], channel_order: str = "RGB"
) -> NDArray[np.uint8]:
    """Turn a model's input back into an image, the inverse of `preprocess` without the resizing.

    Args:
        values: input (1, C, H, W).
        mean: mean of each channel.
        std: standard deviation of each channel.
        channel_order: "RGB" or "BGR".

    Returns:
        Pixels, uint8 (H, W, 3).
    """
    shape = (-1, 1, 1)
    pixels = values[0] * torch.tensor(std).view(shape) + torch.tensor(mean).view(shape)
    pixels = (pixels * 255).round().clamp(0, 255).to(torch.uint8).expand(3, *values.shape[2:])
    if channel_order == "BGR":
        pixels = pixels.flip(0)
    return pixels.permute(1, 2, 0).contiguous().numpy()


def resize_and_crop(
    image: NDArray[np.uint8],
    input_size: Sequence[int],
    crop_pct: float = 1.0,
    interpolation: str = "bilinear",
) -> NDArray[np.uint8]:
    """Scale the shorter side to the size divided by `crop_pct`, then crop the center.

    An image of the right size is returned as it is. One whose shorter side has the scaled length
    is only cropped. Scaling antialiases.

    Args:
        image: uint8 (H, W, 3) of any size.
        input_size: (height, width) of the result.
        crop_pct: see `Preprocessing`.
        interpolation: "bilinear" or "bicubic".

    Returns:
        Pixels, uint8 (height, width, 3).

    Raises:
        ImageError: `image` is not an array of RGB bytes.
    """
    _check_image(image)
    if check_number("crop_pct", crop_pct, 0, 1) < MIN_CROP_PCT:
        raise InvalidArgumentError(f"crop_pct must be at least {MIN_CROP_PCT}, got {crop_pct}.")
    check_choice("interpolation", interpolation, INTERPOLATIONS)
    height, width = input_size
    if image.shape[:2] == (height, width):
        return image
    if crop_pct < 1:
        # As torchvision does: 224 of 256 pixels, for example.
        larger = (round(height / crop_pct), round(width / crop_pct))
        resized = resize_and_crop(image, larger, interpolation=interpolation)
        return center_crop(resized, height, width)
    crop = _crop_to_aspect_ratio(image, height, width)
    if crop.shape[:2] == (height, width):
        return crop
    return _resize(crop, height, width, interpolation)


def _check_image(image: object) -> None:
    """Raise ImageError unless this is an array of RGB bytes with at least one pixel."""
    if not isinstance(image, np.ndarray):
        shown = format_value(image)
        raise ImageError(f"An image must be a uint8 array (H, W, 3), got {shown}.")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ImageError(
            f"An image must be a uint8 array (H, W, 3), got {image.dtype} {image.shape}: "
            "convert it to RGB first."
        )


def center_crop(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Cut out the center of an image.

    Args:
        image: pixels (H, W, 3), at least as large as the result.
        height: height of the result.
        width: width of the result.

    Returns:
        Pixels (height, width, 3), contiguous.
    """
    top = (image.shape[0] - height) // 2
    left = (image.shape[1] - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def _crop_to_aspect_ratio(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Crop the largest center with the aspect ratio of the result."""
    image_height, image_width = image.shape[:2]
    scale = max(height / image_height, width / image_width)
    # Extreme shapes would round to 0 pixels.
    crop_height = min(image_height, round(height / scale)) or 1
    crop_width = min(image_width, round(width / scale)) or 1
    return center_crop(image, crop_height, crop_width)


def _resize(
    image: NDArray[np.uint8], height: int, width: int, interpolation: str
) -> NDArray[np.uint8]:
    """Scale an image with antialiasing and round to bytes."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).unsqueeze(0).to(torch.float32)
    scaled = F.interpolate(
        pixels, (height, width), mode=interpolation, antialias=True, align_corners=False
    )
    # Bicubic interpolation overshoots.
    return scaled[0].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
