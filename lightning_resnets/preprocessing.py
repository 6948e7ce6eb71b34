"""Read any image file as RGB and turn it into a model's input, exactly as in validation."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from lightning_resnets.errors import ImageError

# Pillow would read EPS too, but by calling another program.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

MAX_FILE_BYTES = 200 * 2**20
MAX_PIXELS = 40_000_000

# A JPEG with longer sides is decoded at a fraction of its size, which is fast.
JPEG_DRAFT_SIDE = 4096


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


def read_image(source: str | Path | bytes) -> NDArray[np.uint8]:
    """Read an image file as RGB.

    The image is turned upright as its EXIF data say, 16-bit and floating-point pixels are scaled,
    transparency becomes white, and of an animation the first frame is taken.

    Args:
        source: path of the file, or its content.

    Returns:
        Pixels, uint8 (H, W, 3).

    Raises:
        ImageError: the file does not exist, is too large, damaged or not an image.
    """
    label = "this file" if isinstance(source, bytes) else f"'{Path(source).name}'"
    data = source if isinstance(source, bytes) else _read_bytes(Path(source))
    if not data:
        raise ImageError(f"Cannot read {label}: it is empty. Choose another image.")
    try:
        return _decode(data)
    except ImageError as error:
        raise ImageError(f"Cannot read {label}: {error}") from None
    except Image.UnidentifiedImageError:
        raise ImageError(
            f"Cannot read {label} as an image. Supported formats: PNG, JPEG, WebP, GIF, BMP, TIFF."
        ) from None
    except Image.DecompressionBombError:
        raise ImageError(
            f"Cannot read {label}: it has too many pixels. Make the image smaller."
        ) from None
    # Pillow raises anything from SyntaxError to struct.error for damaged files.
    except Exception as error:
        raise ImageError(
            f"Cannot read {label}: the image is damaged. Choose another or save it again."
        ) from error


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
    """
    channels = input_size[0]
    resized = resize_and_crop(image, input_size[1:], crop_pct, interpolation)
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
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ImageError(
            f"An image must be a uint8 array (H, W, 3), got {image.dtype} {image.shape}: "
            "convert it to RGB first."
        )
    height, width = input_size
    if image.shape[:2] == (height, width):
        return image
    if crop_pct < 1:
        larger = (round(height / crop_pct), round(width / crop_pct))
        resized = resize_and_crop(image, larger, interpolation=interpolation)
        return center_crop(resized, height, width)
    crop = _crop_to_aspect_ratio(image, height, width)
    if crop.shape[:2] == (height, width):
        return crop
    return _resize(crop, height, width, interpolation)


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


def _decode(data: bytes) -> NDArray[np.uint8]:
    """Decode an image file; raise ImageError if it has too many pixels."""
    with warnings.catch_warnings():
        # Pillow warns of images that are large or slightly damaged; both are handled here.
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(
                    f"{image.width} x {image.height} pixels are more than "
                    f"{MAX_PIXELS // 10**6} million. Make the image smaller."
                )
            image.draft(None, (JPEG_DRAFT_SIDE, JPEG_DRAFT_SIDE))
            return _to_rgb(ImageOps.exif_transpose(image))


def _read_bytes(path: Path) -> bytes:
    """Read a file; raise ImageError if it is missing, not a file, or too large."""
    try:
        if path.is_dir():
            raise ImageError(f"'{path}' is a folder, not an image: choose a file in it.")
        # Reading a pipe or a device might never end.
        if path.exists() and not path.is_file():
            raise ImageError(f"'{path}' is not a regular file: choose an image.")
        if path.stat().st_size > MAX_FILE_BYTES:
            limit = MAX_FILE_BYTES // 2**20
            raise ImageError(f"'{path.name}' is larger than {limit} MB: choose a smaller image.")
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"There is no file '{path}': check the name.") from None
    except OSError as error:
        raise ImageError(
            f"Cannot read '{path}' ({error.strerror}): check its permissions."
        ) from error


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert an image of any mode to RGB bytes, with white behind transparency."""
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        gray = _scale_to_bytes(np.asarray(image))
        return np.repeat(gray[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _scale_to_bytes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale 0..65535, or floats in 0..1, to 0..255; stretch values outside from min to max."""
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    low = 0.0
    high = 1.0 if values.dtype.kind == "f" else 65535.0
    smallest = float(finite.min()) if finite.size else low
    largest = float(finite.max()) if finite.size else low
    if smallest < low or largest > high:
        low = smallest
        high = max(largest, smallest + 1)
    fractions = (np.nan_to_num(numbers, nan=low, posinf=high, neginf=low) - low) / (high - low)
    return (fractions * 255).round().astype(np.uint8)
