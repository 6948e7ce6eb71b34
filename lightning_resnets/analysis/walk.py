"""Looking at a net while it runs: in evaluation, where the pictures are placed as its weights are, nothing left behind.

The steps themselves are walked by `steps.Walker`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from lightning_resnets.analysis.result import Pictures, given
from lightning_resnets.graph import TraceError, trace
from lightning_resnets.graph.reveal import reveal
from lightning_resnets.probe import submodule
from lightning_resnets.surgery.steps import Env as Env
from lightning_resnets.surgery.steps import Walker as Walker
from lightning_resnets.surgery.steps import evaluating as evaluating

Look = Callable[[str, tuple[Any, ...], Any], None]


@contextmanager
def awake(net: nn.Module) -> Iterator[nn.Module]:
    """`evaluating`; where batch norms have never seen a batch they normalise by the one they get, and note nothing.

    A fresh net's running statistics are 0 and 1, which normalises nothing: its gradients would be those of another net.
    """
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    fresh = [n for n in norms if n.num_batches_tracked is not None and not int(n.num_batches_tracked)]
    if any(float((n.running_var - 1).abs().sum()) for n in fresh if n.running_var is not None):
        fresh = []  # weights came from a file that does not count
    with evaluating(net):
        try:
            for norm in fresh:
                norm.training, norm.track_running_stats = True, False
            yield net
        finally:
            for norm in fresh:
                norm.track_running_stats = True


def placed(pictures: Pictures, net: nn.Module, most: int | None = None) -> Pictures:
    """The first so many pictures, where the net's weights are and in their precision."""
    weight, pictures = next(net.parameters(), torch.zeros(())), given(pictures)
    images = pictures.images[:most].to(weight.device, weight.dtype)
    return Pictures(images, pictures.labels[:most].to(weight.device))


def size_of(pictures: Pictures) -> tuple[int, int, int]:
    channels, height, width = given(pictures).images.shape[1:]
    return channels, height, width


def revealed(net: nn.Module, size: tuple[int, int, int]) -> nn.Module:
    """The net with its joins as modules, around the same weights: itself where there are no others.

    A net that cannot be followed is given back as it is; raises TraceError where only one picture can be.
    """
    if isinstance(net, fx.GraphModule):
        return net
    try:
        graph = trace(net, size)
    except TraceError:
        return net  # who needs its graph hears of it then
    return reveal(net, size) if graph.named == "by reveal" else net


@contextmanager
def watching(net: nn.Module, points: Mapping[str, Look]) -> Iterator[None]:
    """Show what each module was given and gave, at once: nothing is kept, and no later step has written over it."""

    def hook(name: str, look: Look) -> Any:
        def see(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            look(name, (*args, *kwargs.values()), output)

        return see

    with ExitStack() as stack:
        for name, look in points.items():
            handle = submodule(net, name).register_forward_hook(hook(name, look), with_kwargs=True)
            stack.callback(handle.remove)
        yield
