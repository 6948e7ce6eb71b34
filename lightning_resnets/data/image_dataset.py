"""Images by number, from files or any other source, in batches of bytes: cropped for training, else fitted."""

import io
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Literal, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset
from torchvision import io as codecs
from torchvision.transforms import InterpolationMode, v2

from lightning_resnets.data.sampler import SampleKey
from lightning_resnets.errors import DataError, ImageError
from lightning_resnets.preprocessing import MAX_PIXELS, read_image, resize_and_crop

AutoAugmentPolicy = Literal["trivial", "rand"]


ImageBatch = (
    tuple[Tensor, Tensor] | Exception
)  # (N, 3, H, W) uint8, channels last, and (N,) int64; or what went wrong


class ImageSource(Protocol):
    """Images by number."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> tuple[bytes, int]:
        """The image's file, whole, and its class."""
        ...

    def name(self, index: int) -> str:
        """What a sentence calls it."""
        ...


class ImageFiles:
    """Image files and their classes, (N,) int64."""

    def __init__(self, paths: Sequence[Path], labels: Tensor) -> None:
        self.paths = np.array(
            [os.fsencode(path) for path in paths]
        )  # one block, which worker processes share
        self.labels = labels

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> tuple[bytes, int]:
        try:
            return Path(os.fsdecode(self.paths[index])).read_bytes(), int(self.labels[index])
        except OSError as error:
            raise DataError(
                f"{self.name(index)} cannot be read ({error.strerror}): put it back."
            ) from error

    def name(self, index: int) -> str:
        return f"'{os.fsdecode(self.paths[index])}'"


class TrainImages(Dataset[ImageBatch]):
    """Training images: a random part (`jpeg.cropped`) and, with `policy`, torchvision's automatic augmentation.

    That is done here and not for whole batches on the device, because each image has its own operation: on the device
    it would be as many small kernels as there are images. `policy` is "trivial" (TrivialAugmentWide) or "rand"
    (RandAugment, two operations of `magnitude` 0 to 30). Everything random depends on the seed and the key alone.
    """

    def __init__(
        self,
        source: ImageSource,
        seed: int = 0,
        min_crop_scale: float = 0.08,
        auto_augment: AutoAugmentPolicy | None = None,
        auto_augment_magnitude: int = 9,
    ) -> None:
        self.source, self.seed, self.min_crop_scale = source, seed, min_crop_scale
        smooth = InterpolationMode.BILINEAR
        self.transform = None
        if auto_augment:
            rand = v2.RandAugment(2, auto_augment_magnitude, interpolation=smooth)
            self.transform = (
                rand if auto_augment == "rand" else v2.TrivialAugmentWide(interpolation=smooth)
            )

    def __getitems__(self, keys: list[SampleKey]) -> ImageBatch:
        side = keys[0].image_size
        images = torch.empty(len(keys), side, side, 3, dtype=torch.uint8).permute(
            0, 3, 1, 2
        )  # channels last
        labels = torch.empty(len(keys), dtype=torch.int64)
        try:
            for place, key in enumerate(keys):
                images[place : place + 1], labels[place] = self.load(key)
        except (DataError, ImageError) as error:
            return error
        return images, labels

    def load(self, key: SampleKey) -> tuple[Tensor, int]:
        """The image (1, 3, side, side) uint8 of a key, and its class."""
        rng = Random(f"{self.seed} {key.epoch} {key.image_index} {key.repeat}")
        data, label = self.source.read(key.image_index)
        try:
            pixels = random_resized_crop(data, key.image_size, rng, self.min_crop_scale)
        except ImageError as error:
            raise add_file_name(error, self.source.name(key.image_index)) from error
        if self.transform is None:
            return pixels, label
        state = torch.get_rng_state()  # torchvision draws from torch's own generator
        torch.default_generator.manual_seed(rng.getrandbits(63))
        try:
            return self.transform(pixels), label
        finally:
            torch.set_rng_state(state)


