"""A picture file's bytes to a training picture: decoded no finer than needed, cut at random, scaled, all in bytes.

torchvision's decoder and torch's scaling of uint8 in channels-last order are the fastest that were measured: PIL's give
the same pixels, the decoder to the bit, and take 1.7 times as long (`benchmarks/loading.py`).
"""

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

from lightning_resnets.image import LARGEST_PICTURE, read_picture

ORIENTATION = 0x0112  # the EXIF tag
LARGE = 200_000  # bytes; below that a picture is hardly ever twice as large as the training wants it
TRIES = 10


def box(width: int, height: int, rng: Random, least: float = 0.08) -> tuple[int, int, int, int]:
    """Left, top, width and height of a random part: `least` to all of the area, sides 3 : 4 to 4 : 3.

    After ten tries that do not fit, the middle, as little cut as the proportions allow (Szegedy et al. 2014,
    arXiv:1409.4842; the same draws as torchvision's RandomResizedCrop makes).
    """
    for _ in range(TRIES):
        area = width * height * rng.uniform(least, 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            return rng.randint(0, width - wide), rng.randint(0, height - high), wide, high
    wide, high = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
    return (width - wide) // 2, (height - high) // 2, wide, high


def cropped(data: bytes, side: int, rng: Random, least: float = 0.08) -> Tensor:
    """A random part of a picture at (1, 3, side, side) uint8, channels last, flipped or not; raises PictureError."""
    if len(data) > LARGE and (coarse := coarsely(data, side, rng, least)) is not None:
        part = coarse
    else:
        pixels = decoded(data)  # (3, H, W)
        left, top, wide, high = box(pixels.shape[2], pixels.shape[1], rng, least)
        part = pixels[:, top : top + high, left : left + wide]
    part = part.unsqueeze(0).contiguous(memory_format=torch.channels_last)  # else scaling takes twice as long
    scaled = F.interpolate(part, (side, side), mode="bilinear", antialias=True)
    return scaled.flip(-1) if rng.random() < 0.5 else scaled


def decoded(data: bytes) -> Tensor:
    """The whole picture (3, H, W) uint8, upright; what the fast decoder refuses is read by `image.read_picture`."""
    try:
        with warnings.catch_warnings():  # the buffer cannot be written to, and nobody does; the decoder is to go
            warnings.simplefilter("ignore")
            raw = torch.frombuffer(data, dtype=torch.uint8)
            pixels = codecs.decode_jpeg(raw, mode=codecs.ImageReadMode.RGB, apply_exif_orientation=True)
        assert isinstance(pixels, Tensor), "one picture, not a list"
        return pixels
    except (RuntimeError, ValueError, AttributeError):  # no JPEG, a damaged one; torchvision has no decoder any more
        return torch.from_numpy(np.array(read_picture(data))).permute(2, 0, 1)


def coarsely(data: bytes, side: int, rng: Random, least: float) -> Tensor | None:
    """A random part (3, H, W), decoded at 1/2, 1/4 or 1/8 of its size where it stays as large as wanted; else None."""
    state = rng.getstate()
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            width, height = image.size
            left, top, wide, high = box(width, height, rng, least)
            times = min(wide, high) // side
            upright = image.getexif().get(ORIENTATION, 1) == 1
            if times >= 2 and upright and image.mode == "RGB" and width * height <= LARGEST_PICTURE:
                image.draft("RGB", (width // times, height // times))
                whole, part = image.size[0] / width, torch.from_numpy(np.array(image)).permute(2, 0, 1)
                first, last = (round(top * whole), round((top + high) * whole))
                return part[:, first:last, round(left * whole) : round((left + wide) * whole)]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        pass  # no JPEG or a damaged one: the other way says it in a sentence
    rng.setstate(state)
    return None
