"""Images in folders, one folder per class: list them, match folders to a model's classes, load.

The layout (`data_dir/class/image.jpg`) and the order are those of torchvision's ImageFolder.
"""

import os
import warnings
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_resnets.data.imagenet_classes import WNIDS
from lightning_resnets.errors import DataError, DataWarning, ImageError
from lightning_resnets.preprocessing import Preprocessing, preprocess
from lightning_resnets.utils.format import join_first, plural
from lightning_resnets.utils.image_files import read_image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

# Image formats that are left out of a dataset: animations, drawings, and what Pillow cannot read.
OTHER_IMAGE_SUFFIXES = (".gif", ".heic", ".heif", ".avif", ".svg", ".jxl", ".jp2", ".psd")

MAX_LISTED = 5  # names in a message

PathOrImage = Path | NDArray[np.uint8]  # a file, or RGB (H, W, 3)


def list_images(data_dir: Path) -> list[tuple[Path, str]]:
    """List every image of a folder with its class, in ImageFolder's order.

    Names that begin with a dot are skipped; a DataWarning counts images of other formats.

    Args:
        data_dir: folder with one subfolder per class.

    Returns:
        The file and the subfolder's name of each image.

    Raises:
        DataError: there is no folder, no class, or a class without images.
    """
    folders = _list_class_folders(data_dir)
    images: list[tuple[Path, str]] = []
    other_formats = Counter[str]()
    for folder in folders:
        images += [(path, folder) for path in _walk_images(data_dir / folder, other_formats)]
    if empty := sorted(set(folders) - {folder for _, folder in images}):
        names = _quote_first([str(data_dir / name) for name in empty])
        raise DataError(
            f"There is no image in {names}. Remove the folder or put images into it "
            f"({', '.join(IMAGE_SUFFIXES)})."
        )
    if other_formats:
        # stacklevel 2 points to the line that lists the images.
        warnings.warn(_describe_skipped(data_dir, other_formats), DataWarning, stacklevel=2)
    return images


def _list_class_folders(data_dir: Path) -> list[str]:
    """Return the sorted names of the class folders, or raise DataError if there are none."""
    if not data_dir.is_dir():
        raise DataError(
            f"There is no folder '{data_dir}'. Give the folder that contains one subfolder of "
            "images per class (--data-dir DIR)."
        )
    folders = sorted(entry.name for entry in _scan_dir(data_dir) if _is_class_folder(entry))
    if not folders:
        raise DataError(
            f"There is no class folder in '{data_dir}'. Put the images of each class into a folder "
            "of their own."
        )
    return folders


def _describe_skipped(data_dir: Path, other_formats: Counter[str]) -> str:
    """Say how many images were left out because of their format."""
    # The most frequent first; the order of the folder does not matter.
    ordered = sorted(other_formats.items(), key=lambda item: (-item[1], item[0]))
    counts = [f"{count:,} {suffix}" for suffix, count in ordered]
    return (
        f"{plural(other_formats.total(), 'image')} in '{data_dir}' left out: their format is not "
        f"read ({', '.join(counts)}). Convert them to PNG or JPEG."
    )


def _is_class_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder that is not hidden."""
    return entry.is_dir() and not entry.name.startswith(".")


def _walk_images(folder: Path, other_formats: Counter[str]) -> list[Path]:
    """List the images in a folder and in the folders inside it, by folder and then by name.

    Images of other formats are counted in `other_formats`, by suffix.
    """
    found: list[tuple[str, str]] = []
    for path, inner, files in os.walk(folder, onerror=_raise_unreadable, followlinks=True):
        # os.walk visits what is left in this list.
        inner[:] = [
            name
            for name in inner
            if not name.startswith(".") and not _is_link_loop(Path(path, name))
        ]
        found += [(path, name) for name in files if _is_image_name(name)]
        suffixes = (Path(name).suffix.lower() for name in files if not name.startswith("."))
        other_formats.update(suffix for suffix in suffixes if suffix in OTHER_IMAGE_SUFFIXES)
    # os.walk yields folders in the order of the disk.
    return [Path(path, name) for path, name in sorted(found)]


def _is_image_name(name: str) -> bool:
    """Return whether a file name is that of an image and not hidden."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def _scan_dir(folder: Path) -> list[os.DirEntry[str]]:
    """List the entries of a folder."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        _raise_unreadable(error)
        # Never reached, but type checkers want no path without a value.
        raise


def _raise_unreadable(error: OSError) -> None:
    """Raise DataError for a folder that cannot be read."""
    raise DataError(
        f"Cannot read '{error.filename}' ({error.strerror}). Check its permissions."
    ) from error


def _is_link_loop(folder: Path) -> bool:
    """Return whether a folder is a link to one of its parents, which following would never end."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def match_class_folders(folders: Iterable[str], class_names: Sequence[str]) -> dict[str, int]:
    """Find the model's class of each folder, by name; case, "_" and "-" do not count.

    If no folder has a class's name and there are as many of both, folders are numbered in sorted
    order, as ImageFolder does.

    Args:
        folders: names of the class folders.
        class_names: the model's classes, by index.

    Returns:
        The class index of each folder.

    Raises:
        DataError: some folders match no class.
    """
    names = sorted(folders)
    exact = _index_by_name(class_names)
    normalized = _index_by_name([_normalize_name(name) for name in class_names])
    found = {name: exact.get(name, normalized.get(_normalize_name(name))) for name in names}
    indices = {name: index for name, index in found.items() if index is not None}
    if len(indices) == len(names):
        return indices
    if not indices and len(names) == len(class_names):
        return {name: index for index, name in enumerate(names)}
    unknown = [name for name in names if name not in indices]
    raise _no_match_error(unknown, len(names), class_names)


