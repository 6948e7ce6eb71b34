"""The bundled photographs for models of ImageNet; sources and licenses are beside them.

This module needs only NumPy and Pillow.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PHOTOGRAPHS_DIR = Path(__file__).with_name("photographs")

# First what ImageNet has a class for, then what it has none for.
NAMES = ("cat", "coffee", "palace", "photographer", "rocket", "astronaut")


def load_photograph(name: str) -> NDArray[np.uint8]:
    """Load a photograph.

    Args:
        name: one of `NAMES`.

    Returns:
        Pixels (H, W, 3) uint8 RGB, at most 512 by 512.

    Raises:
        ValueError: there is no photograph of that name.
    """
    if name not in NAMES:
        raise ValueError(f"There is no photograph named {name!r}. Use one of {', '.join(NAMES)}.")
    with Image.open(PHOTOGRAPHS_DIR / f"{name}.jpg") as image:
        return np.asarray(image.convert("RGB"))
