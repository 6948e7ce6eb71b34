"""Optimizers that a recipe may name; only weights of two and more dimensions decay."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import nn

OptimizerName = Literal["sgd", "adamw", "lamb"]

ParamGroups = list[dict[str, Any]]


def param_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> ParamGroups:
    """Split parameters into weights, which decay, and biases and norm parameters, which do not.

    Args:
        parameters: parameters of a model.
        weight_decay: decay of the weights.

    Returns:
        Two groups for an optimizer.
    """
    every = list(parameters)
    weights = [parameter for parameter in every if parameter.ndim > 1]
    others = [parameter for parameter in every if parameter.ndim <= 1]
    return [
        {"params": weights, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def sgd(groups: ParamGroups, lr: float, momentum: float) -> torch.optim.Optimizer:
    """Build stochastic gradient descent with Nesterov momentum.

    Args:
        groups: result of `param_groups`.
        lr: learning rate.
        momentum: momentum.

    Returns:
        The optimizer.
    """
    return torch.optim.SGD(groups, lr, momentum, nesterov=momentum > 0, fused=True)


def adamw(groups: ParamGroups, lr: float, momentum: float) -> torch.optim.Optimizer:
    """Build Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).

    Args:
        groups: result of `param_groups`.
        lr: learning rate.
        momentum: beta 1.

    Returns:
        The optimizer.
    """
    return torch.optim.AdamW(groups, lr, (momentum, 0.999), fused=True)


def lamb(groups: ParamGroups, lr: float, momentum: float) -> torch.optim.Optimizer:
    """Build timm's LAMB (You et al. 2020, arXiv:1904.00962), for large batches.

    Args:
        groups: result of `param_groups`.
        lr: learning rate.
        momentum: beta 1.

    Returns:
        The optimizer.

    Raises:
        ValueError: timm is not installed.
    """
    try:
        from timm.optim.lamb import Lamb
    except ImportError:
        raise ValueError(
            "The optimizer 'lamb' requires timm: pip install timm, or use 'sgd' or 'adamw'."
        ) from None
    return Lamb(groups, lr, betas=(momentum, 0.999))


OPTIMIZERS: dict[str, Callable[[ParamGroups, float, float], torch.optim.Optimizer]] = {
    "sgd": sgd,
    "adamw": adamw,
    "lamb": lamb,
}
