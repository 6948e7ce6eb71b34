"""Record activations at named modules with hooks that are removed when the `with` block ends."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lightning_resnets.errors import InvalidArgumentError
from lightning_resnets.graph.graph_module import has_inserted_merges
from lightning_resnets.interventions.hook_points import HookFunction, get_submodule, register_hook
from lightning_resnets.interventions.hook_scope import ScopedHook, exclusive
from lightning_resnets.merges import Merge
from lightning_resnets.utils.arguments import check_names
from lightning_resnets.utils.model_arguments import check_model

# Modules of these packages work in place only if their `inplace` attribute is True.
TRUSTED_MODULES = ("torch.nn.", "lightning_resnets.")


@dataclass(frozen=True, slots=True)
class Recording:
    """Activations of the last forward pass.

    Attributes:
        outputs: output of every hook point.
        operands: operands of every merge among them, after any intervention.
    """

    outputs: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    operands: dict[str, tuple[Tensor, ...]] = field(default_factory=dict[str, tuple[Tensor, ...]])


@contextmanager
def record_activations(model: nn.Module, hook_points: str | Iterable[str]) -> Iterator[Recording]:
    """Record the outputs of modules in every forward pass inside the `with` block.

    The tensors are those of the model, with their graph and on their device, so that gradients
    reach them: after `score = model(x)[0, 3]`, `torch.autograd.grad(score, rec.outputs["layer4"])`
    is the gradient of Grad-CAM.

    A third-party model may work in place, and a later layer overwrite a recorded tensor. Its
    output does not change, but where gradients are enabled the model continues with a copy, and
    otherwise a copy is recorded. A copy without gradients is also recorded where a module returns
    the memory of its input (Identity, Dropout in evaluation mode, a view).

    A copy of the model that is made inside the block is not recorded. Only the thread that began
    the block may run the model; another one gets InterventionError.

    Args:
        model: the model.
        hook_points: name of a module, or several. A module that is called twice in one pass keeps
            its last output.

    Yields:
        The recording, filled by each forward pass.

    Raises:
        InvalidArgumentError: `hook_points` has no names.
        HookPointError: there is no such module, or a block of a model of `insert_merges` does not
            end in a single module.
    """
    check_model(model)
    names = check_names("hook_points", hook_points)
    if not names:
        raise InvalidArgumentError("hook_points is empty: name at least one module.")
    recording = Recording()
    # Once for all: it looks at every module.
    copies = may_run_inplace(model)
    with ExitStack() as stack:
        stack.enter_context(exclusive(model))
        # A name that is given twice gets one hook.
        for name in dict.fromkeys(names):
            module = get_submodule(model, name)
            is_merge = isinstance(module, Merge)
            # The model may overwrite an operand after the merge has read it.
            if is_merge and copies:
                clone_hook = ScopedHook(module, _clone_operands)
                handle = module.register_forward_pre_hook(clone_hook, with_kwargs=True)
                stack.callback(handle.remove)
            make_hook = _make_merge_hook if is_merge else _make_output_hook
            hook = make_hook(name, recording, copies)
            stack.callback(register_hook(model, name, hook, with_kwargs=is_merge or copies))
        yield recording


def may_run_inplace(model: nn.Module) -> bool:
    """Return whether a model may overwrite its activations.

    Args:
        model: any model.

    Returns:
        True if a module works in place, or is of another package and therefore might. False for
        our models and those of `insert_merges`.
    """
    # `insert_merges` has turned all in-place operations into ordinary ones.
    if has_inserted_merges(model):
        return False
    return any(
        vars(module).get("inplace") is True
        or not type(module).__module__.startswith(TRUSTED_MODULES)
        for module in model.modules()
    )


def bind_operands(
    merge: Merge, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Tensor, ...]:
    """Return the operands of a merge's call in their order.

    Args:
        merge: the merge.
        args: positional arguments of the call.
        kwargs: keyword arguments of the call.

    Returns:
        All operands.
    """
    return (*args, *(kwargs[name] for name in merge.operands if name in kwargs))


def summands(merge: Merge, operands: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the operands that have names; a sum by `lerp` has its weight as a third.

    Args:
        merge: the merge.
        operands: all arguments of its call.

    Returns:
        Two operands of an Add or Gate; all parts of a Concat.
    """
    if not merge.operands:
        return operands
    return operands[: len(merge.operands)]


def _make_output_hook(name: str, recording: Recording, copies: bool) -> HookFunction:
    """Make a hook that records an output; on our models it does next to nothing."""
    outputs = recording.outputs

    def keep(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Record the output itself."""
        if isinstance(output, Tensor):
            outputs[name] = output

    def keep_copy(
        module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Tensor | None:
        """Record a tensor that no later layer can overwrite."""
        if not isinstance(output, Tensor):
            return None
        # The hook returns what the model goes on with; None keeps the output.
        outputs[name], replacement = _separate(module, (args, kwargs), output)
        return replacement

    if copies:
        return keep_copy
    return keep


def _make_merge_hook(name: str, recording: Recording, copies: bool) -> HookFunction:
    """Make a hook that records the operands and the output of a merge."""

    def keep(
        module: Merge, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
    ) -> Tensor | None:
        """Record the operands and the output of a merge."""
        # Binding takes time, and our models pass operands by position.
        operands = args
        if kwargs:
            operands = bind_operands(module, args, kwargs)
        recording.operands[name] = summands(module, operands)
        recording.outputs[name] = output
        if not copies:
            return None
        recording.outputs[name], replacement = _separate(module, (args, kwargs), output)
        return replacement

    return keep


def _clone_operands(
    module: Merge, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Copy the operands of a merge, so that no later layer overwrites them."""
    copied = {name: value.clone() for name, value in kwargs.items()}
    return tuple(value.clone() for value in args), copied


def _separate(module: nn.Module, inputs: object, output: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the tensor to record and the one the model continues with (None for the output).

    An output that shares the memory of the module's input stays in the model, because a later
    layer may expect to find there what another one writes. An in-place module is the exception:
    its output is meant to be read.
    """
    # Without gradients the copy is as good as the original.
    if not (torch.is_grad_enabled() and output.requires_grad):
        return output.clone(), None
    is_inplace = vars(module).get("inplace") is True
    if not is_inplace and _shares_memory(output, inputs):
        return output.clone(), None
    # The recorded tensor must be part of the graph, so the model continues with the copy.
    return output, output.clone()


def _shares_memory(output: Tensor, inputs: object) -> bool:
    """Return whether a tensor lies in the memory of one of the inputs."""
    # A view has another offset but the same storage.
    address = output.untyped_storage().data_ptr()
    tensors = (one for one in tree_leaves(inputs) if isinstance(one, Tensor))
    return any(one.untyped_storage().data_ptr() == address for one in tensors)
