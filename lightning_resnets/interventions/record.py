"""Recording what a model computes at named points, by hooks that are gone when the `with` block ends."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from lightning_resnets.errors import HookPointError as HookPointError
from lightning_resnets.interventions.hook_points import HookFunction, register_hook
from lightning_resnets.interventions.hook_points import get_submodule as get_submodule
from lightning_resnets.merges import Merge

TRUSTED_MODULES = (
    "torch.nn.",
    "lightning_resnets.",
)  # modules that work in place only where their setting says so


@dataclass(frozen=True, slots=True)
class Recording:
    """What the last forward pass gave: every point's output, and for merges what met there (after any surgery)."""

    outputs: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    operands: dict[str, tuple[Tensor, ...]] = field(default_factory=dict[str, tuple[Tensor, ...]])


@contextmanager
def record_activations(model: nn.Module, hook_points: str | Iterable[str]) -> Iterator[Recording]:
    """Record the outputs of the modules called `points` in every forward pass inside the `with` block.

    The tensors are those of the model itself, with their graph and on their device, so gradients reach them: after
    `score = model(x)[0, 3]`, `torch.autograd.grad(score, seen.outputs["layer4"])` is that of Grad-CAM. A foreign model may
    work in place, and a later step write over what was seen. It answers the same, but there a copy goes on where
    gradients are kept, and else a copy is recorded; so too, and out of reach of gradients, where a module gives the
    memory that it was given (an Identity, Dropout in evaluation, a view). A module that is called twice in one pass
    keeps its last output. Raises PointError for a name that is no module of the model, and for a block of a revealed model
    that no single module ends: that ends in a function, or is called twice.
    """
    recording, foreign = Recording(), may_run_inplace(model)
    with ExitStack() as stack:
        for point in dict.fromkeys([hook_points] if isinstance(hook_points, str) else hook_points):
            module = get_submodule(model, point)
            merge = isinstance(module, Merge)
            if merge and foreign:
                stack.callback(module.register_forward_pre_hook(_apart, with_kwargs=True).remove)
            act = (_meet if merge else _keep)(point, recording, foreign)
            stack.callback(register_hook(model, point, act, named=merge or foreign))
        yield recording


def may_run_inplace(model: nn.Module) -> bool:
    """Whether a model may work in place: not ours and no revealed one, but any with other people's modules."""
    if isinstance(model, fx.GraphModule) and "followed" in model.meta:
        return False
    return any(
        vars(module).get("inplace") is True
        or not type(module).__module__.startswith(TRUSTED_MODULES)
        for module in model.modules()
    )


def bind_operands(
    merge: Merge, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Tensor, ...]:
    """What a merge was given, in the order of its operands, however the call named them."""
    return (*args, *(kwargs[name] for name in merge.operands if name in kwargs))


def _keep(point: str, recording: Recording, foreign: bool) -> HookFunction:
    """A hook that does next to nothing on our models: it runs in every pass."""
    outputs = recording.outputs

    def keep(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor):
            outputs[point] = output

    def part(
        module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Tensor | None:
        if not isinstance(output, Tensor):
            return None
        outputs[point], passed = _parted(module, (args, kwargs), output)
        return passed

    return part if foreign else keep


def _meet(point: str, recording: Recording, foreign: bool) -> HookFunction:
    outputs, met = recording.outputs, recording.operands

    def keep(
        module: Merge, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
    ) -> Tensor | None:
        met[point] = bind_operands(module, args, kwargs) if kwargs else args
        outputs[point], passed = (
            _parted(module, (args, kwargs), output) if foreign else (output, None)
        )
        return passed

    return keep


def _apart(
    module: Merge, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Nobody but the merge has what it is given, so nobody writes over it."""
    return tuple(one.clone() for one in args), {name: one.clone() for name, one in kwargs.items()}


def _parted(module: nn.Module, given: object, output: Tensor) -> tuple[Tensor, Tensor | None]:
    """What is recorded of an output, and what the model goes on with in its place (None: with the output itself).

    What lies in memory that the module was given stays in the model: another step may look there for what a later one
    writes. A module that writes into that memory itself is the exception: it is called for what it gives.
    """
    if not (torch.is_grad_enabled() and output.requires_grad):
        return output.clone(), None
    place, inplace = output.untyped_storage().data_ptr(), vars(module).get("inplace") is True
    shared = not inplace and any(
        one.untyped_storage().data_ptr() == place
        for one in tree_leaves(given)
        if isinstance(one, Tensor)
    )
    return (output.clone(), None) if shared else (output, output.clone())
