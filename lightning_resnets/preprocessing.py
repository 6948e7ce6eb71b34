"""One image to a model's input, exactly as in validation; and any image file to plain RGB, or a sentence why not."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How a model wants its images, as the card says it (`Card`): size (C, H, W), mean and std for 0..1 and so on."""

    input_size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: str = "RGB"
    crop_pct: float = 1.0
    interpolation: str = "bilinear"


FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "GIF",
    "BMP",
    "TIFF",
    "PPM",
)  # never EPS: it calls another program


MAX_FILE_BYTES = 200 * 2**20  # bytes


MAX_PIXELS = 40_000_000  # pixels


JPEG_DRAFT_SIDE = 4096  # pixels a side; a larger JPEG is decoded at a fraction of its size


def read_image(source: str | Path | bytes) -> NDArray[np.uint8]:
    """An image file, or its bytes, as RGB (H, W, 3): turned upright, 16 bits and floats scaled, alpha over white.

    Of an animation it is the first frame. Raises PictureError.
    """
    name = "This" if isinstance(source, bytes) else f"'{Path(source).name}'"
    data = source if isinstance(source, bytes) else _bytes(Path(source))
    if not data:
        raise ImageError(f"{name} is empty: choose another image.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ImageError(
                        f"{name} has {image.width} x {image.height} pixels, more than {MAX_PIXELS // 10**6} "
                        "million: make it smaller first."
                    )
                image.draft(None, (JPEG_DRAFT_SIDE, JPEG_DRAFT_SIDE))
                return _rgb(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except Image.UnidentifiedImageError:
        raise ImageError(
            f"{name} is no image that can be read: choose a PNG, JPEG, WebP, GIF, BMP or TIFF."
        ) from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name} has too many pixels: make it smaller first.") from None
    except Exception as error:
        raise ImageError(f"{name} is a damaged image: choose another or save it again.") from error


def preprocess(
    image: NDArray[np.uint8],
    input_size: tuple[int, int, int],
    mean: Sequence[float],
    std: Sequence[float],
    channel_order: str = "RGB",
    crop_pct: float = 1.0,
    interpolation: str = "bilinear",
) -> Tensor:
    """An image (H, W, 3) as a model's input (1, C, H, W), float32, to the bit as `data.batches.Normalize` makes it.

    An image of the right size is not resampled, others are fitted by `fitted`. Models not of three channels get the
    gray value. `mean` and `std` are in the order of `channels`, "RGB" or "BGR"; all as the card says it.
    """
    pixels = torch.from_numpy(
        np.array(resize_and_crop(image, input_size[1:], crop_pct, interpolation))
    ).permute(2, 0, 1)  # (3, H, W)
    pixels = pixels.flip(0) if channel_order == "BGR" else pixels
    values = (
        pixels.unsqueeze(0)
        if input_size[0] == 3
        else pixels.float().mean(0).expand(1, input_size[0], -1, -1)
    )
    deviation = torch.tensor(std).view(1, -1, 1, 1)
    return (
        values * (1 / (255 * deviation)) - torch.tensor(mean).view(1, -1, 1, 1) / deviation
    )  # (1, C, H, W)


def denormalize(
    values: Tensor, mean: Sequence[float], std: Sequence[float], channel_order: str = "RGB"
) -> NDArray[np.uint8]:
    """The image (H, W, 3) that a model's input (1, C, H, W) shows: `prepare` undone, without the resampling."""
    shape = (-1, 1, 1)
    pixels = values[0] * torch.tensor(std).view(shape) + torch.tensor(mean).view(shape)
    pixels = (pixels * 255).round().clamp(0, 255).to(torch.uint8).expand(3, *values.shape[2:])
    pixels = pixels.flip(0) if channel_order == "BGR" else pixels
    return pixels.permute(1, 2, 0).contiguous().numpy()


def resize_and_crop(
    image: NDArray[np.uint8],
    input_size: Sequence[int],
    crop_pct: float = 1.0,
    interpolation: str = "bilinear",
) -> NDArray[np.uint8]:
    """The image at (H, W): shorter side scaled to the size over `crop` with antialias, center cut out.

    An image that has the size is returned as it is; one whose shorter side has the scaled length is only cut.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ImageError("An image is an array (H, W, 3) of bytes: convert it to RGB first.")
    height, width = input_size
    if image.shape[:2] == (height, width):
        return image
    if crop_pct < 1:
        return center_crop(
            resize_and_crop(
                image,
                (round(height / crop_pct), round(width / crop_pct)),
                interpolation=interpolation,
            ),
            height,
            width,
        )
    high, wide = image.shape[:2]
    scale = max(height / high, width / wide)
    cut_high, cut_wide = min(high, round(height / scale)) or 1, min(wide, round(width / scale)) or 1
    cut = center_crop(image, cut_high, cut_wide)
    if cut.shape[:2] == (height, width):
        return cut
    pixels = (
        torch.from_numpy(np.array(cut)).permute(2, 0, 1).unsqueeze(0).to(torch.float32)
    )  # (1, 3, H, W)
    scaled = F.interpolate(
        pixels, (height, width), mode=interpolation, antialias=True, align_corners=False
    )
    return scaled[0].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def center_crop(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The middle (height, width) of an image at least that large."""
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ImageError(f"'{path}' is a folder, not an image: choose a file in it.")
        if path.exists() and not path.is_file():  # a pipe or a device: reading it may never end
            raise ImageError(f"'{path}' is no ordinary file: choose an image.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ImageError(
                f"'{path.name}' is larger than {MAX_FILE_BYTES // 2**20} MB: choose a smaller image."
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"There is no file '{path}': check the name.") from None
    except OSError as error:
        raise ImageError(
            f"'{path}' cannot be read ({error.strerror}): check its permissions."
        ) from error


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        return np.repeat(_gray(np.asarray(image))[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _gray(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """16 bits keep their range, floats in 0..1 too; all else is stretched from its least to its most finite value."""
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    least, most = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    low, high = 0.0, 1.0 if values.dtype.kind == "f" else 65535.0
    if least < low or most > high:
        low, high = least, max(most, least + 1)
    shares = (np.nan_to_num(numbers, nan=low, posinf=high, neginf=low) - low) / (high - low)
    return (shares * 255).round().astype(np.uint8)
