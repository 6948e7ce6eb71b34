"""The CIFAR-10 sample that ships: 2,000 training and 1,000 test pictures, balanced, as lossless sheets.

CIFAR-10: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images. Needs numpy and Pillow alone.
"""

import json
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOLDER = Path(__file__).with_name("sample")
SIDE = 32


def pictures(split: Literal["train", "test"]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures (N, 32, 32, 3) uint8 RGB and labels (N,) of the sample's split."""
    with Image.open(FOLDER / f"{split}.png") as sheet:
        pixels = np.asarray(sheet)  # (rows * 32, columns * 32, 3)
    rows, columns = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
    tiles = pixels.reshape(rows, SIDE, columns, SIDE, 3).swapaxes(1, 2).reshape(-1, SIDE, SIDE, 3)
    labels = json.loads((FOLDER / "labels.json").read_text())[split]
    return tiles, np.asarray(labels, np.int64)
