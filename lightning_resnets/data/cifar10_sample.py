"""The bundled sample of CIFAR-10: 2,000 training and 1,000 test images, as many of every class.

CIFAR-10: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images. This module needs
only NumPy and Pillow.
"""

import json
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

SAMPLE_DIR = Path(__file__).with_name("sample")

IMAGE_SIZE = 32


def load_sample(split: Literal["train", "test"]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Load the images of a split.

    Args:
        split: "train" or "test".

    Returns:
        Images (N, 32, 32, 3) uint8 RGB and labels (N,) int64.
    """
    # One lossless file holds all images of a split, as tiles.
    with Image.open(SAMPLE_DIR / f"{split}.png") as sheet:
        pixels = np.asarray(sheet)  # (rows * 32, columns * 32, 3)
    rows = pixels.shape[0] // IMAGE_SIZE
    columns = pixels.shape[1] // IMAGE_SIZE
    tiles = pixels.reshape(rows, IMAGE_SIZE, columns, IMAGE_SIZE, 3).swapaxes(1, 2)
    labels = json.loads((SAMPLE_DIR / "labels.json").read_text())[split]
    return tiles.reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 3), np.asarray(labels, np.int64)
