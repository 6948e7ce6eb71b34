"""TrivialAugment for whole batches: torchvision's own, a draw for every few pictures (Müller and Hutter 2021)."""

import torch
from torch import Tensor
from torchvision.transforms.v2 import TrivialAugmentWide

from lightning_resnets.data.augment import seeded

GROUP = 8  # pictures that share an operation: one a picture is the paper's (arXiv:2103.10158), and 8 times the calls


def trivial(images: Tensor, seed: int, epoch: int, position: int) -> Tensor:
    """uint8 images (N, C, H, W), each group of 8 through one random operation of random strength.

    The draws come from (seed, epoch, position of the batch) alone; torch's own generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeded(seeded(seed, epoch), position))  # torch.manual_seed: GPUs' too
        transform = TrivialAugmentWide()
        return torch.cat([transform(group) for group in images.split(GROUP)])
