"""Exchange two blocks: their weights and settings move, the modules and their hooks stay."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.interventions.edits import SwapBlocks
from lightning_resnets.interventions.hook_points import get_submodule, is_inside
from lightning_resnets.interventions.hook_scope import guarded

# Settings of modules that change the shape of their output.
SHAPE_ATTRIBUTES = (
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
    "output_size",
    "normalized_shape",
)

# Name inside both blocks, the module in the first, and the module in the second.
ModulePair = tuple[str, nn.Module, nn.Module]


def check_swap(model: nn.Module, swap: SwapBlocks) -> None:
    """Check that two blocks can be exchanged.

    Args:
        model: the model.
        swap: names of the blocks.

    Raises:
        InterventionError: the blocks are not of the same build.
        HookPointError: there is no such module.
    """
    first = swap.first
    second = swap.second
    # A block inside the other would be moved twice.
    if first != second and (is_inside(first, second) or is_inside(second, first)):
        raise InterventionError(f"'{first}' and '{second}' cannot be swapped: one holds the other.")
    # The first difference is enough for a message.
    if difference := next(_differences(model, swap), ""):
        raise InterventionError(f"'{first}' and '{second}' cannot be swapped: {difference}.")


@contextmanager
def swapped(model: nn.Module, swaps: Iterable[SwapBlocks]) -> Iterator[None]:
    """Run each block in the place of the other inside the `with` block.

    Names, hooks and hook points stay with the places. Several such `with` blocks may end in any
    order: later swaps are undone, and done again without those that end.

    Args:
        model: the model.
        swaps: swaps that `check_swap` accepts, done one after the other.

    Yields:
        Nothing.
    """
    current = _ActiveSwaps(tuple(swaps))
    active = _active.setdefault(model, [])
    active.append(current)
    modules = _modules_of(model, current.swaps)
    try:
        _begin_swaps(model, current)
        with guarded(modules):
            yield
    finally:
        _end_swaps(model, active, current)


@dataclass(eq=False, slots=True)
class _ActiveSwaps:
    """Swaps of one `with` block, and those of them that are done."""

    swaps: tuple[SwapBlocks, ...]
    done: list[SwapBlocks] = field(default_factory=list[SwapBlocks])


# In the order in which the `with` blocks began.
_active: WeakKeyDictionary[nn.Module, list[_ActiveSwaps]] = WeakKeyDictionary()


def _begin_swaps(model: nn.Module, current: _ActiveSwaps) -> None:
    """Do the swaps of a `with` block."""
    for swap in current.swaps:
        _exchange(model, swap)
        # One by one: after an error only these are undone.
        current.done.append(swap)


def _end_swaps(model: nn.Module, active: list[_ActiveSwaps], current: _ActiveSwaps) -> None:
    """Undo the swaps of a `with` block, below those that began later."""
    later = active[active.index(current) + 1 :]
    # Swaps that share a block do not commute, so the last goes first.
    for group in reversed((current, *later)):
        for swap in reversed(group.done):
            _exchange(model, swap)
    active.remove(current)
    # The later ones are still in force.
    for group in later:
        for swap in group.done:
            _exchange(model, swap)


def _exchange(model: nn.Module, swap: SwapBlocks) -> None:
    """Exchange weights and settings of all modules of two blocks."""
    for _, first, second in _module_pairs(model, swap):
        # A shared module is in both blocks.
        if first is not second:
            _exchange_modules(first, second)


def _exchange_modules(first: nn.Module, second: nn.Module) -> None:
    """Exchange weights and settings of two modules."""
    # Both are read before one is written.
    state_of_first = _own_state(first)
    state_of_second = _own_state(second)
    _replace_state(first, state_of_first, state_of_second)
    _replace_state(second, state_of_second, state_of_first)


def _replace_state(module: nn.Module, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Remove a module's old settings and set the new ones."""
    for name in old.keys() - new.keys():
        del vars(module)[name]
    vars(module).update(new)


def _own_state(module: nn.Module) -> dict[str, Any]:
    """Return weights, buffers and plain settings; not the mode, the hooks and the submodules."""
    return {name: value for name, value in vars(module).items() if _is_own_state(name, value)}


def _is_own_state(name: str, value: object) -> bool:
    """Return whether an attribute moves with the block."""
    # The dictionaries change owner as a whole, so tensors keep their identity.
    if name in ("_parameters", "_buffers", "_non_persistent_buffers_set"):
        return True
    # The mode belongs to the place, as an `eval()` of the model expects.
    if name in ("training", "_is_full_backward_hook") or name.endswith("_hooks"):
        return False
    # Modules, tensors and functions stay: hooks and submodules refer to them.
    items = value if isinstance(value, tuple) else (value,)
    return all(isinstance(item, (bool, int, float, str, type(None))) for item in items)


def _module_pairs(model: nn.Module, swap: SwapBlocks) -> list[ModulePair]:
    """Pair the modules of two blocks by name."""
    first = dict(get_submodule(model, swap.first).named_modules())
    second = dict(get_submodule(model, swap.second).named_modules())
    return [(path, first[path], second[path]) for path in first if path in second]


def _modules_of(model: nn.Module, swaps: Iterable[SwapBlocks]) -> list[nn.Module]:
    """Return all modules of the blocks of some swaps."""
    modules: list[nn.Module] = []
    for swap in swaps:
        modules += get_submodule(model, swap.first).modules()
        modules += get_submodule(model, swap.second).modules()
    return modules


def _differences(model: nn.Module, swap: SwapBlocks) -> Iterator[str]:
    """Describe in which ways two blocks are of another build."""
    names_in_first = dict(get_submodule(model, swap.first).named_modules()).keys()
    names_in_second = dict(get_submodule(model, swap.second).named_modules()).keys()
    # One missing submodule is enough for a message.
    for path in sorted(names_in_first - names_in_second)[:1]:
        yield f"'{swap.first}' has a submodule '{path}' and '{swap.second}' does not"
    for path in sorted(names_in_second - names_in_first)[:1]:
        yield f"'{swap.second}' has a submodule '{path}' and '{swap.first}' does not"
    for path, first, second in _module_pairs(model, swap):
        yield from _module_differences(path, first, second)


def _module_differences(path: str, first: nn.Module, second: nn.Module) -> Iterator[str]:
    """Describe in which ways two modules differ in type, shapes or settings."""
    label = "the block"
    if path:
        label = f"the submodule '{path}'"
    if type(first) is not type(second):
        names = type(first).__name__, type(second).__name__
        yield f"{label} is a {names[0]} in one and a {names[1]} in the other"
    shapes = _shapes(first)
    other_shapes = _shapes(second)
    for name in dict.fromkeys((*shapes, *other_shapes)):
        one = shapes.get(name)
        other = other_shapes.get(name)
        if one != other:
            weight = f"{path}.{name}" if path else name
            yield f"'{weight}' has shape {one} in one and {other} in the other"
    # Equal weights do not mean equal strides or paddings.
    for name in SHAPE_ATTRIBUTES:
        one = vars(first).get(name)
        other = vars(second).get(name)
        if one != other:
            yield f"{label} has {name.replace('_', ' ')} {one} in one and {other} in the other"


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...] | None]:
    """Return the shapes of a module's own weights and buffers; None for a missing one."""
    weights = {**vars(module)["_parameters"], **vars(module)["_buffers"]}
    return {
        name: None if weight is None else tuple(weight.shape) for name, weight in weights.items()
    }
