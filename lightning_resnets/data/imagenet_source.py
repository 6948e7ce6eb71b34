"""Open the images of ImageNet's folders or their streamed copy, and split them."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lightning_resnets.data.image_dataset import ImageFiles, ImageSource
from lightning_resnets.data.image_folder import list_images, match_wordnet_folders
from lightning_resnets.data.split import stratified_split
from lightning_resnets.data.streaming import INDEX_FILE, StreamedImages, is_streamed
from lightning_resnets.errors import DataError

Subset = tuple[ImageSource, Tensor]  # images, and the indices (N,) int64 of those to use


def open_split(data_dir: str, split: str, class_names: Sequence[str]) -> ImageSource | None:
    """Open the images of a split.

    Args:
        data_dir: folder or address, see `ImageNet`.
        split: "train" or "val".
        class_names: ImageNet's classes, by index.

    Returns:
        The images. Where `data_dir` has no splits, all images are "train", and "val" is None.

    Raises:
        DataError: there are no images, or a folder is not named by WordNet ID.
    """
    if is_streamed(data_dir):
        return _open_stream(data_dir.rstrip("/"), split)
    root = Path(data_dir).expanduser()
    has_splits = (root / "train").is_dir() or (root / "val").is_dir()
    if not has_splits and split == "val":
        return None
    folder = root / split if has_splits else root
    # Before the listing, whose error would be about class folders.
    _check_split(root, folder)
    return _open_folder(folder, class_names)


def _open_folder(folder: Path, class_names: Sequence[str]) -> ImageFiles:
    """Open the images in folders named by WordNet ID."""
    files = list_images(folder)
    indices = match_wordnet_folders({name for _, name in files}, class_names)
    labels = torch.tensor([indices[name] for _, name in files])
    return ImageFiles([path for path, _ in files], labels)


def _check_split(root: Path, folder: Path) -> None:
    """Raise DataError unless the folder of a split exists; it is the root without splits."""
    if folder != root and not folder.is_dir():
        raise DataError(
            f"There is no folder '{folder}'. Put it beside the other one, with one folder of "
            "images per class."
        )
    if not root.is_dir():
        raise DataError(
            f"There is no ImageNet in '{root}'. Give the folder that contains train and val, each "
            "with one folder of images per class (--data.data_dir DIR)."
        )


def _open_stream(root: str, split: str) -> ImageSource | None:
    """Open a litdata-optimized copy, with or without splits."""
    # Object storage is not asked: an address always has splits.
    has_no_splits = "://" not in root and (Path(root).expanduser() / INDEX_FILE).is_file()
    if not has_no_splits:
        return StreamedImages(f"{root}/{split}")
    if split == "train":
        return StreamedImages(root)
    return None


def split_train_val(source: ImageSource, num_val_images: int, seed: int) -> tuple[Tensor, Tensor]:
    """Choose validation images, in equal shares of all classes where the source knows them.

    Args:
        source: all training images.
        num_val_images: number of validation images.
        seed: seed of the choice.

    Returns:
        Sorted indices of training and of validation images, (N,) int64 each.

    Raises:
        DataError: there are not enough images.
    """
    if num_val_images >= len(source):
        raise DataError(
            f"num_val_images must be below the number of images, {len(source):,}, got "
            f"{num_val_images:,} (0 for no validation)."
        )
    if isinstance(source, ImageFiles):
        return stratified_split(source.labels, num_val_images, seed)
    # A stream tells the class of an image only when it is read, which would take hours.
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))
    return order[num_val_images:].sort().values, order[:num_val_images].sort().values


def val_or_train(data_dir: str, val_set: Subset | None, train_set: Subset) -> Subset:
    """Choose images to test on where there is no folder val, with a warning.

    Args:
        data_dir: folder or address, for the warning.
        val_set: images split off for validation, or None.
        train_set: training images.

    Returns:
        The validation images, else the training images.
    """
    if val_set is None:
        kind = "training"
        chosen = train_set
    else:
        kind = "validation"
        chosen = val_set
    # stacklevel 4 points to the caller of setup().
    warnings.warn(f"'{data_dir}' has no val folder: testing on the {kind} images.", stacklevel=4)
    return chosen
