"""Change what a model computes while it runs: operands of merges, channels, whole blocks."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.graph.graph_module import has_inserted_merges
from lightning_resnets.interventions.apply_edits import apply_merge_edits, apply_output_edit
from lightning_resnets.interventions.bypass import capture_block_input
from lightning_resnets.interventions.concat_inputs import operands_from_module
from lightning_resnets.interventions.drop_block import (
    expand_drop,
    list_merges,
    shortcut_operand,
)
from lightning_resnets.interventions.edits import (
    BypassBlock,
    Intervention,
    MergeEdit,
    OutputEdit,
    RemoveBlock,
    ScaleInput,
    SwapBlocks,
    flatten_interventions,
)
from lightning_resnets.interventions.hook_points import (
    HookFunction,
    get_submodule,
    register_hook,
    resolve_hook_point,
)
from lightning_resnets.interventions.hook_scope import ScopedHook, check_hooks_run, exclusive
from lightning_resnets.interventions.merge_inputs import MergeInputs, merge_inputs
from lightning_resnets.interventions.record import bind_operands
from lightning_resnets.interventions.swap_blocks import check_swap, swapped
from lightning_resnets.merges import Add, Concat, Merge
from lightning_resnets.utils.format import printable_key
from lightning_resnets.utils.model_arguments import check_model


@dataclass(frozen=True, slots=True)
class InterventionPlan:
    """Interventions by where they act, in their order.

    Attributes:
        merges: edits of the operands of each merge, with operands as numbers.
        points: edits of the output of each hook point.
        swaps: blocks that are exchanged.
    """

    merges: Mapping[str, tuple[MergeEdit, ...]]
    points: Mapping[str, tuple[OutputEdit, ...]]
    swaps: tuple[SwapBlocks, ...] = ()


@contextmanager
def intervene(
    model: nn.Module,
    *interventions: Intervention | Sequence[Intervention],
    inputs: MergeInputs | None = None,
) -> Iterator[nn.Module]:
    """Run a model under interventions inside the `with` block.

    They act in the order given. Hooks apply them and are removed at the end, also after an error.
    A copy that is made inside the block is free of them. With `SwapBlocks` the model cannot be
    copied, saved or loaded inside. Only the thread that began the block may run the model.
    A name means a place in the model: if blocks are swapped, an edit of one name acts in its
    place, whichever block runs there.

    Args:
        model: the model; unchanged after the block.
        *interventions: interventions, or lists of them.
        inputs: inputs of the model's merges (`merge_inputs_of`). Without them the model is traced
            when they are first needed.

    Yields:
        The model.

    Raises:
        InterventionError: an intervention does not fit the model; raised at once if this can be
            known, else in the forward pass.
        HookPointError: there is no such module.
    """
    plan = plan_interventions(model, interventions, inputs)
    with ExitStack() as stack:
        # First, so that a second thread fails before any hook is registered.
        stack.enter_context(exclusive(model))
        for name, edits in plan.merges.items():
            merge = get_submodule(model, name)
            check_hooks_run(model, name)
            # A copy of the model would carry the hook too: it acts on this module only.
            hook = ScopedHook(merge, _make_operand_hook(edits))
            stack.callback(merge.register_forward_pre_hook(hook, with_kwargs=True).remove)
        # Each hook goes before those that exist, so inner modules are changed first, and
        # recordings that began earlier see the result.
        for name in sorted(plan.points, key=len):
            captured = _capture_input_if_needed(stack, model, name, plan.points[name])
            hook = _make_output_hook(plan.points[name], captured)
            stack.callback(register_hook(model, name, hook, prepend=True))
        # Last: hooks stay with the places, so they must not move with the blocks.
        stack.enter_context(swapped(model, plan.swaps))
        yield model


def plan_interventions(
    model: nn.Module,
    interventions: Iterable[Intervention | Sequence[Intervention]],
    inputs: MergeInputs | None = None,
    known_names: Container[str] = frozenset(),
) -> InterventionPlan:
    """Sort interventions by where they act; expand removals and leave out what changes nothing.

    Args:
        model: the model.
        interventions: interventions, or lists of them.
        inputs: see `intervene`.
        known_names: hook points that are not modules.

    Returns:
        The plan.

    Raises:
        InterventionError: an intervention does not fit the model.
        HookPointError: there is no such module.
    """
    check_model(model)
    planner = _Planner(model, inputs, known_names)
    return planner.plan(flatten_interventions(interventions))


@dataclass(slots=True)
class _Planner:
    """Plan that grows by one intervention after the other."""

    model: nn.Module
    inputs: MergeInputs | None
    known_names: Container[str]
    merges: dict[str, list[MergeEdit]] = field(default_factory=dict[str, list[MergeEdit]])
    points: dict[str, list[OutputEdit]] = field(default_factory=dict[str, list[OutputEdit]])
    swaps: list[SwapBlocks] = field(default_factory=list[SwapBlocks])

    def plan(self, interventions: Iterable[Intervention]) -> InterventionPlan:
        """Add interventions one after the other and return the plan.

        Args:
            interventions: interventions in the order in which they act.

        Returns:
            The plan.
        """
        for intervention in interventions:
            self._add(intervention)
        return InterventionPlan(
            # A merge with factors of 1 only needs no hook either.
            {name: tuple(edits) for name, edits in self.merges.items() if edits},
            {name: tuple(edits) for name, edits in self.points.items()},
            tuple(self.swaps),
        )

    def _add(self, intervention: Intervention) -> None:
        """Add an intervention; a removal is expanded to the edits that it consists of."""
        if isinstance(intervention, RemoveBlock):
            # Through `_add`, so that the edits are checked and numbered as those of a user.
            for edit in expand_drop(self.model, intervention, self.inputs):
                self._add(edit)
        elif isinstance(intervention, SwapBlocks):
            check_swap(self.model, intervention)
            # A block that is swapped with itself changes nothing.
            if intervention.first != intervention.second:
                self.swaps.append(intervention)
        elif isinstance(intervention, MergeEdit):
            edits = _number_operands(self.model, intervention, self.inputs)
            # Factor 1 needs no hook.
            changing = [edit for edit in edits if getattr(edit, "factor", 0) != 1]
            self.merges.setdefault(intervention.merge, []).extend(changing)
        else:
            # Nodes of a graph have names too.
            if intervention.hook_point not in self.known_names:
                get_submodule(self.model, intervention.hook_point)
            self.points.setdefault(intervention.hook_point, []).append(intervention)


def _capture_input_if_needed(
    stack: ExitStack, model: nn.Module, name: str, edits: tuple[OutputEdit, ...]
) -> list[Any] | None:
    """Capture the input of a block to bypass if its own module is not called."""
    if not any(isinstance(edit, BypassBlock) for edit in edits):
        return None
    # A module that is called passes its input to its own hook.
    if resolve_hook_point(model, name)[0] is get_submodule(model, name):
        return None
    return stack.enter_context(capture_block_input(model, name))


def _make_operand_hook(edits: tuple[MergeEdit, ...]) -> Any:
    """Make a hook that changes the operands of a merge."""

    def change(
        module: Merge, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """Change the arguments of a merge's call."""
        # The operands are passed on by position.
        return apply_merge_edits(bind_operands(module, args, kwargs), edits), {}

    return change


