"""Changing what a model computes while it runs: what meets at a merge, channels, whole blocks; the model stays whole."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from lightning_resnets.errors import InterventionError as InterventionError
from lightning_resnets.interventions.bypass import capture_block_input
from lightning_resnets.interventions.drop_block import (
    expand_drop,
    has_inserted_merges,
    list_merges,
    shortcut_operand,
)
from lightning_resnets.interventions.edits import BypassBlock as BypassBlock
from lightning_resnets.interventions.edits import Intervention as Intervention
from lightning_resnets.interventions.edits import KeepChannels as KeepChannels
from lightning_resnets.interventions.edits import (
    MergeEdit,
    OutputEdit,
    apply_merge_edits,
    apply_output_edit,
    flatten_interventions,
)
from lightning_resnets.interventions.edits import RemoveBlock as RemoveBlock
from lightning_resnets.interventions.edits import ScaleInput as ScaleInput
from lightning_resnets.interventions.edits import SetInput as SetInput
from lightning_resnets.interventions.edits import SwapBlocks as SwapBlocks
from lightning_resnets.interventions.edits import ZeroChannels as ZeroChannels
from lightning_resnets.interventions.hook_points import (
    HookFunction,
    get_submodule,
    register_hook,
    resolve_hook_point,
)
from lightning_resnets.interventions.merge_inputs import (
    MergeInputs,
    merge_inputs,
    operands_from_module,
)
from lightning_resnets.interventions.record import bind_operands
from lightning_resnets.interventions.swap_blocks import check_swap, swapped
from lightning_resnets.merges import Add, Concat, Merge


@dataclass(frozen=True, slots=True)
class InterventionPlan:
    """Operations by where they act: at a merge (operands as numbers), behind a point, on two blocks; in their order."""

    merges: Mapping[str, tuple[MergeEdit, ...]]
    points: Mapping[str, tuple[OutputEdit, ...]]
    swaps: tuple[SwapBlocks, ...] = ()


@contextmanager
def intervene(
    model: nn.Module,
    *interventions: Intervention | Sequence[Intervention],
    table: MergeInputs | None = None,
) -> Iterator[nn.Module]:
    """Run the model with these operations inside the `with` block; they act in the order given, lists of them too.

    A name means a place in the model: where blocks change places, what is named after one acts in its place, whoever
    runs there. Hooks do it, and they are gone at the end, after an error too. `table` says where
    what meets comes from (`sources.origins_of`); without it the model is traced when that is first asked.
    Raises SurgeryError or PointError for an operation that does not fit the model, at once where that can be known and
    else in the forward pass.
    """
    planned = plan_interventions(model, interventions, table)
    with ExitStack() as stack:
        for name, edits in planned.merges.items():
            handle = get_submodule(model, name).register_forward_pre_hook(
                _before(edits), with_kwargs=True
            )
            stack.callback(handle.remove)
        for name in sorted(
            planned.points, key=len
        ):  # each before those that are there: inner ones first, then probes
            touches = planned.points[name]
            passed = any(isinstance(touch, BypassBlock) for touch in touches)
            inner = passed and resolve_hook_point(model, name)[0] is not get_submodule(model, name)
            given = stack.enter_context(capture_block_input(model, name)) if inner else None
            stack.callback(register_hook(model, name, _behind(touches, given), first=True))
        stack.enter_context(swapped(model, planned.swaps))
        yield model


def plan_interventions(
    model: nn.Module,
    interventions: Iterable[Intervention | Sequence[Intervention]],
    table: MergeInputs | None = None,
    known: Container[str] = frozenset(),
) -> InterventionPlan:
    """The operations by where they act, every Drop written out, without those that change nothing.

    `known` are points beside the model's modules.
    """
    merges: dict[str, list[MergeEdit]] = {}
    points: dict[str, list[OutputEdit]] = {}
    swaps: list[SwapBlocks] = []
    for op in flatten_interventions(interventions):
        for one in expand_drop(model, op, table) if isinstance(op, RemoveBlock) else [op]:
            assert not isinstance(one, RemoveBlock)
            if isinstance(one, SwapBlocks):
                check_swap(model, one)
                swaps += [one] if one.first != one.second else []
            elif isinstance(one, MergeEdit):
                edits = [
                    edit for edit in _numbered(model, one, table) if getattr(edit, "gain", 0) != 1
                ]
                merges.setdefault(one.merge, []).extend(edits)
            else:
                if one.hook_point not in known:
                    get_submodule(model, one.hook_point)
                points.setdefault(one.hook_point, []).append(one)
    found = {name: tuple(edits) for name, edits in merges.items() if edits}
    return InterventionPlan(
        found, {name: tuple(touches) for name, touches in points.items()}, tuple(swaps)
    )


def _before(edits: tuple[MergeEdit, ...]) -> Any:
    def change(
        module: Merge, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        return apply_merge_edits(bind_operands(module, args, kwargs), edits), {}

    return change


def _behind(touches: tuple[OutputEdit, ...], entrance: list[Any] | None) -> HookFunction:
    """What changes what a point gives; `entrance` holds what it was given, where its module is not called itself."""

    def change(
        module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Any:
        given = (*args, *kwargs.values()) if entrance is None else (entrance.pop(),)
        for touch in touches:
            output = apply_output_edit(output, touch, given[0] if len(given) == 1 else given)
        return output

    return change


def _numbered(model: nn.Module, edit: MergeEdit, table: MergeInputs | None) -> list[MergeEdit]:
    """The edit with the operand's number; one for each part where several come from one source."""
    merge = get_submodule(model, edit.merge)
    if not isinstance(merge, Merge):
        raise InterventionError(
            f"'{edit.merge}' is no place where paths meet: {list_merges(model)}."
        )
    if isinstance(edit.operand, str) and isinstance(merge, Concat):
        found = operands_from_module(
            (table or merge_inputs(model)).concat_inputs, edit.merge, edit.operand
        )
    elif edit.operand in Add.operands and isinstance(merge, Add) and has_inserted_merges(model):
        number = shortcut_operand(model, edit.merge, table)
        found = [number if edit.operand == "shortcut" else 1 - number]
    else:
        found = [_number(merge, edit)]
    return [_at(edit, number) for number in found]


def _at(edit: MergeEdit, number: int) -> MergeEdit:
    if isinstance(edit, ScaleInput):
        return ScaleInput(edit.merge, number, float(edit.factor))
    value = (
        edit.value.clone() if isinstance(edit.value, Tensor) else edit.value
    )  # its owner may go on to change it
    return replace(edit, operand=number, value=value)


def _number(merge: Merge, edit: MergeEdit) -> int:
    names, operand = merge.operands, edit.operand
    if isinstance(operand, str) and operand in names:
        return names.index(operand)
    if isinstance(operand, int) and operand >= 0 and (not names or operand < len(names)):
        return operand
    known = (
        f"its operands are {' and '.join(names)}" if names else "its operands are numbered from 0"
    )
    raise InterventionError(f"'{edit.merge}' has no operand '{operand}': {known}.")
