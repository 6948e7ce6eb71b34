"""Pictures in folders, one folder a class: which there are, which of a net's classes they show, and batches of them.

Folders lie as torchvision's ImageFolder wants them (`root/class/picture.jpg`) and are read in its order.
"""

import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_resnets.checkpoint.card import Card
from lightning_resnets.data.imagenet_classes import WNIDS
from lightning_resnets.data.official import DataError
from lightning_resnets.image import PictureError, prepare, read_picture

ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
LISTED = 5  # names that a sentence lists

Picture = Path | NDArray[np.uint8]  # a file, or RGB (H, W, 3)


def pictures(root: Path) -> list[tuple[Path, str]]:
    """Every picture below `root` with its class, the folder of `root` that it lies in; order as ImageFolder's.

    What begins with a dot is passed over. Raises DataError where there is no folder, no class, or a class without
    pictures.
    """
    if not root.is_dir():
        raise DataError(f"There is no folder '{root}': give the one that holds a folder for each class (--root DIR).")
    classes = sorted(entry.name for entry in listed(root) if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise DataError(f"There is no class folder in '{root}': put each class's pictures into a folder of its own.")
    found = [(path, name) for name in classes for path in within(root / name)]
    if bare := sorted(set(classes) - {name for _, name in found}):
        raise DataError(
            f"There is no picture in {some(bare, root)}: take the folder away or put pictures into it "
            f"({', '.join(ENDINGS)})."
        )
    return found


def within(folder: Path) -> list[Path]:
    """The pictures in a folder and in folders inside it, sorted by folder and then by name."""
    found: list[tuple[str, str]] = []
    for path, inner, files in os.walk(folder, onerror=refuse, followlinks=True):
        inner[:] = [name for name in inner if not name.startswith(".") and not loop(Path(path, name))]
        found += [(path, name) for name in files if name.lower().endswith(ENDINGS) and not name.startswith(".")]
    return [Path(path, name) for path, name in sorted(found)]


def listed(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, or a sentence."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        refuse(error)
        raise


def refuse(error: OSError) -> None:
    raise DataError(f"'{error.filename}' cannot be read ({error.strerror}): check its permissions.") from error


def loop(folder: Path) -> bool:
    """Whether a folder is a link to one that it lies in itself, so that following it would never end."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def matched(names: Iterable[str], classes: Sequence[str]) -> dict[str, int]:
    """Which of the net's `classes` each class folder is: by its name, or by one that differs in case and underscores.

    Where no folder's name is a class's, and there are as many of both, by sorted order, as ImageFolder numbers them.
    Raises DataError with the names that fit no class.
    """
    names = sorted(names)
    exact, loose = places(classes), places([plain(name) for name in classes])
    found = {name: exact.get(name, loose.get(plain(name))) for name in names}
    fitting = {name: place for name, place in found.items() if place is not None}
    if len(fitting) == len(names):
        return fitting
    if not fitting and len(names) == len(classes):
        return {name: place for place, name in enumerate(names)}
    strange = [name for name in names if name not in fitting]
    remedy = "say --data imagenet" if set(strange) <= set(WNIDS) else "name the folders as the net names its classes"
    raise DataError(
        f"{len(strange)} of {len(names)} folders are no class of the net ({some(strange)}): {remedy} ({some(classes)})."
    )


def numbered(names: Iterable[str], classes: Sequence[str]) -> dict[str, int]:
    """The same for folders named by WordNet numbers, for all of ImageNet's 1,000 classes or some of them.

    Raises DataError where a folder is none of the 1,000, or the net does not have 1,000 classes (nor names them so).
    """
    names, given = sorted(names), places(classes)
    if all(name in given for name in names):
        return {name: given[name] for name in names}
    known = places(WNIDS)
    if strange := [name for name in names if name not in known]:
        raise DataError(
            f"{len(strange)} of {len(names)} folders are none of ImageNet's classes ({some(strange)}): name them by "
            f"WordNet number ({WNIDS[0]}), or say --data folder."
        )
    if len(classes) != len(WNIDS):
        raise DataError(
            f"This net tells {len(classes)} classes apart and ImageNet has {len(WNIDS):,}: evaluate it on pictures of "
            f"its own classes ({some(classes)})."
        )
    return {name: known[name] for name in names}


def places(names: Sequence[str]) -> dict[str, int]:
    """Where each name stands; one in two places (but for case, ImageNet's cardigan) is left out."""
    often = Counter(names)
    return {name: place for place, name in enumerate(names) if often[name] == 1}


def plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def some(names: Sequence[str], folder: Path | None = None) -> str:
    """The first few of many names, as a sentence lists them."""
    shown = [f"'{folder / name}'" if folder else name for name in names[:LISTED]]
    return ", ".join(shown) + (f" and {len(names) - LISTED:,} more" if len(names) > LISTED else "")


def batches(pictures: Iterable[Picture], card: Card, batch_size: int, threads: int = 1) -> Iterator[Tensor]:
    """Batches (N, C, H, W) of a net's input, made of every picture in order, as `card` says that the net wants them.

    `threads` threads decode one batch while the one before is used, and no more than that is held in memory. Raises
    PictureError that names the file which is no picture.
    """

    def ready(picture: Picture) -> Tensor:
        pixels = opened(picture) if isinstance(picture, Path) else picture
        return prepare(pixels, card.size, card.mean, card.std, card.channels, card.crop, card.resample)

    waiting, source = deque[list[Future[Tensor]]](), iter(pictures)
    pool = ThreadPoolExecutor(threads, "pictures")
    try:
        waiting.append([pool.submit(ready, picture) for picture in islice(source, batch_size)])
        while waiting[0]:
            waiting.append([pool.submit(ready, picture) for picture in islice(source, batch_size)])
            yield torch.cat([future.result() for future in waiting.popleft()])
    finally:
        pool.shutdown(cancel_futures=True)


def opened(path: Path) -> NDArray[np.uint8]:
    try:
        return read_picture(path)
    except PictureError as error:  # among thousands, a file's name alone does not find it
        raise PictureError(str(error).replace(f"'{path.name}'", f"'{path}'", 1)) from error
