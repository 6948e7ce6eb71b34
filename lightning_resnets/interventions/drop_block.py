"""Expand `RemoveBlock` into edits: cut branches at their Adds, or set dense layers to zero."""

from contextlib import suppress

from torch import nn

from lightning_resnets.errors import HookPointError, InterventionError
from lightning_resnets.graph.graph_module import has_inserted_merges
from lightning_resnets.interventions.concat_inputs import (
    ConcatInput,
    consumers_of,
    dense_layers_in,
)
from lightning_resnets.interventions.edits import (
    Intervention,
    KeepChannels,
    RemoveBlock,
    ScaleInput,
)
from lightning_resnets.interventions.hook_points import get_submodule, resolve_hook_point
from lightning_resnets.interventions.merge_inputs import MergeInputs, merge_inputs
from lightning_resnets.merges import Add, Concat, Merge
from lightning_resnets.utils.format import join_first

# Merges that a message lists.
MAX_LISTED = 6


def expand_drop(
    model: nn.Module, intervention: RemoveBlock, inputs: MergeInputs | None
) -> list[Intervention]:
    """Expand the removal of a block.

    Args:
        model: the model.
        intervention: the block to remove.
        inputs: inputs of the model's merges; None to find them if they are needed.

    Returns:
        One edit per branch; where there is none, one per dense layer.

    Raises:
        InterventionError: there is nothing to remove.
        HookPointError: there is no such block.
    """
    name = intervention.block
    block = get_submodule(model, name)
    adds = [
        f"{name}.{path}" if path else name
        for path, module in block.named_modules()
        if isinstance(module, Add)
    ]
    # The Adds of our own models have their shortcut as the first operand.
    if adds and not has_inserted_merges(model):
        return [ScaleInput(add, 1, 0.0) for add in adds]
    if adds or any(isinstance(module, Concat) for module in model.modules()):
        inputs = inputs or merge_inputs(model)
        # Dense layers only where no branch was cut: a block may have both.
        edits = _cut_branches(model, adds, inputs) or _zero_dense_layers(model, name, inputs)
        if edits:
            return edits
    if adds:
        raise InterventionError(
            f"'{name}' has no shortcut that could remain: {_describe_branches(inputs, adds[0])}."
        )
    raise InterventionError(
        f"'{name}' contains no Add and no dense layer, so it cannot be removed: use a residual "
        f"block, or a layer whose output is concatenated with its input ({list_merges(model)})."
    )


def shortcut_operand(model: nn.Module, add: str, inputs: MergeInputs | None) -> int:
    """Return the number of an Add's shortcut operand in a model of `insert_merges`.

    Args:
        model: the model.
        add: name of the Add.
        inputs: inputs of the model's merges; None to find them.

    Returns:
        0 or 1.

    Raises:
        InterventionError: the Add has no shortcut.
    """
    inputs = inputs or merge_inputs(model)
    # Inputs are known by the name that torch.fx calls the Add by.
    path = _first_name(model, add)
    number = inputs.shortcuts.get(path)
    if number is None:
        branches = _describe_branches(inputs, path)
        raise InterventionError(f"'{add}' has no shortcut: {branches}; use an operand's number.")
    return number


def list_merges(model: nn.Module) -> str:
    """Describe the first few merges of a model, to continue a sentence.

    Args:
        model: any model.

    Returns:
        Text such as "this model has layer1.0.add and 8 more".
    """
    names = [name for name, module in model.named_modules() if isinstance(module, Merge)]
    if not names:
        return "this model has no named merges; `insert_merges` adds them"
    return f"this model has {join_first(names, MAX_LISTED)}"


def _cut_branches(model: nn.Module, adds: list[str], inputs: MergeInputs) -> list[Intervention]:
    """Cut the branch of every Add that has a shortcut."""
    edits: list[Intervention] = []
    # Sums of parallel branches inside the block stay as they are.
    for add in adds:
        shortcut = inputs.shortcuts.get(_first_name(model, add))
        if shortcut is not None:
            # Of two operands the other one is the branch.
            edits.append(ScaleInput(add, 1 - shortcut, 0.0))
    return edits


def _zero_dense_layers(model: nn.Module, block: str, inputs: MergeInputs) -> list[Intervention]:
    """Set the output of every dense layer in a block to zero."""
    edits: list[Intervention] = []
    for part in dense_layers_in(inputs.concat_inputs, block):
        edits += _zero_dense_layer(model, part, inputs)
    return edits


def _zero_dense_layer(
    model: nn.Module, part: ConcatInput, inputs: MergeInputs
) -> list[Intervention]:
    """Set a dense layer to zero at the module that ends it, or else at every Concat."""
    if part.module:
        with suppress(HookPointError):
            # One edit at the layer's end serves all its consumers.
            resolve_hook_point(model, part.module)
            # To keep no channel is to zero all, and needs no channel count.
            return [KeepChannels(part.module, ())]
    # Cut at the Concats, another reader would still see its values.
    if not part.only_read_by_concats:
        raise InterventionError(
            f"'{part.module_names[0]}' cannot be removed: no module ends it, "
            "and it is not only read by concatenations."
        )
    consumers = consumers_of(inputs.concat_inputs, part)
    return [ScaleInput(concat, number, 0.0) for concat, number in consumers]


def _describe_branches(inputs: MergeInputs | None, add: str) -> str:
    """Describe the operands of an Add without a shortcut."""
    names: tuple[str, ...] = ()
    if inputs:
        names = inputs.add_inputs.get(add, ())
    branches = [f"{name} (operand {number})" for number, name in enumerate(names)]
    text = " and ".join(branches) or "two branches"
    return f"the operands of '{add}' are parallel branches, {text}"


def _first_name(model: nn.Module, name: str) -> str:
    """Return the first name of a module, which torch.fx uses for its calls."""
    module = get_submodule(model, name)
    return next(path for path, one in model.named_modules() if one is module)
