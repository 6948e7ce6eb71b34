"""Two blocks that change places: weights and settings do, the modules and their hooks stay where they are."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.interventions.edits import SwapBlocks
from lightning_resnets.interventions.hook_points import get_submodule, is_inside

SHAPE_ATTRIBUTES = (
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
    "output_size",
    "normalized_shape",
)  # of maps


ModulePair = tuple[str, nn.Module, nn.Module]  # the path inside both blocks


def check_swap(model: nn.Module, swap: SwapBlocks) -> None:
    """Raise SurgeryError, one sentence, where two blocks are not of the same build; PointError where one is missing."""
    if swap.first != swap.second and (
        is_inside(swap.first, swap.second) or is_inside(swap.second, swap.first)
    ):
        raise InterventionError(
            f"'{swap.first}' and '{swap.second}' cannot change places: one holds the other."
        )
    if why := next(_differences(model, swap), ""):
        raise InterventionError(f"'{swap.first}' and '{swap.second}' cannot change places: {why}.")


@contextmanager
def swapped(model: nn.Module, swaps: Iterable[SwapBlocks]) -> Iterator[None]:
    """Each block runs in the other's place inside the `with` block; names, hooks and points stay with the places.

    Several of them may end in any order: later swaps are undone, and done again without those that end.
    """
    held = _Held(tuple(swaps))
    active = _active.setdefault(model, [])
    active.append(held)
    try:
        for swap in held.swaps:
            _exchange(model, swap)
            held.done.append(swap)
        yield
    finally:
        later = active[active.index(held) + 1 :]
        for one in reversed((held, *later)):
            for swap in reversed(one.done):
                _exchange(model, swap)
        active.remove(held)
        for one in later:
            for swap in one.done:
                _exchange(model, swap)


@dataclass(eq=False, slots=True)
class _Held:
    """The swaps of one `with` block, and those of them that are done."""

    swaps: tuple[SwapBlocks, ...]
    done: list[SwapBlocks] = field(default_factory=list[SwapBlocks])


_active: WeakKeyDictionary[nn.Module, list[_Held]] = (
    WeakKeyDictionary()
)  # in the order in which they began


def _exchange(model: nn.Module, swap: SwapBlocks) -> None:
    for _, one, other in _pairs(model, swap):
        if one is not other:
            _trade(one, other)


def _trade(one: nn.Module, other: nn.Module) -> None:
    first, second = _own(one), _own(other)
    for module, mine, new in ((one, first, second), (other, second, first)):
        for name in mine.keys() - new.keys():
            del vars(module)[name]
        vars(module).update(new)


def _own(module: nn.Module) -> dict[str, Any]:
    """What makes a module itself: weights, buffers, plain settings; not its mode, its hooks and what is inside it."""
    return {name: value for name, value in vars(module).items() if _belongs(name, value)}


def _belongs(name: str, value: object) -> bool:
    if name in ("_parameters", "_buffers", "_non_persistent_buffers_set"):
        return True
    if name in ("training", "_is_full_backward_hook") or name.endswith("_hooks"):
        return False
    plain = value if isinstance(value, tuple) else (value,)
    return all(isinstance(one, (bool, int, float, str, type(None))) for one in plain)


def _pairs(model: nn.Module, swap: SwapBlocks) -> list[ModulePair]:
    one, other = (
        dict(get_submodule(model, swap.first).named_modules()),
        dict(get_submodule(model, swap.second).named_modules()),
    )
    return [(path, one[path], other[path]) for path in one if path in other]


def _differences(model: nn.Module, swap: SwapBlocks) -> Iterator[str]:
    inner, outer = (
        dict(get_submodule(model, name).named_modules()) for name in (swap.first, swap.second)
    )
    for here, more, there, less in (
        (swap.first, inner, swap.second, outer),
        (swap.second, outer, swap.first, inner),
    ):
        if paths := sorted(more.keys() - less.keys()):
            yield f"'{here}' has a part '{paths[0]}' and '{there}' has none"
    for path, one, other in _pairs(model, swap):
        yield from _unlike(path, one, other)


def _unlike(path: str, one: nn.Module, other: nn.Module) -> Iterator[str]:
    part = f"the part '{path}'" if path else "the block"
    if type(one) is not type(other):
        yield f"{part} is a {type(one).__name__} in one and a {type(other).__name__} in the other"
    mine, theirs = _shapes(one), _shapes(other)
    for name in dict.fromkeys((*mine, *theirs)):
        if mine.get(name) != theirs.get(name):
            where = f"{path}.{name}" if path else name
            yield f"'{where}' has shape {mine.get(name)} in one and {theirs.get(name)} in the other"
    for name in SHAPE_ATTRIBUTES:
        if vars(one).get(name) != vars(other).get(name):
            sides = f"{vars(one).get(name)} in one and {vars(other).get(name)} in the other"
            yield f"{part} has {name.replace('_', ' ')} {sides}"


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...] | None]:
    weights = {**vars(module)["_parameters"], **vars(module)["_buffers"]}
    return {
        name: None if weight is None else tuple(weight.shape) for name, weight in weights.items()
    }
