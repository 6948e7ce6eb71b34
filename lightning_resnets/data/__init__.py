"""Datasets: CIFAR-10, ImageNet and image folders.

The LightningDataModules are imported when they are first used, so that the images and class names of this package can be
had without Lightning.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_resnets.data.cifar10 import CIFAR10, CIFAR10Sample
    from lightning_resnets.data.imagenet import ImageNet

__all__ = ["CIFAR10", "CIFAR10Sample", "ImageNet"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(
        import_module(f"{__name__}.{'imagenet' if name == 'ImageNet' else 'cifar10'}"), name
    )
