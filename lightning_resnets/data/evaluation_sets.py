"""Datasets to evaluate a model on: images with the model's own class indices."""

from collections.abc import Sequence
from pathlib import Path

from lightning_resnets.data import image_folder
from lightning_resnets.data.cifar10_files import find_cifar10, read_test_set
from lightning_resnets.data.cifar10_sample import CLASSES, load_sample
from lightning_resnets.data.image_folder import PathOrImage
from lightning_resnets.errors import DataError
from lightning_resnets.utils.format import evenly_spaced

LabeledImages = tuple[Sequence[PathOrImage], list[int]]


def cifar10_test_set(data_dir: Path, class_names: Sequence[str]) -> LabeledImages:
    """Read the official test set of CIFAR-10.

    Args:
        data_dir: folder that contains cifar-10-batches-py or cifar-10-batches-bin.
        class_names: the model's classes, by index.

    Returns:
        Images (32, 32, 3) uint8 and the model's class index of each.

    Raises:
        DataError: the files are missing, or the model has other classes.
    """
    folder = find_cifar10(data_dir)
    if folder is None:
        raise DataError(
            f"There is no CIFAR-10 in '{data_dir}'. Give the folder that contains "
            "cifar-10-batches-py or cifar-10-batches-bin with --data-dir."
        )
    # Before the images are read: a model of other classes is found at once.
    indices = cifar10_class_indices(class_names)
    images, labels = read_test_set(folder)
    # The layout of an image file, as `preprocess` takes it.
    channels_last = images.permute(0, 2, 3, 1).contiguous()
    return list(channels_last.numpy()), [indices[label] for label in labels.tolist()]


def load_cifar10_sample(data_dir: Path, class_names: Sequence[str]) -> LabeledImages:
    """Read the 1,000 bundled test images of CIFAR-10.

    Args:
        data_dir: ignored; the sample is part of the package.
        class_names: the model's classes, by index.

    Returns:
        Images (32, 32, 3) uint8 and the model's class index of each.

    Raises:
        DataError: the model has other classes.
    """
    indices = cifar10_class_indices(class_names)
    images, labels = load_sample("test")
    return list(images), [indices[label] for label in labels.tolist()]


def cifar10_class_indices(class_names: Sequence[str]) -> list[int]:
    """Find the model's class index of each CIFAR-10 class.

    Args:
        class_names: the model's classes, by index.

    Returns:
        10 indices; the official order if the model's classes have other names.

    Raises:
        DataError: the model does not have 10 classes.
    """
    if len(class_names) != len(CLASSES):
        raise DataError(
            f"The model has {len(class_names):,} classes but CIFAR-10 has {len(CLASSES)}. "
            "Evaluate on a dataset with the same classes."
        )
    # A model without class names has "class 0" and so on, most likely in this order.
    if set(class_names) != set(CLASSES):
        return list(range(len(CLASSES)))
    return [class_names.index(name) for name in CLASSES]


def imagenet_val_set(data_dir: Path, class_names: Sequence[str]) -> LabeledImages:
    """List validation images in folders named by WordNet IDs.

    Args:
        data_dir: folder of ImageNet, or its folder `val`.
        class_names: the model's classes, by index.

    Returns:
        Image files and the model's class index of each.

    Raises:
        DataError: there are no images, or a folder is not one of the model's classes.
    """
    # The training images must not be evaluated on by mistake.
    val_dir = data_dir / "val"
    files = image_folder.list_images(val_dir if val_dir.is_dir() else data_dir)
    folders = {folder for _, folder in files}
    indices = image_folder.match_wordnet_folders(folders, class_names)
    return _with_labels(files, indices)


def labeled_folder(data_dir: Path, class_names: Sequence[str]) -> LabeledImages:
    """List images in folders named like the model's classes.

    Args:
        data_dir: folder with one subfolder of images per class.
        class_names: the model's classes, by index.

    Returns:
        Image files and the model's class index of each.

    Raises:
        DataError: there are no images, or a folder is not one of the model's classes.
    """
    files = image_folder.list_images(data_dir)
    folders = {folder for _, folder in files}
    indices = image_folder.match_class_folders(folders, class_names)
    return _with_labels(files, indices)


def _with_labels(files: Sequence[tuple[Path, str]], indices: dict[str, int]) -> LabeledImages:
    """Split files and their folders into images and class indices."""
    return [path for path, _ in files], [indices[folder] for _, folder in files]


def subsample(labeled: LabeledImages, num_images: int | None) -> LabeledImages:
    """Select images evenly over a dataset: the first ones would all be of one class.

    Args:
        labeled: images and class indices.
        num_images: largest number of images; None for all.

    Returns:
        At most so many images and class indices.
    """
    images, labels = labeled
    if num_images is None or num_images >= len(labels):
        return labeled
    # Images are sorted by class, so equal distances give equal shares.
    chosen = evenly_spaced(len(labels), num_images)
    return [images[index] for index in chosen], [labels[index] for index in chosen]
