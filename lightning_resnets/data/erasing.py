"""Random erasing for whole batches on the device: a rectangle of each chosen picture is set to the mean.

Zhong et al. 2017 (arXiv:1708.04896). torchvision's transform draws one rectangle for all that it is given.
"""

import math

import numpy as np
import torch
from torch import Tensor

TRIES = 10


def rectangles(count: int, side: int, share: float, rng: np.random.Generator) -> Tensor:
    """First row, end row, first column and end column for each of `count` square pictures, (N, 4) int64.

    A `share` of them has a rectangle of 2 to 33 % of the area and sides 0.3 to 3.3 to one another, the others one of
    no pixels.
    """
    area = side**2 * rng.uniform(0.02, 0.33, (count, TRIES))
    ratio = np.exp(rng.uniform(math.log(0.3), math.log(3.3), (count, TRIES)))
    sizes = np.rint(np.stack((np.sqrt(area * ratio), np.sqrt(area / ratio)), 2))  # (N, tries, 2)
    fits = (sizes[..., 0] < side) & (sizes[..., 1] < side)
    first = fits.argmax(1)  # the first that fits
    sizes = sizes[np.arange(count), first]
    sizes *= (fits[np.arange(count), first] & (rng.random(count) < share))[:, None]
    starts = np.floor(rng.random((count, 2)) * (side - sizes + 1))
    rows, columns = (np.stack((starts[:, way], starts[:, way] + sizes[:, way]), 1) for way in (0, 1))
    return torch.from_numpy(np.concatenate((rows, columns), 1).astype(np.int64))


def erased(images: Tensor, boxes: Tensor) -> Tensor:
    """Images (N, C, H, W), normalised, with 0 (the mean) inside `boxes` (N, 4), as `rectangles` gives them."""
    boxes = boxes.to(images.device, non_blocking=True)
    rows, columns = (torch.arange(length, device=images.device) for length in images.shape[-2:])
    high = (rows >= boxes[:, :1]) & (rows < boxes[:, 1:2])  # (N, H)
    wide = (columns >= boxes[:, 2:3]) & (columns < boxes[:, 3:])
    out = images.clone()  # masked_fill would give up the order of the channels
    return out.masked_fill_(high[:, None, :, None] & wide[:, None, None, :], 0)
