"""Decode a JPEG and crop a random part of it, as coarsely as the training needs it."""

import io
import math
import warnings
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision import io as codecs

from lightning_resnets.utils.image_files import MAX_PIXELS, read_image

EXIF_ORIENTATION = 0x0112  # the EXIF tag

# A smaller file is hardly ever of an image twice as large as the training needs it.
DRAFT_MIN_BYTES = 200_000

MAX_ATTEMPTS = 10

CropBox = tuple[int, int, int, int]  # left, top, width, height


def random_resized_crop_box(
    width: int, height: int, rng: Random, min_scale: float = 0.08
) -> CropBox:
    """Draw a random part of an image (Szegedy et al. 2014, arXiv:1409.4842).

    Args:
        width: width of the image in pixels.
        height: height of the image in pixels.
        rng: source of the draws.
        min_scale: minimum area as a fraction of the image; the aspect ratio is 3:4 to 4:3.

    Returns:
        Left, top, width and height; those of the center after ten draws that do not fit.
    """
    for _ in range(MAX_ATTEMPTS):
        area = width * height * rng.uniform(min_scale, 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        crop_width = round(math.sqrt(area * ratio))
        crop_height = round(math.sqrt(area / ratio))
        # The same test as in torchvision's RandomResizedCrop.
        if 0 < crop_width <= width and 0 < crop_height <= height:
            left = rng.randint(0, width - crop_width)
            top = rng.randint(0, height - crop_height)
            return left, top, crop_width, crop_height
    return _center_box(width, height)


def _center_box(width: int, height: int) -> CropBox:
    """Return the center of an image, cropped to an aspect ratio of 3:4 to 4:3."""
    crop_width = min(width, round(height * 4 / 3))
    crop_height = min(height, round(width * 4 / 3))
    return (width - crop_width) // 2, (height - crop_height) // 2, crop_width, crop_height


def random_resized_crop(
    data: bytes, image_size: int, rng: Random, min_scale: float = 0.08
) -> Tensor:
    """Decode an image, crop a random part, resize it and flip it at random.

    Args:
        data: content of an image file.
        image_size: side of the result in pixels.
        rng: source of the draws.
        min_scale: minimum area of the part as a fraction of the image.

    Returns:
        (1, 3, image_size, image_size) uint8, channels last.

    Raises:
        ImageError: the file cannot be read as an image.
    """
    part = _decode_part(data, image_size, rng, min_scale)
    # Without channels_last the resizing takes twice as long.
    batch = part.unsqueeze(0).contiguous(memory_format=torch.channels_last)
    resized = F.interpolate(batch, (image_size, image_size), mode="bilinear", antialias=True)
    return resized.flip(-1) if rng.random() < 0.5 else resized


def _decode_part(data: bytes, image_size: int, rng: Random, min_scale: float) -> Tensor:
    """Decode a random part of an image, (3, H, W), at a lower resolution where that is faster."""
    if len(data) > DRAFT_MIN_BYTES:
        part = decode_downscaled(data, image_size, rng, min_scale)
        if part is not None:
            return part
    pixels = decode_image(data)  # (3, H, W)
    height, width = pixels.shape[1:]
    left, top, crop_width, crop_height = random_resized_crop_box(width, height, rng, min_scale)
    return pixels[:, top : top + crop_height, left : left + crop_width]


def decode_image(data: bytes) -> Tensor:
    """Decode a whole image, upright.

    Args:
        data: content of an image file.

    Returns:
        (3, H, W) uint8.

    Raises:
        ImageError: the file cannot be read as an image.
    """
    try:
        with warnings.catch_warnings():
            # The buffer is read-only, and nobody writes to it; the decoder is deprecated.
            warnings.simplefilter("ignore")
            raw = torch.frombuffer(data, dtype=torch.uint8)
            rgb = codecs.ImageReadMode.RGB
            pixels = codecs.decode_jpeg(raw, mode=rgb, apply_exif_orientation=True)
        assert isinstance(pixels, Tensor), "one image, not a list"
        return pixels
    # Not a JPEG, a damaged one, or a torchvision without decoders.
    except (RuntimeError, ValueError, AttributeError):
        return torch.from_numpy(np.array(read_image(data))).permute(2, 0, 1)


def decode_downscaled(data: bytes, image_size: int, rng: Random, min_scale: float) -> Tensor | None:
    """Decode a random part at 1/2, 1/4 or 1/8 of its size, if that is still large enough.

    Args:
        data: content of an image file.
        image_size: minimum side of the part in pixels.
        rng: source of the draws; unchanged if the result is None.
        min_scale: minimum area of the part as a fraction of the image.

    Returns:
        (3, H, W) uint8, or None if the image is not a JPEG, damaged, rotated or too small.
    """
    state = rng.getstate()
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            box = random_resized_crop_box(*image.size, rng, min_scale)
            factor = min(box[2:]) // image_size
            if factor >= 2 and _can_downscale(image):
                return _draft_and_crop(image, box, factor)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        pass  # the decoder of the whole image reports the error
    rng.setstate(state)
    return None


def _can_downscale(image: Image.Image) -> bool:
    """Return whether an open JPEG is upright, RGB and not too large."""
    is_upright = image.getexif().get(EXIF_ORIENTATION, 1) == 1
    width, height = image.size
    return is_upright and image.mode == "RGB" and width * height <= MAX_PIXELS


def _draft_and_crop(image: Image.Image, box: CropBox, factor: int) -> Tensor:
    """Decode an open JPEG at about 1 / factor of its size and crop a part, (3, H, W)."""
    width, height = image.size
    image.draft("RGB", (width // factor, height // factor))
    scale = image.size[0] / width
    left, top, crop_width, crop_height = box
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    rows = slice(round(top * scale), round((top + crop_height) * scale))
    columns = slice(round(left * scale), round((left + crop_width) * scale))
    return pixels[:, rows, columns]
