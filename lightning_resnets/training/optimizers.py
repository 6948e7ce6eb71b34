"""Optimizers that a recipe may name; only weights of two and more dimensions decay."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import BaseFinetuning
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import nn

OptimizerName = Literal["sgd", "adamw", "lamb"]

ParamGroups = list[dict[str, Any]]


def select_parameters(module: L.LightningModule, trainer: L.Trainer) -> list[nn.Parameter]:
    """Return the parameters for the optimizer: all of them, or for finetuning the trainable ones.

    Frozen parameters may be unfrozen by hand later. Lightning's finetuning callbacks add those that
    they unfreeze to the optimizer themselves, and leave out those that are already there.

    Args:
        module: the module, all of whose parameters are trained.
        trainer: its Trainer.

    Returns:
        The parameters.
    """
    parameters = list(module.parameters())
    if _is_finetuned(trainer):
        return [parameter for parameter in parameters if parameter.requires_grad]
    return parameters


def unfreeze_optimized(module: L.LightningModule, trainer: L.Trainer) -> None:
    """Unfreeze the parameters of the optimizer again where a finetuning resumes.

    Lightning's callbacks freeze the module at the start of every run. Where they resume they give
    the optimizer the parameters that they had unfrozen, but leave these frozen.

    Args:
        module: the module, changed in place.
        trainer: its Trainer, with the optimizer.
    """
    if not _is_finetuned(trainer):
        return
    optimized = set[nn.Parameter]()
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            optimized.update(group["params"])
    for part in module.modules():
        own = optimized.intersection(part.parameters(recurse=False))
        for parameter in own:
            parameter.requires_grad_(True)
        # A frozen batch norm uses the statistics of each batch.
        if own and isinstance(part, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001
            part.track_running_stats = True


def _is_finetuned(trainer: L.Trainer) -> bool:
    """Return whether one of Lightning's finetuning callbacks unfreezes the module."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return any(isinstance(callback, BaseFinetuning) for callback in callbacks)


def param_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> ParamGroups:
    """Split parameters into weights, which decay, and biases and norm parameters, which do not.

    Args:
        parameters: parameters of a model.
        weight_decay: decay of the weights.

    Returns:
        Two groups for an optimizer.
    """
    every = list(parameters)
    # Biases, and scales and shifts of norms, are vectors.
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
    optimizer = torch.optim.SGD(
        groups,
        lr,
        momentum,
        # torch raises an error for Nesterov without momentum.
        nesterov=momentum > 0,
        weight_decay=default_weight_decay(groups),
        # One kernel updates all parameters.
        fused=True,
    )
    if momentum:
        optimizer.register_step_pre_hook(_create_momentum_buffers)
    return optimizer


def _create_momentum_buffers(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    """Give every trainable parameter a momentum of zero before its first step.

    Torch's fused step fails if some parameters have a momentum and others do not, as those that
    were frozen until now. Its first step from zero is the same to the bit.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state[parameter]
            if parameter.requires_grad and state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)


def adamw(groups: ParamGroups, lr: float, momentum: float) -> torch.optim.Optimizer:
    """Build Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).

    Args:
        groups: result of `param_groups`.
        lr: learning rate.
        momentum: beta 1.

    Returns:
        The optimizer.
    """
    weight_decay = default_weight_decay(groups)
    # 0.999 is the beta 2 of the paper and of torch.
    return torch.optim.AdamW(groups, lr, (momentum, 0.999), weight_decay=weight_decay, fused=True)


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
        # timm is no dependency: only this optimizer needs it.
        from timm.optim.lamb import Lamb
    except ImportError:
        raise ValueError(
            "The optimizer 'lamb' requires timm: pip install timm, or use 'sgd' or 'adamw'."
        ) from None
    weight_decay = default_weight_decay(groups)
    return Lamb(groups, lr, betas=(momentum, 0.999), weight_decay=weight_decay)


def default_weight_decay(groups: ParamGroups) -> float:
    """Return the decay of groups that are added later, as by Lightning's `BackboneFinetuning`.

    Args:
        groups: result of `param_groups`.

    Returns:
        The decay of the weights, for all parameters of such a group.
    """
    return groups[0]["weight_decay"]


def allow_gradient_clipping(optimizer: torch.optim.Optimizer) -> None:
    """Let Lightning clip the gradients of a fused optimizer.

    A fused optimizer removes the loss scale of float16 within its step. Lightning therefore
    refuses to clip its gradients in every mixed precision, also in bfloat16, which has no loss
    scale. With this setting a GradScaler removes the scale before the gradients are clipped.

    Args:
        optimizer: the optimizer, changed in place.
    """
    # The name by which torch's GradScaler asks an optimizer.
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]  # noqa: SLF001


def keeps_loss_scale(module: L.LightningModule, trainer: L.Trainer) -> bool:
    """Return whether a fused optimizer may remove the loss scale within its step.

    That saves a GradScaler waiting for the device at each step.

    Args:
        module: the module.
        trainer: its Trainer.

    Returns:
        True with a GradScaler (16-mixed precision) and without gradient clipping.
    """
    clips = trainer.gradient_clip_val or is_overridden("configure_gradient_clipping", module)
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return scaler is not None and not clips


OPTIMIZERS: dict[str, Callable[[ParamGroups, float, float], torch.optim.Optimizer]] = {
    "sgd": sgd,
    "adamw": adamw,
    "lamb": lamb,
}
