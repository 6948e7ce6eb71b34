"""Images in folders, one folder a class: which there are, which of a model's classes they show, and batches of them.

Folders lie as torchvision's ImageFolder wants them (`root/class/image.jpg`) and are read in its order.
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

from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.data.imagenet_classes import WNIDS
from lightning_resnets.errors import DataError, ImageError
from lightning_resnets.preprocessing import preprocess, read_image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


MAX_LISTED = 5  # names that a sentence lists

ImageSource = Path | NDArray[np.uint8]  # a file, or RGB (H, W, 3)


def list_images(root: Path) -> list[tuple[Path, str]]:
    """Every image below `root` with its class, the folder of `root` that it lies in; order as ImageFolder's.

    What begins with a dot is passed over. Raises DataError where there is no folder, no class, or a class without
    images.
    """
    if not root.is_dir():
        raise DataError(
            f"There is no folder '{root}': give the one that holds a folder for each class (--root DIR)."
        )
    classes = sorted(
        entry.name for entry in scan_dir(root) if entry.is_dir() and not entry.name.startswith(".")
    )
    if not classes:
        raise DataError(
            f"There is no class folder in '{root}': put each class's images into a folder of its own."
        )
    found = [(path, name) for name in classes for path in walk_images(root / name)]
    if bare := sorted(set(classes) - {name for _, name in found}):
        raise DataError(
            f"There is no image in {join_first(bare, root)}: take the folder away or put images into it "
            f"({', '.join(IMAGE_SUFFIXES)})."
        )
    return found


def walk_images(folder: Path) -> list[Path]:
    """The images in a folder and in folders inside it, sorted by folder and then by name."""
    found: list[tuple[str, str]] = []
    for path, inner, files in os.walk(folder, onerror=raise_unreadable, followlinks=True):
        inner[:] = [
            name
            for name in inner
            if not name.startswith(".") and not is_link_loop(Path(path, name))
        ]
        found += [
            (path, name)
            for name in files
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")
        ]
    return [Path(path, name) for path, name in sorted(found)]


def scan_dir(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, or a sentence."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise_unreadable(error)
        raise


def raise_unreadable(error: OSError) -> None:
    raise DataError(
        f"'{error.filename}' cannot be read ({error.strerror}): check its permissions."
    ) from error


def is_link_loop(folder: Path) -> bool:
    """Whether a folder is a link to one that it lies in itself, so that following it would never end."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def match_class_folders(names: Iterable[str], class_names: Sequence[str]) -> dict[str, int]:
    """Which of the model's `classes` each class folder is: by its name, or by one that differs in case and underscores.

    Where no folder's name is a class's, and there are as many of both, by sorted order, as ImageFolder numbers them.
    Raises DataError with the names that fit no class.
    """
    names = sorted(names)
    exact, loose = (
        index_by_name(class_names),
        index_by_name([normalize_name(name) for name in class_names]),
    )
    found = {name: exact.get(name, loose.get(normalize_name(name))) for name in names}
    fitting = {name: place for name, place in found.items() if place is not None}
    if len(fitting) == len(names):
        return fitting
    if not fitting and len(names) == len(class_names):
        return {name: place for place, name in enumerate(names)}
    strange = [name for name in names if name not in fitting]
    remedy = (
        "say --data imagenet"
        if set(strange) <= set(WNIDS)
        else "name the folders as the model names its classes"
    )
    raise DataError(
        f"{len(strange)} of {len(names)} folders are no class of the model ({join_first(strange)}): {remedy} ({join_first(class_names)})."
    )


def match_wordnet_folders(names: Iterable[str], class_names: Sequence[str]) -> dict[str, int]:
    """The same for folders named by WordNet numbers, for all of ImageNet's 1,000 classes or some of them.

    Raises DataError where a folder is none of the 1,000, or the model does not have 1,000 classes (nor names them so).
    """
    names, given = sorted(names), index_by_name(class_names)
    if all(name in given for name in names):
        return {name: given[name] for name in names}
    known = index_by_name(WNIDS)
    if strange := [name for name in names if name not in known]:
        raise DataError(
            f"{len(strange)} of {len(names)} folders are none of ImageNet's classes ({join_first(strange)}): name them by "
            f"WordNet number ({WNIDS[0]}), or say --data folder."
        )
    if len(class_names) != len(WNIDS):
        raise DataError(
            f"This model tells {len(class_names)} classes apart and ImageNet has {len(WNIDS):,}: evaluate it on images of "
            f"its own classes ({join_first(class_names)})."
        )
    return {name: known[name] for name in names}


def index_by_name(names: Sequence[str]) -> dict[str, int]:
    """Where each name stands; one in two places (but for case, ImageNet's cardigan) is left out."""
    often = Counter(names)
    return {name: place for place, name in enumerate(names) if often[name] == 1}


def normalize_name(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def join_first(names: Sequence[str], folder: Path | None = None) -> str:
    """The first few of many names, as a sentence lists them."""
    shown = [f"'{folder / name}'" if folder else name for name in names[:MAX_LISTED]]
    return ", ".join(shown) + (
        f" and {len(names) - MAX_LISTED:,} more" if len(names) > MAX_LISTED else ""
    )


def load_batches(
    images: Iterable[ImageSource], card: ModelCard, batch_size: int, threads: int = 1
) -> Iterator[Tensor]:
    """Batches (N, C, H, W) of a model's input, made of every image in order, as `card` says that the model wants them.

    `threads` threads decode one batch while the one before is used, and no more than that is held in memory. Raises
    PictureError that names the file which is no image.
    """

    def ready(image: ImageSource) -> Tensor:
        pixels = load_image(image) if isinstance(image, Path) else image
        return preprocess(
            pixels,
            card.input_size,
            card.mean,
            card.std,
            card.channel_order,
            card.crop_pct,
            card.interpolation,
        )

    waiting, source = deque[list[Future[Tensor]]](), iter(images)
    pool = ThreadPoolExecutor(threads, "images")
    try:
        waiting.append([pool.submit(ready, image) for image in islice(source, batch_size)])
        while waiting[0]:
            waiting.append([pool.submit(ready, image) for image in islice(source, batch_size)])
            yield torch.cat([future.result() for future in waiting.popleft()])
    finally:
        pool.shutdown(cancel_futures=True)


def load_image(path: Path) -> NDArray[np.uint8]:
    try:
        return read_image(path)
    except ImageError as error:  # among thousands, a file's name alone does not find it
        raise ImageError(str(error).replace(f"'{path.name}'", f"'{path}'", 1)) from error
