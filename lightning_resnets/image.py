"""One picture to a net's input, exactly as in validation; and any picture file to plain RGB, or a sentence why not."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # never EPS: it calls another program
LARGEST_FILE = 200 * 2**20  # bytes
LARGEST_PICTURE = 40_000_000  # pixels
DRAFT = 4096  # pixels a side; a larger JPEG is decoded at a fraction of its size


class PictureError(ValueError):
    """A file that cannot be shown as a picture; its text is one plain sentence."""


def read_picture(source: str | Path | bytes) -> NDArray[np.uint8]:
    """A picture file, or its bytes, as RGB (H, W, 3): turned upright, 16 bits and floats scaled, alpha over white.

    Of an animation it is the first frame. Raises PictureError.
    """
    name = "This" if isinstance(source, bytes) else f"'{Path(source).name}'"
    data = source if isinstance(source, bytes) else _bytes(Path(source))
    if not data:
        raise PictureError(f"{name} is empty: choose another picture.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > LARGEST_PICTURE:
                    raise PictureError(
                        f"{name} has {image.width} x {image.height} pixels, more than {LARGEST_PICTURE // 10**6} "
                        "million: make it smaller first."
                    )
                image.draft(None, (DRAFT, DRAFT))
                return _rgb(ImageOps.exif_transpose(image))
    except PictureError:
        raise
    except Image.UnidentifiedImageError:
        raise PictureError(
            f"{name} is no picture that can be read: choose a PNG, JPEG, WebP, GIF, BMP or TIFF."
        ) from None
    except Image.DecompressionBombError:
        raise PictureError(f"{name} has too many pixels: make it smaller first.") from None
    except Exception as error:
        raise PictureError(f"{name} is a damaged picture: choose another or save it again.") from error


def prepare(
    picture: NDArray[np.uint8], size: tuple[int, int, int], mean: Sequence[float], std: Sequence[float],
    channels: str = "RGB", crop: float = 1.0, resample: str = "bilinear",
) -> Tensor:  # fmt: skip
    """A picture (H, W, 3) as a net's input (1, C, H, W), float32, to the bit as `data.batches.Normalise` makes it.

    A picture of the right size is not resampled, others are fitted by `fitted`. Nets not of three channels get the
    grey value. `mean` and `std` are in the order of `channels`, "RGB" or "BGR"; all as the card says it.
    """
    pixels = torch.from_numpy(np.array(fitted(picture, size[1:], crop, resample))).permute(2, 0, 1)  # (3, H, W)
    pixels = pixels.flip(0) if channels == "BGR" else pixels
    values = pixels.unsqueeze(0) if size[0] == 3 else pixels.float().mean(0).expand(1, size[0], -1, -1)
    deviation = torch.tensor(std).view(1, -1, 1, 1)
    return values * (1 / (255 * deviation)) - torch.tensor(mean).view(1, -1, 1, 1) / deviation  # (1, C, H, W)


def restored(values: Tensor, mean: Sequence[float], std: Sequence[float], channels: str = "RGB") -> NDArray[np.uint8]:
    """The picture (H, W, 3) that a net's input (1, C, H, W) shows: `prepare` undone, without the resampling."""
    shape = (-1, 1, 1)
    pixels = values[0] * torch.tensor(std).view(shape) + torch.tensor(mean).view(shape)
    pixels = (pixels * 255).round().clamp(0, 255).to(torch.uint8).expand(3, *values.shape[2:])
    pixels = pixels.flip(0) if channels == "BGR" else pixels
    return pixels.permute(1, 2, 0).contiguous().numpy()


def fitted(
    picture: NDArray[np.uint8], size: Sequence[int], crop: float = 1.0, resample: str = "bilinear"
) -> NDArray[np.uint8]:
    """The picture at (H, W): shorter side scaled to the size over `crop` with antialias, centre cut out.

    A picture that has the size is returned as it is; one whose shorter side has the scaled length is only cut.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
        raise PictureError("A picture is an array (H, W, 3) of bytes: convert it to RGB first.")
    height, width = size
    if picture.shape[:2] == (height, width):
        return picture
    if crop < 1:
        return centre(fitted(picture, (round(height / crop), round(width / crop)), resample=resample), height, width)
    high, wide = picture.shape[:2]
    scale = max(height / high, width / wide)
    cut_high, cut_wide = min(high, round(height / scale)) or 1, min(wide, round(width / scale)) or 1
    cut = centre(picture, cut_high, cut_wide)
    if cut.shape[:2] == (height, width):
        return cut
    pixels = torch.from_numpy(np.array(cut)).permute(2, 0, 1).unsqueeze(0).to(torch.float32)  # (1, 3, H, W)
    scaled = F.interpolate(pixels, (height, width), mode=resample, antialias=True, align_corners=False)
    return scaled[0].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def centre(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The middle (height, width) of a picture at least that large."""
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise PictureError(f"'{path}' is a folder, not a picture: choose a file in it.")
        if path.exists() and not path.is_file():  # a pipe or a device: reading it may never end
            raise PictureError(f"'{path}' is no ordinary file: choose a picture.")
        if path.stat().st_size > LARGEST_FILE:
            raise PictureError(f"'{path.name}' is larger than {LARGEST_FILE // 2**20} MB: choose a smaller picture.")
        return path.read_bytes()
    except FileNotFoundError:
        raise PictureError(f"There is no file '{path}': check the name.") from None
    except OSError as error:
        raise PictureError(f"'{path}' cannot be read ({error.strerror}): check its permissions.") from error


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        return np.repeat(_grey(np.asarray(image))[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _grey(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """16 bits keep their range, floats in 0..1 too; all else is stretched from its least to its most finite value."""
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    least, most = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    low, high = 0.0, 1.0 if values.dtype.kind == "f" else 65535.0
    if least < low or most > high:
        low, high = least, max(most, least + 1)
    shares = (np.nan_to_num(numbers, nan=low, posinf=high, neginf=low) - low) / (high - low)
    return (shares * 255).round().astype(np.uint8)
