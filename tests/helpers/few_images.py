"""A datamodule of a few CIFAR-10 images and a quiet Trainer, for tests that train a real model."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_resnets.data.cifar10 import CIFAR10Sample
from lightning_resnets.data.cifar10_files import ImagesAndLabels


class Few(CIFAR10Sample):
    """64 training and 40 test images."""

    def read(self) -> tuple[ImagesAndLabels, ImagesAndLabels]:
        (images, labels), (test, classes) = super().read()
        return (images[::31][:64], labels[::31][:64]), (test[::25], classes[::25])


def trainer(folder: Path, **options: Any) -> L.Trainer:
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "default_root_dir": folder,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": any(
            isinstance(c, ModelCheckpoint) for c in options.get("callbacks", [])
        ),
        "logger": False,
    }
    return L.Trainer(**quiet | options)