class EvalImages(Dataset[ImageBatch]):
    """Images for evaluation, to the bit as `image.prepare` makes them for one image, but not yet normalized."""

    def __init__(
        self, source: ImageSource, image_size: int, crop_pct: float, interpolation: str = "bilinear"
    ) -> None:
        self.source, self.image_size, self.crop_pct, self.interpolation = (
            source,
            image_size,
            crop_pct,
            interpolation,
        )

    def __getitems__(self, places: list[int]) -> ImageBatch:
        try:
            pairs = [self.load(index) for index in places]
        except (DataError, ImageError) as error:
            return error
        pixels = torch.from_numpy(np.stack([image for image, _ in pairs]))  # (N, H, W, 3)
        return pixels.permute(0, 3, 1, 2), torch.tensor([label for _, label in pairs])

    def load(self, index: int) -> tuple[np.ndarray, int]:
        data, label = self.source.read(index)
        try:
            return resize_and_crop(
                read_image(data),
                (self.image_size, self.image_size),
                self.crop_pct,
                self.interpolation,
            ), label
        except ImageError as error:
            raise add_file_name(error, self.source.name(index)) from error


def add_file_name(error: ImageError, name: str) -> ImageError:
    """The same sentence about a file with a name: bytes have none."""
    return ImageError(str(error).replace("This", name, 1))


EXIF_ORIENTATION = 0x0112  # the EXIF tag


DRAFT_MIN_BYTES = (
    200_000  # bytes; below that an image is hardly ever twice as large as the training wants it
)


MAX_ATTEMPTS = 10


def random_resized_crop_box(
    width: int, height: int, rng: Random, least: float = 0.08
) -> tuple[int, int, int, int]:
    """Left, top, width and height of a random part: `least` to all of the area, sides 3 : 4 to 4 : 3.

    After ten tries that do not fit, the middle, as little cut as the proportions allow (Szegedy et al. 2014,
    arXiv:1409.4842; the same draws as torchvision's RandomResizedCrop makes).
    """
    for _ in range(MAX_ATTEMPTS):
        area = width * height * rng.uniform(least, 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            return rng.randint(0, width - wide), rng.randint(0, height - high), wide, high
    wide, high = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
    return (width - wide) // 2, (height - high) // 2, wide, high


def random_resized_crop(data: bytes, side: int, rng: Random, least: float = 0.08) -> Tensor:
    """A random part of an image at (1, 3, side, side) uint8, channels last, flipped or not; raises PictureError."""
    if (
        len(data) > DRAFT_MIN_BYTES
        and (coarse := decode_downscaled(data, side, rng, least)) is not None
    ):
        part = coarse
    else:
        pixels = decode_image(data)  # (3, H, W)
        left, top, wide, high = random_resized_crop_box(
            pixels.shape[2], pixels.shape[1], rng, least
        )
        part = pixels[:, top : top + high, left : left + wide]
    part = part.unsqueeze(0).contiguous(
        memory_format=torch.channels_last
    )  # else scaling takes twice as long
    scaled = F.interpolate(part, (side, side), mode="bilinear", antialias=True)
    return scaled.flip(-1) if rng.random() < 0.5 else scaled


def decode_image(data: bytes) -> Tensor:
    """The whole image (3, H, W) uint8, upright; what the fast decoder refuses is read by `image.read_picture`."""
    try:
        with (
            warnings.catch_warnings()
        ):  # the buffer cannot be written to, and nobody does; the decoder is to go
            warnings.simplefilter("ignore")
            raw = torch.frombuffer(data, dtype=torch.uint8)
            pixels = codecs.decode_jpeg(
                raw, mode=codecs.ImageReadMode.RGB, apply_exif_orientation=True
            )
        assert isinstance(pixels, Tensor), "one image, not a list"
        return pixels
    except (
        RuntimeError,
        ValueError,
        AttributeError,
    ):  # no JPEG, a damaged one; torchvision has no decoder any more
        return torch.from_numpy(np.array(read_image(data))).permute(2, 0, 1)


def decode_downscaled(data: bytes, side: int, rng: Random, least: float) -> Tensor | None:
    """A random part (3, H, W), decoded at 1/2, 1/4 or 1/8 of its size where it stays as large as wanted; else None."""
    state = rng.getstate()
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            width, height = image.size
            left, top, wide, high = random_resized_crop_box(width, height, rng, least)
            times = min(wide, high) // side
            upright = image.getexif().get(EXIF_ORIENTATION, 1) == 1
            if times >= 2 and upright and image.mode == "RGB" and width * height <= MAX_PIXELS:
                image.draft("RGB", (width // times, height // times))
                whole, part = (
                    image.size[0] / width,
                    torch.from_numpy(np.array(image)).permute(2, 0, 1),
                )
                first, last = (round(top * whole), round((top + high) * whole))
                return part[:, first:last, round(left * whole) : round((left + wide) * whole)]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        pass  # no JPEG or a damaged one: the other way says it in a sentence
    rng.setstate(state)
    return None
