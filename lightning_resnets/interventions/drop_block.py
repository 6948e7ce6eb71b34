"""What dropping a block means: its branches are cut where they meet an Add, or what it made counts as zero."""

from contextlib import suppress

from torch import fx, nn

from lightning_resnets.errors import HookPointError, InterventionError
from lightning_resnets.interventions.edits import (
    Intervention,
    KeepChannels,
    RemoveBlock,
    ScaleInput,
)
from lightning_resnets.interventions.hook_points import (
    get_submodule,
    join_first,
    resolve_hook_point,
)
from lightning_resnets.interventions.merge_inputs import (
    ConcatInput,
    MergeInputs,
    consumers_of,
    dense_layers_in,
    merge_inputs,
)
from lightning_resnets.merges import Add, Concat, Merge

MAX_LISTED = 6  # names that a sentence lists


def expand_drop(model: nn.Module, op: RemoveBlock, table: MergeInputs | None) -> list[Intervention]:
    """Every branch of the block cut; where it has none, every dense layer's output zero."""
    block, known = get_submodule(model, op.block), has_inserted_merges(model)
    adds = [
        f"{op.block}.{n}" if n else op.block
        for n, module in block.named_modules()
        if isinstance(module, Add)
    ]
    if adds and not known:
        return [ScaleInput(add, 1, 0.0) for add in adds]
    if adds or any(isinstance(module, Concat) for module in model.modules()):
        table = table or merge_inputs(model)
        if found := _branches(model, adds, table) or _parts(model, op.block, table):
            return found
    if adds:
        raise InterventionError(f"'{op.block}' has no shortcut to leave: {_even(table, adds[0])}.")
    raise InterventionError(
        f"'{op.block}' holds no add, so there is no branch to drop, and no dense layer: name a residual block, or "
        f"a layer whose output is concatenated with what it was made of ({list_merges(model)})."
    )


def _branches(model: nn.Module, adds: list[str], table: MergeInputs) -> list[Intervention]:
    """The branch of each Add that has a shortcut cut."""
    known = {add: table.shortcuts.get(_path(model, add)) for add in adds}
    return [
        ScaleInput(add, 1 - shortcut, 0.0)
        for add, shortcut in known.items()
        if shortcut is not None
    ]


def _parts(model: nn.Module, block: str, table: MergeInputs) -> list[Intervention]:
    """The dense layers of a block gone: each where it ends, or where no module ends it, wherever it meets others."""
    return [
        op
        for part in dense_layers_in(table.concat_inputs, block)
        for op in _gone(model, part, table)
    ]


def _gone(model: nn.Module, part: ConcatInput, table: MergeInputs) -> list[Intervention]:
    if part.module:
        with suppress(HookPointError):
            resolve_hook_point(model, part.module)
            return [KeepChannels(part.module, ())]
    if not part.only_read_by_concats:
        raise InterventionError(
            f"'{part.module_names[0]}' cannot be dropped: no module ends it, and not only concats read it."
        )
    return [
        ScaleInput(concat, number, 0.0)
        for concat, number in consumers_of(table.concat_inputs, part)
    ]


def has_inserted_merges(model: nn.Module) -> bool:
    """Whether the operands of a model's Adds are in the order of the foreign model, and not named by who wrote it."""
    return isinstance(model, fx.GraphModule) and "followed" in model.meta


def shortcut_operand(model: nn.Module, add: str, table: MergeInputs | None) -> int:
    """The number of the operand of a revealed model's Add that is the shortcut; raises SurgeryError where none is."""
    table = table or merge_inputs(model)
    found = table.shortcuts.get(_path(model, add))
    if found is None:
        raise InterventionError(
            f"'{add}' has no shortcut: {_even(table, _path(model, add))}; name one by its number."
        )
    return found


def _even(table: MergeInputs | None, add: str) -> str:
    """What meets where nothing is a shortcut."""
    given = table.add_inputs.get(add, ()) if table else ()
    sides = [f"{one} (operand {i})" for i, one in enumerate(given)] or ["two branches"]
    return f"what meets at '{add}' are even branches, {' and '.join(sides)}"


def _path(model: nn.Module, name: str) -> str:
    """The first name of a module, which its calls go by."""
    module = get_submodule(model, name)
    return next(path for path, one in model.named_modules() if one is module)


def list_merges(model: nn.Module) -> str:
    """The first few merges that a model has, as a sentence goes on."""
    names = [name for name, module in model.named_modules() if isinstance(module, Merge)]
    if not names:
        return "this model has none that is named (`reveal` names those of a foreign model)"
    return f"this model has {join_first(names, MAX_LISTED)}"
