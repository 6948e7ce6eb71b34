"""Looking at a model while it runs: in evaluation, where the images are placed as its weights are, nothing left behind.

The steps themselves are walked by `steps.Walker`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from lightning_resnets.analysis.result import LabeledImages, require_labeled_images
from lightning_resnets.graph import TraceError, trace
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions.executor import NodeValues as NodeValues
from lightning_resnets.interventions.executor import PartialExecutor as PartialExecutor
from lightning_resnets.interventions.executor import eval_mode as eval_mode
from lightning_resnets.interventions.record import get_submodule

HookFunction = Callable[[str, tuple[Any, ...], Any], None]


@contextmanager
def eval_mode_with_batch_stats(model: nn.Module) -> Iterator[nn.Module]:
    """`evaluating`; where batch norms have never seen a batch they normalize by the one they get, and note nothing.

    A fresh model's running statistics are 0 and 1, which normalizes nothing: its gradients would be those of another model.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    fresh = [
        n for n in norms if n.num_batches_tracked is not None and not int(n.num_batches_tracked)
    ]
    if any(float((n.running_var - 1).abs().sum()) for n in fresh if n.running_var is not None):
        fresh = []  # weights came from a file that does not count
    with eval_mode(model):
        try:
            for norm in fresh:
                norm.training, norm.track_running_stats = True, False
            yield model
        finally:
            for norm in fresh:
                norm.track_running_stats = True


def to_model_device(
    images: LabeledImages, model: nn.Module, most: int | None = None
) -> LabeledImages:
    """The first so many images, where the model's weights are and in their precision."""
    weight, images = next(model.parameters(), torch.zeros(())), require_labeled_images(images)
    batch = images.images[:most].to(weight.device, weight.dtype)
    return LabeledImages(batch, images.labels[:most].to(weight.device))


def image_size(images: LabeledImages) -> tuple[int, int, int]:
    channels, height, width = require_labeled_images(images).images.shape[1:]
    return channels, height, width


def with_merges(model: nn.Module, size: tuple[int, int, int]) -> nn.Module:
    """The model with its joins as modules, around the same weights: itself where there are no others.

    A model that cannot be followed is given back as it is; raises TraceError where only one image can be.
    """
    if isinstance(model, fx.GraphModule):
        return model
    try:
        graph = trace(model, size)
    except TraceError:
        return model  # who needs its graph hears of it then
    return insert_merges(model, size) if graph.merges_inserted == "by insert_merges" else model


@contextmanager
def hook_modules(model: nn.Module, points: Mapping[str, HookFunction]) -> Iterator[None]:
    """Show what each module was given and gave, at once: nothing is kept, and no later step has written over it."""

    def hook(name: str, look: HookFunction) -> Any:
        def see(
            module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
        ) -> None:
            look(name, (*args, *kwargs.values()), output)

        return see

    with ExitStack() as stack:
        for name, look in points.items():
            handle = get_submodule(model, name).register_forward_hook(
                hook(name, look), with_kwargs=True
            )
            stack.callback(handle.remove)
        yield
