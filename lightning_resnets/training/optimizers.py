"""The optimizers that a recipe may name, with weight decay on weights of two and more dimensions alone."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import nn

OptimizerName = Literal["sgd", "adamw", "lamb"]


ParamGroups = list[dict[str, Any]]


def param_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> ParamGroups:
    """Weights, which decay, and biases and the parameters of batch norms, which do not."""
    held = list(parameters)
    return [
        {"params": [p for p in held if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in held if p.ndim <= 1], "weight_decay": 0.0},
    ]


def sgd(groups: ParamGroups, lr: float, momentum: float) -> torch.optim.Optimizer:
    """Stochastic gradient descent with Nesterov's momentum."""
    return torch.optim.SGD(groups, lr, momentum, nesterov=momentum > 0, fused=True)


def adamw(groups: ParamGroups, lr: float, momentum: float) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101); `momentum` is its beta 1."""
    return torch.optim.AdamW(groups, lr, (momentum, 0.999), fused=True)


def lamb(groups: ParamGroups, lr: float, momentum: float) -> torch.optim.Optimizer:
    """timm's LAMB (You et al. 2020, arXiv:1904.00962), for the large batches of "ResNet strikes back"."""
    try:
        from timm.optim.lamb import Lamb
    except ImportError:
        raise ValueError(
            "The optimizer 'lamb' is timm's: pip install timm, or take 'sgd' or 'adamw'."
        ) from None
    return Lamb(groups, lr, betas=(momentum, 0.999))


OPTIMIZERS: dict[str, Callable[[ParamGroups, float, float], torch.optim.Optimizer]] = {
    "sgd": sgd,
    "adamw": adamw,
    "lamb": lamb,
}
