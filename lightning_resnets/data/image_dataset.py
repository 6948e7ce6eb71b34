"""Datasets of images by index, loaded in worker processes as whole batches of bytes."""

import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode, v2

from lightning_resnets.data.random_resized_crop import random_resized_crop
from lightning_resnets.data.sampler import SampleKey
from lightning_resnets.errors import DataError, ImageError
from lightning_resnets.preprocessing import resize_and_crop
from lightning_resnets.utils.image_files import read_image

AutoAugmentPolicy = Literal["trivial", "rand"]

ReadError = DataError | ImageError


class ImageBatch(NamedTuple):
    """A batch that a worker has loaded.

    Attributes:
        images: (N, 3, H, W) uint8, channels last.
        labels: (N,) int64.
        damaged: indices of images that could not be read, with the error's message.
    """

    images: Tensor
    labels: Tensor
    damaged: dict[int, str]


# A worker returns an error instead of raising it, because an error raised there arrives wrapped in
# the worker's whole traceback.
BatchOrError = ImageBatch | ReadError


class ImageSource(Protocol):
    """Images by index."""

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def read(self, index: int) -> tuple[bytes, int]:
        """Read the content of an image file, and its class index.

        Args:
            index: index of the image.

        Returns:
            The bytes and the class index.
        """
        ...

    def name(self, index: int) -> str:
        """Name an image for messages.

        Args:
            index: index of the image.

        Returns:
            For example its path in quotes.
        """
        ...


class ImageFiles:
    """Image files and their class indices.

    Args:
        paths: N files.
        labels: (N,) int64.
    """

    def __init__(self, paths: Sequence[Path], labels: Tensor) -> None:
        # One block of memory, which worker processes share.
        self.paths = np.array([os.fsencode(path) for path in paths])
        self.labels = labels

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def read(self, index: int) -> tuple[bytes, int]:
        """Read a file, and its class index.

        Args:
            index: index of the image.

        Returns:
            The bytes and the class index.

        Raises:
            DataError: the file cannot be read.
        """
        path = Path(os.fsdecode(self.paths[index]))
        try:
            return path.read_bytes(), int(self.labels[index])
        except OSError as error:
            raise DataError(
                f"Cannot read {self.name(index)} ({error.strerror}). Restore the file."
            ) from error

    def name(self, index: int) -> str:
        """Name an image for messages.

        Args:
            index: index of the image.

        Returns:
            Its path in quotes.
        """
        return f"'{os.fsdecode(self.paths[index])}'"


