"""The names of the classes of a model whose file does not say them."""

from lightning_resnets.checkpoint.model_card import MAX_CLASSES
from lightning_resnets.data.cifar10_sample import CLASSES as CIFAR10
from lightning_resnets.errors import CheckpointError


def class_names(
    num_classes: int, data: str, size: tuple[int, int, int]
) -> tuple[tuple[str, ...], str]:
    """Class names, and the data set they are of ("" where that is not known).

    1,000 classes are taken to be ImageNet's, 10 classes of images of 32 pixels CIFAR-10's; others get numbers.
    """
    if num_classes > MAX_CLASSES:
        raise CheckpointError(
            f"Its last layer tells {num_classes:,} classes apart, more than any model of ours: check the file."
        )
    if data == "imagenet" or (not data and num_classes == 1000):
        from lightning_resnets.data.imagenet_classes import class_names

        return class_names(), "imagenet"
    if (data or "cifar10") == "cifar10" and num_classes == 10 and size[1:] == (32, 32):
        return CIFAR10, "cifar10"
    return tuple(f"class {place}" for place in range(num_classes)), data