def _make_output_hook(edits: tuple[OutputEdit, ...], captured: list[Any] | None) -> HookFunction:
    """Make a hook that changes an output; `captured` holds the input of a block without calls."""

    def change(
        module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Any:
        """Change the output of a module."""
        inputs = (*args, *kwargs.values())
        if captured is not None:
            # Popped, so that a pass without a new input cannot use that of the last one.
            inputs = (captured.pop(),)
        # `apply_output_edit` takes a tuple for several inputs, which cannot be bypassed.
        module_input = inputs[0] if len(inputs) == 1 else inputs
        for edit in edits:
            output = apply_output_edit(output, edit, module_input)
        return output

    return change


def _number_operands(
    model: nn.Module, edit: MergeEdit, inputs: MergeInputs | None
) -> list[MergeEdit]:
    """Replace an operand's name by its number; return one edit per operand of that name."""
    merge = get_submodule(model, edit.merge)
    if not isinstance(merge, Merge):
        raise InterventionError(f"'{edit.merge}' is not a merge: {list_merges(model)}.")
    if isinstance(edit.operand, str) and isinstance(merge, Concat):
        # Tracing takes time, so only the name of a source needs it.
        known = (inputs or merge_inputs(model)).concat_inputs
        numbers = operands_from_module(known, edit.merge, edit.operand)
    elif edit.operand in Add.operands and isinstance(merge, Add) and has_inserted_merges(model):
        # The original code may have added its operands in either order.
        shortcut = shortcut_operand(model, edit.merge, inputs)
        numbers = [shortcut if edit.operand == "shortcut" else 1 - shortcut]
    else:
        numbers = [_operand_number(merge, edit)]
    return [_with_operand(edit, number) for number in numbers]


def _with_operand(edit: MergeEdit, number: int) -> MergeEdit:
    """Return the edit of an operand by its number."""
    if isinstance(edit, ScaleInput):
        # Any real number is allowed, also a Fraction, which torch cannot multiply by.
        return ScaleInput(edit.merge, number, float(edit.factor))
    value = edit.value
    if isinstance(value, Tensor):
        # The caller may go on to change the tensor.
        value = value.clone()
    return replace(edit, operand=number, value=value)


def _operand_number(merge: Merge, edit: MergeEdit) -> int:
    """Return the number of an operand; raise InterventionError if there is none."""
    names = merge.operands
    operand = edit.operand
    if isinstance(operand, str) and operand in names:
        return names.index(operand)
    if isinstance(operand, int) and operand >= 0 and (not names or operand < len(names)):
        return operand
    # A Concat has no names.
    known = " and ".join(names) or "numbered from 0"
    raise InterventionError(
        f"'{edit.merge}' has no operand '{printable_key(operand)}': its operands are {known}."
    )
