"""The known datasets, one row each, for every command; class names of a model without any."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_resnets.data import cifar10_sample, imagenet_classes
from lightning_resnets.data.evaluation_sets import (
    LabeledImages,
    cifar10_test_set,
    imagenet_val_set,
    labeled_folder,
    load_cifar10_sample,
)
from lightning_resnets.errors import CheckpointError, DataError

# More classes than any model has: a file that claims more is damaged or hostile.
MAX_CLASSES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset to train and evaluate on.

    Attributes:
        title: name as people read it.
        load_eval_set: reads its test or validation images, given the folder and the class names of
            a model, with the model's class indices.
        num_classes: number of classes; None for a folder of any images.
        image_size: usual side of the input in pixels; None likewise.
        load_class_names: returns the class names by index; None likewise.
        num_train_images: number of all training images; 0 if unknown.
        num_test_images: number of all images to test on; 0 if unknown.
        needs_data_dir: whether its files lie outside of the package.
    """

    title: str
    load_eval_set: Callable[[Path, Sequence[str]], LabeledImages]
    num_classes: int | None = None
    image_size: int | None = None
    load_class_names: Callable[[], tuple[str, ...]] | None = None
    num_train_images: int = 0
    num_test_images: int = 0
    needs_data_dir: bool = True


# Keys are the values of --dataset.
DATASETS = {
    "cifar10": Dataset(
        title="CIFAR-10",
        load_eval_set=cifar10_test_set,
        num_classes=10,
        image_size=cifar10_sample.IMAGE_SIZE,
        load_class_names=lambda: cifar10_sample.CLASSES,
        num_train_images=50_000,
        num_test_images=10_000,
    ),
    "imagenet": Dataset(
        title="ImageNet",
        load_eval_set=imagenet_val_set,
        num_classes=imagenet_classes.NUM_CLASSES,
        image_size=224,
        load_class_names=imagenet_classes.class_names,
        # Russakovsky et al. 2015, arXiv:1409.0575.
        num_train_images=1_281_167,
        # The validation images: the labels of the test images were never published.
        num_test_images=50_000,
    ),
    # Classes and size come from the folder and the model.
    "folder": Dataset(title="folder of images", load_eval_set=labeled_folder),
    "sample": Dataset(
        title="CIFAR-10 sample",
        load_eval_set=load_cifar10_sample,
        num_classes=10,
        image_size=cifar10_sample.IMAGE_SIZE,
        load_class_names=lambda: cifar10_sample.CLASSES,
        num_train_images=2_000,
        num_test_images=1_000,
        needs_data_dir=False,
    ),
}


def require_data_dir(dataset: str, data_dir: Path | None) -> Path:
    """Check that the folder of a dataset is given.

    Args:
        dataset: a key of `DATASETS`.
        data_dir: `--data-dir`.

    Returns:
        The folder, "~" expanded; the current folder for the bundled sample.

    Raises:
        DataError: the dataset needs a folder and there is none.
    """
    if data_dir is not None:
        return data_dir.expanduser()
    if DATASETS[dataset].needs_data_dir:
        raise DataError(f"--dataset {dataset} requires --data-dir DIR.")
    return Path()


def class_names(
    num_classes: int, dataset: str, input_size: tuple[int, int, int]
) -> tuple[tuple[str, ...], str]:
    """Choose class names for a model whose file has none.

    1,000 classes are taken to be ImageNet's; others get numbers unless their dataset is known.

    Args:
        num_classes: number of the model's outputs.
        dataset: name of the dataset; "" if unknown.
        input_size: (C, H, W) of the model's input.

    Returns:
        The class names, and the name of the dataset ("" if unknown).

    Raises:
        CheckpointError: there are more classes than any model has.
    """
    _check_num_classes(num_classes)
    if dataset == "imagenet" or (not dataset and num_classes == imagenet_classes.NUM_CLASSES):
        return imagenet_classes.class_names(), "imagenet"
    # 10 classes alone may be of anything, and a name in a file may be wrong.
    if dataset == "cifar10" and num_classes == 10 and input_size[1:] == (32, 32):
        return cifar10_sample.CLASSES, "cifar10"
    return tuple(f"class {index}" for index in range(num_classes)), dataset


def _check_num_classes(num_classes: int) -> None:
    """Raise CheckpointError if there are more classes than any model has."""
    if num_classes > MAX_CLASSES:
        raise CheckpointError(
            f"The last layer has {num_classes:,} classes, more than any known model. "
            "Check the file."
        )