class TrainImages(Dataset[BatchOrError]):
    """Training images: random resized crops, with torchvision's automatic augmentation on request.

    This augmentation is done here and not for whole batches on the device, where an operation per
    image would take as many small kernels. All draws come from the seed and the key.

    Args:
        source: images.
        seed: seed of all draws.
        min_crop_scale: minimum area of a crop as a fraction of the image.
        auto_augment: "trivial" (TrivialAugmentWide) or "rand" (RandAugment, two operations).
        auto_augment_magnitude: strength of RandAugment, 0 to 30.
        skip_damaged: take another image of the batch in place of one that cannot be read.
    """

    def __init__(
        self,
        source: ImageSource,
        seed: int = 0,
        min_crop_scale: float = 0.08,
        auto_augment: AutoAugmentPolicy | None = None,
        auto_augment_magnitude: int = 9,
        skip_damaged: bool = False,
    ) -> None:
        self.source = source
        self.skip_damaged = skip_damaged
        self.seed = seed
        self.min_crop_scale = min_crop_scale
        bilinear = InterpolationMode.BILINEAR
        self.transform: v2.Transform | None = None
        # Cubuk et al. 2019 (arXiv:1909.13719) take two operations for ResNet-50 on ImageNet.
        if auto_augment == "rand":
            self.transform = v2.RandAugment(2, auto_augment_magnitude, interpolation=bilinear)
        elif auto_augment == "trivial":
            self.transform = v2.TrivialAugmentWide(interpolation=bilinear)

    def __getitems__(self, keys: list[SampleKey]) -> BatchOrError:
        """Return the batch of some keys, or the error of the first image that cannot be read."""
        size = keys[0].image_size
        pixels = torch.empty(len(keys), size, size, 3, dtype=torch.uint8)
        images = pixels.permute(0, 3, 1, 2)  # channels last
        labels = torch.empty(len(keys), dtype=torch.int64)
        damaged: dict[int, str] = {}
        # Position in the batch of each image that cannot be read.
        gaps: list[int] = []
        for position, key in enumerate(keys):
            try:
                images[position : position + 1], labels[position] = self.load(key)
            except (DataError, ImageError) as error:
                # At least one image must be readable to fill the gaps.
                if not self.skip_damaged or len(gaps) + 1 == len(keys):
                    return error
                damaged[key.image_index] = str(error)
                gaps.append(position)
        self._fill(gaps, images, labels)
        return ImageBatch(images, labels, damaged)

    def _fill(self, gaps: list[int], images: Tensor, labels: Tensor) -> None:
        """Copy the next readable image of the batch into each gap, flipped left to right."""
        for gap in gaps:
            other = gap
            while other in gaps:
                other = (other + 1) % len(labels)
            # Flipped, so that the copy is not equal to its original.
            images[gap] = images[other].flip(-1)
            labels[gap] = labels[other]

    def load(self, key: SampleKey) -> tuple[Tensor, int]:
        """Load and augment one image.

        Args:
            key: identifies the training sample.

        Returns:
            The image (1, 3, image_size, image_size) uint8 and its class index.

        Raises:
            DataError: the file cannot be read.
            ImageError: it cannot be read as an image.
        """
        # A string seeds Random alike in every process; `hash` differs between them.
        rng = Random(f"{self.seed} {key.epoch} {key.image_index} {key.repeat}")  # noqa: S311
        data, label = self.source.read(key.image_index)
        try:
            pixels = random_resized_crop(data, key.image_size, rng, self.min_crop_scale)
        except ImageError as error:
            raise _add_file_name(error, self.source.name(key.image_index)) from error
        return self._augment(pixels, rng), label

    def _augment(self, pixels: Tensor, rng: Random) -> Tensor:
        """Apply the automatic augmentation, if there is one, to (1, 3, H, W) uint8."""
        if self.transform is None:
            return pixels
        # torchvision draws from torch's global generator.
        state = torch.get_rng_state()
        torch.default_generator.manual_seed(rng.getrandbits(63))
        try:
            return self.transform(pixels)
        finally:
            torch.set_rng_state(state)


class EvalImages(Dataset[BatchOrError]):
    """Images for evaluation, equal to the bit to `preprocess`, but not yet normalized.

    Args:
        source: images.
        image_size: side of the center crop in pixels.
        crop_pct: that side as a fraction of the resized shorter side.
        interpolation: "bilinear" or "bicubic".
        skip_damaged: leave out images that cannot be read; a batch may become empty.
    """

    def __init__(
        self,
        source: ImageSource,
        image_size: int,
        crop_pct: float,
        interpolation: str = "bilinear",
        skip_damaged: bool = False,
    ) -> None:
        self.source = source
        self.skip_damaged = skip_damaged
        self.image_size = image_size
        self.crop_pct = crop_pct
        self.interpolation = interpolation

    def __getitems__(self, indices: list[int]) -> BatchOrError:
        """Return the batch of some images, or the error of the first that cannot be read."""
        pixels = np.empty((len(indices), self.image_size, self.image_size, 3), np.uint8)
        labels = torch.empty(len(indices), dtype=torch.int64)
        damaged: dict[int, str] = {}
        # Readable images move up, so that the batch has no gaps.
        count = 0
        for index in indices:
            try:
                pixels[count], labels[count] = self.load(index)
            except (DataError, ImageError) as error:
                if not self.skip_damaged:
                    return error
                damaged[index] = str(error)
            else:
                count += 1
        images = torch.from_numpy(pixels[:count]).permute(0, 3, 1, 2)
        return ImageBatch(images, labels[:count], damaged)

    def load(self, index: int) -> tuple[np.ndarray, int]:
        """Load, resize and crop one image.

        Args:
            index: index of the image.

        Returns:
            The image (image_size, image_size, 3) uint8 and its class index.

        Raises:
            DataError: the file cannot be read.
            ImageError: it cannot be read as an image.
        """
        data, label = self.source.read(index)
        size = (self.image_size, self.image_size)
        try:
            image = resize_and_crop(read_image(data), size, self.crop_pct, self.interpolation)
        except ImageError as error:
            raise _add_file_name(error, self.source.name(index)) from error
        return image, label


def _add_file_name(error: ImageError, name: str) -> ImageError:
    """Return an error about bytes with the name of their file in its message."""
    # The reader of bytes knows no path and says "this file".
    return ImageError(str(error).replace("this file", name, 1))
