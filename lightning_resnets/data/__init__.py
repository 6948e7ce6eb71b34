"""Datasets: CIFAR-10, ImageNet and image folders.

The LightningDataModules are imported when they are first used, so that images and class names are
available without Lightning.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Type checkers and editors do not run __getattr__.
if TYPE_CHECKING:
    from lightning_resnets.data.cifar10 import CIFAR10, CIFAR10Sample
    from lightning_resnets.data.imagenet import ImageNet

__all__ = ["CIFAR10", "CIFAR10Sample", "ImageNet"]


def __getattr__(name: str) -> Any:
    """Import a datamodule on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "imagenet" if name == "ImageNet" else "cifar10"
    return getattr(import_module(f"{__name__}.{module}"), name)
