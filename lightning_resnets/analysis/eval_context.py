"""Run a model for an analysis: in evaluation mode, on its own device, and unchanged afterwards."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from lightning_resnets.analysis.result import LabeledImages, require_labeled_images
from lightning_resnets.graph import TraceError, trace
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions.executor import eval_mode as eval_mode
from lightning_resnets.interventions.partial_executor import NodeValues as NodeValues
from lightning_resnets.interventions.partial_executor import PartialExecutor as PartialExecutor
from lightning_resnets.interventions.record import get_submodule

# Called with the hook point's name, the module's inputs and its output.
HookFunction = Callable[[str, tuple[Any, ...], Any], None]


@contextmanager
def eval_mode_with_batch_stats(model: nn.Module) -> Iterator[nn.Module]:
    """Switch to evaluation mode, but let untrained batch norms use batch statistics.

    At initialization the running statistics are 0 and 1. They normalize nothing, so gradients
    would be those of a model without batch norm.

    Args:
        model: the model; modes and running statistics are restored afterwards.

    Yields:
        The same model.
    """
    untrained_norms = _untrained_batch_norms(model)
    # Batch statistics are used without updating the running ones.
    with eval_mode(model):
        try:
            for norm in untrained_norms:
                norm.training = True
                norm.track_running_stats = False
            yield model
        finally:
            for norm in untrained_norms:
                norm.track_running_stats = True


def _untrained_batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms that have not seen a batch."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    untrained = [norm for norm in norms if _has_seen_no_batch(norm)]
    # Old checkpoints have statistics but no counter, so a counter of 0 proves nothing.
    if any(_has_running_stats(norm) for norm in untrained):
        return []
    return untrained


def _has_seen_no_batch(norm: _BatchNorm) -> bool:
    """Return True if the batch counter exists and is 0."""
    return norm.num_batches_tracked is not None and not int(norm.num_batches_tracked)


def _has_running_stats(norm: _BatchNorm) -> bool:
    """Return True if the running variance differs from its initial value 1."""
    return norm.running_var is not None and float((norm.running_var - 1).abs().sum()) != 0


def run_graph(executor: PartialExecutor, images: Tensor) -> NodeValues:
    """Run a forward pass node by node, with gradients where they are enabled.

    Args:
        executor: the model's executor; it retains the values that are needed.
        images: images (N, C, H, W).

    Returns:
        Retained values by node, and the output.
    """
    values: NodeValues = {}
    executor.set_images(images)
    for _ in executor.run_from(values):
        pass
    return values


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model.

    Args:
        model: the model.

    Returns:
        The device of its first parameter; the CPU for a model without parameters.
    """
    weight = next(model.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device


def to_model_device(
    images: LabeledImages, model: nn.Module, max_images: int | None = None
) -> LabeledImages:
    """Copy images to the device and dtype of a model's weights.

    Args:
        images: images and labels.
        model: the model that will run on them.
        max_images: number of images to take from the start; None takes all.

    Returns:
        Images in the model's dtype and labels, on the model's device.

    Raises:
        AnalysisError: `images` is not LabeledImages.
    """
    images = require_labeled_images(images)
    weight = next(model.parameters(), torch.zeros(()))
    # Half-precision models get half-precision images.
    batch = images.images[:max_images].to(weight.device, weight.dtype)
    return LabeledImages(batch, images.labels[:max_images].to(weight.device))


def image_size(images: LabeledImages) -> tuple[int, int, int]:
    """Return the shape of one image.

    Args:
        images: images and labels.

    Returns:
        Channels, height and width.

    Raises:
        AnalysisError: `images` is not LabeledImages.
    """
    channels, height, width = require_labeled_images(images).images.shape[1:]
    return channels, height, width


def with_merges(model: nn.Module, input_size: tuple[int, int, int]) -> nn.Module:
    """Replace functional merges by merge modules; weights are shared with the model.

    Args:
        model: any model.
        input_size: shape (C, H, W) of one image.

    Returns:
        The model itself if it has no functional merges or cannot be traced.

    Raises:
        TraceError: the model can only be traced for one fixed batch.
    """
    if isinstance(model, fx.GraphModule):
        return model
    try:
        graph = trace(model, input_size)
    except TraceError:
        return model  # an analysis that needs the graph raises the same error later
    # Only such a model gets a new graph; ours and already converted ones stay as they are.
    if graph.merges_inserted == "by insert_merges":
        return insert_merges(model, input_size)
    return model


@contextmanager
def hook_modules(model: nn.Module, hooks: Mapping[str, HookFunction]) -> Iterator[None]:
    """Call a function after each forward pass of the named modules.

    Tensors are passed on at once and not kept, so that no later in-place operation changes them.

    Args:
        model: the model.
        hooks: functions by module name, each called with that name, the module's inputs and its
            output.

    Yields:
        None; the hooks are removed at the end of the block.

    Raises:
        HookPointError: the model has no module of that name.
    """
    with ExitStack() as stack:
        for name, function in hooks.items():
            module = get_submodule(model, name)
            handle = module.register_forward_hook(_forward_hook(name, function), with_kwargs=True)
            # Hooks are removed also when the forward pass or a progress callback raises.
            stack.callback(handle.remove)
        yield


def _forward_hook(name: str, function: HookFunction) -> Any:
    """Return a forward hook with keyword arguments that calls `function`."""

    def hook(
        module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
    ) -> None:
        """Pass on all inputs, given by position or by name."""
        function(name, (*args, *kwargs.values()), output)

    return hook
