"""The names of the classes of a net whose file does not say them."""

from lightning_resnets.checkpoint.card import MOST_CLASSES, CheckpointError
from lightning_resnets.data.sample import CLASSES as CIFAR10


def labels(classes: int, data: str, size: tuple[int, int, int]) -> tuple[tuple[str, ...], str]:
    """Class names, and the data set they are of ("" where that is not known).

    1,000 classes are taken to be ImageNet's, 10 classes of pictures of 32 pixels CIFAR-10's; others get numbers.
    """
    if classes > MOST_CLASSES:
        raise CheckpointError(
            f"Its last layer tells {classes:,} classes apart, more than any net of ours: check the file."
        )
    if data == "imagenet" or (not data and classes == 1000):
        from lightning_resnets.data.imagenet_classes import names

        return names(), "imagenet"
    if (data or "cifar10") == "cifar10" and classes == 10 and size[1:] == (32, 32):
        return CIFAR10, "cifar10"
    return tuple(f"class {place}" for place in range(classes)), data
