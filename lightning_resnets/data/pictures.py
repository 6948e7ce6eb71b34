"""Pictures by number, from files or any other source, in batches of bytes: cropped for training, else fitted."""

import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode, v2

from lightning_resnets.data.epochs import Key
from lightning_resnets.data.jpeg import cropped
from lightning_resnets.data.official import DataError
from lightning_resnets.image import PictureError, fitted, read_picture

Policy = Literal["trivial", "rand"]
Batch = tuple[Tensor, Tensor] | Exception  # (N, 3, H, W) uint8, channels last, and (N,) int64; or what went wrong


class Source(Protocol):
    """Pictures by number."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> tuple[bytes, int]:
        """The picture's file, whole, and its class."""
        ...

    def name(self, index: int) -> str:
        """What a sentence calls it."""
        ...


class Files:
    """Picture files and their classes, (N,) int64."""

    def __init__(self, paths: Sequence[Path], labels: Tensor) -> None:
        self.paths = np.array([os.fsencode(path) for path in paths])  # one block, which worker processes share
        self.labels = labels

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> tuple[bytes, int]:
        try:
            return Path(os.fsdecode(self.paths[index])).read_bytes(), int(self.labels[index])
        except OSError as error:
            raise DataError(f"{self.name(index)} cannot be read ({error.strerror}): put it back.") from error

    def name(self, index: int) -> str:
        return f"'{os.fsdecode(self.paths[index])}'"


class Crops(Dataset[Batch]):
    """Training pictures: a random part (`jpeg.cropped`) and, with `policy`, torchvision's automatic augmentation.

    That is done here and not for whole batches on the device, because each picture has its own operation: on the device
    it would be as many small kernels as there are pictures. `policy` is "trivial" (TrivialAugmentWide) or "rand"
    (RandAugment, two operations of `magnitude` 0 to 30). Everything random depends on the seed and the key alone.
    """

    def __init__(
        self, source: Source, seed: int = 0, least: float = 0.08, policy: Policy | None = None, magnitude: int = 9
    ) -> None:
        self.source, self.seed, self.least = source, seed, least
        smooth = InterpolationMode.BILINEAR
        self.transform = None
        if policy:
            rand = v2.RandAugment(2, magnitude, interpolation=smooth)
            self.transform = rand if policy == "rand" else v2.TrivialAugmentWide(interpolation=smooth)

    def __getitems__(self, keys: list[Key]) -> Batch:
        side = keys[0].side
        images = torch.empty(len(keys), side, side, 3, dtype=torch.uint8).permute(0, 3, 1, 2)  # channels last
        labels = torch.empty(len(keys), dtype=torch.int64)
        try:
            for place, key in enumerate(keys):
                images[place : place + 1], labels[place] = self.picture(key)
        except (DataError, PictureError) as error:
            return error
        return images, labels

    def picture(self, key: Key) -> tuple[Tensor, int]:
        """The picture (1, 3, side, side) uint8 of a key, and its class."""
        rng = Random(f"{self.seed} {key.epoch} {key.number} {key.repeat}")  # noqa: S311
        data, label = self.source.read(key.number)
        try:
            image = cropped(data, key.side, rng, self.least)
        except PictureError as error:
            raise named(error, self.source.name(key.number)) from error
        if self.transform is None:
            return image, label
        state = torch.get_rng_state()  # torchvision draws from torch's own generator
        torch.default_generator.manual_seed(rng.getrandbits(63))
        try:
            return self.transform(image), label
        finally:
            torch.set_rng_state(state)


class Whole(Dataset[Batch]):
    """Pictures for evaluation, to the bit as `image.prepare` makes them for one picture, but not yet normalised."""

    def __init__(self, source: Source, side: int, crop: float, resample: str = "bilinear") -> None:
        self.source, self.side, self.crop, self.resample = source, side, crop, resample

    def __getitems__(self, places: list[int]) -> Batch:
        try:
            pairs = [self.picture(index) for index in places]
        except (DataError, PictureError) as error:
            return error
        pixels = torch.from_numpy(np.stack([picture for picture, _ in pairs]))  # (N, H, W, 3)
        return pixels.permute(0, 3, 1, 2), torch.tensor([label for _, label in pairs])

    def picture(self, index: int) -> tuple[np.ndarray, int]:
        data, label = self.source.read(index)
        try:
            return fitted(read_picture(data), (self.side, self.side), self.crop, self.resample), label
        except PictureError as error:
            raise named(error, self.source.name(index)) from error


def named(error: PictureError, name: str) -> PictureError:
    """The same sentence about a file with a name: bytes have none."""
    return PictureError(str(error).replace("This", name, 1))