def _no_match_error(
    unknown: Sequence[str], num_folders: int, class_names: Sequence[str]
) -> DataError:
    """Build the error about folders that match no class of the model."""
    has_wordnet_ids = set(unknown) <= set(WNIDS)
    hint = "Use --dataset imagenet" if has_wordnet_ids else "Name the folders like the classes"
    return DataError(
        f"{len(unknown)} of {num_folders} folders match no class of the model "
        f"({_quote_first(unknown)}). {hint} ({_quote_first(class_names)})."
    )


def match_wordnet_folders(folders: Iterable[str], class_names: Sequence[str]) -> dict[str, int]:
    """Find the model's class of each folder that is named by a WordNet ID.

    Args:
        folders: names of the class folders, all of ImageNet's 1,000 or some of them.
        class_names: the model's classes, by index: ImageNet's, or WordNet IDs.

    Returns:
        The class index of each folder.

    Raises:
        DataError: a folder is not one of ImageNet's classes, or the model has other classes.
    """
    names = sorted(folders)
    # A model of a subset of ImageNet may have WordNet IDs as class names.
    own = _index_by_name(class_names)
    if all(name in own for name in names):
        return {name: own[name] for name in names}
    known = _index_by_name(WNIDS)
    _check_wordnet_folders(names, known, class_names)
    return {name: known[name] for name in names}


def _check_wordnet_folders(
    names: Sequence[str], known: dict[str, int], class_names: Sequence[str]
) -> None:
    """Raise DataError unless folders and model have ImageNet's classes."""
    if unknown := [name for name in names if name not in known]:
        raise DataError(
            f"{len(unknown)} of {len(names)} folders are not ImageNet classes "
            f"({_quote_first(unknown)}). Name them by WordNet ID ({WNIDS[0]}), or use "
            "--dataset folder."
        )
    if len(class_names) != len(WNIDS):
        raise DataError(
            f"The model has {len(class_names):,} classes but ImageNet has {len(WNIDS):,}. Evaluate "
            f"on a dataset with the model's classes ({_quote_first(class_names)})."
        )


def _index_by_name(names: Sequence[str]) -> dict[str, int]:
    """Map names to indices; a name that occurs twice is left out."""
    # ImageNet has two classes "crane": a folder of that name may mean either.
    counts = Counter(names)
    return {name: index for index, name in enumerate(names) if counts[name] == 1}


def _normalize_name(name: str) -> str:
    """Return a name in lower case, with single spaces for "_" and "-"."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _quote_first(names: Sequence[str]) -> str:
    """Join the first names of a list in quotes and count the rest."""
    return join_first([f"'{name}'" for name in names], MAX_LISTED)


def load_batches(
    images: Iterable[PathOrImage],
    preprocessing: Preprocessing,
    batch_size: int,
    num_workers: int = 1,
) -> Iterator[Tensor]:
    """Load images in batches of a model's input, in order.

    Threads decode one batch while the caller uses the one before; no more is held in memory.

    Args:
        images: files, or RGB arrays (H, W, 3).
        preprocessing: size and normalization of the model's input.
        batch_size: images per batch; the last may be smaller.
        num_workers: number of threads.

    Yields:
        (N, C, H, W) float32.

    Raises:
        ImageError: a file cannot be read as an image.
    """
    load = partial(_load_input, preprocessing=preprocessing)
    source = iter(images)
    pending = deque[list[Future[Tensor]]]()
    pool = ThreadPoolExecutor(num_workers, "images")
    try:
        pending.append([pool.submit(load, image) for image in islice(source, batch_size)])
        while pending[0]:
            # The next batch is submitted before this one is waited for.
            pending.append([pool.submit(load, image) for image in islice(source, batch_size)])
            yield torch.cat([future.result() for future in pending.popleft()])
    finally:
        pool.shutdown(cancel_futures=True)


def _load_input(image: PathOrImage, preprocessing: Preprocessing) -> Tensor:
    """Read and preprocess one image."""
    return preprocess(
        _load_image(image) if isinstance(image, Path) else image,
        preprocessing.input_size,
        preprocessing.mean,
        preprocessing.std,
        preprocessing.channel_order,
        preprocessing.crop_pct,
        preprocessing.interpolation,
    )


def _load_image(path: Path) -> NDArray[np.uint8]:
    """Read an image; an error names the whole path, as a file name is not found among thousands."""
    try:
        return read_image(path)
    except ImageError as error:
        raise ImageError(str(error).replace(f"'{path.name}'", f"'{path}'", 1)) from error
