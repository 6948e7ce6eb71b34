"""A point: a module of a net by its name, and a hook where what it gives can be seen or changed."""

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from itertools import count
from typing import Any

from torch import fx, nn

Act = Callable[..., Any]  # of the module, its arguments, perhaps its named ones, and its output


class PointError(ValueError):
    """A point that the net does not have; its text is one plain sentence."""


def some(names: Iterable[str], most: int = 8) -> str:
    """The first few of many names, as a sentence lists them."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def submodule(model: nn.Module, name: str) -> nn.Module:
    """The module of that name; raises PointError with the nearest names where there is none."""
    try:
        if name:
            return model.get_submodule(name)
    except AttributeError:
        pass
    modules = dict(model.named_modules(remove_duplicate=False))
    near = get_close_matches(name, modules, n=3, cutoff=0.6)
    raise PointError(
        f"This net has no part called '{name}'"
        + (f"; near it are {', '.join(near)}." if near else "; trace it to see all.")
    )


def within(path: str, block: str) -> bool:
    """Whether a path is a module's own or of something inside it."""
    return path == block or path.startswith(f"{block}.")


def repeated(steps: fx.Graph) -> set[str]:
    """The modules with steps of their own that are called more than once: fx writes `name@1` for the second call."""
    stacks = (node.meta.get("nn_module_stack") or {} for node in steps.nodes)
    return {re.sub(r"@\d+", "", key) for stack in stacks for key in map(str, stack) if "@" in key}


def called(model: nn.Module, name: str) -> tuple[nn.Module, int | None]:
    """The module that gives what the point gives, and in which of its calls in a pass (None: in each).

    A revealed net calls its innermost modules alone: what a block gives is what its last step gives. Raises PointError
    for a name that is no module, and for a block of a revealed net that no single module ends.
    """
    module = submodule(model, name)
    if not isinstance(model, fx.GraphModule):
        return module, None
    calls = [node for node in model.graph.nodes if node.op == "call_module"]
    if any(node.target == name for node in calls):
        return module, None
    last = next((node for node in calls if name in node.meta.get("gives", ())), None)
    if last is None and any(model.get_submodule(str(node.target)) is module for node in calls):
        return module, None  # it is called by another of its names
    if last is None or not within(str(last.target), name) or name in repeated(model.graph):
        raise PointError(f"'{name}' gives no single tensor to take hold of: choose a part inside it.")
    same = [node for node in calls if node.target == last.target]
    return model.get_submodule(str(last.target)), same.index(last) if len(same) > 1 else None


def hook(model: nn.Module, name: str, act: Act, first: bool = False, named: bool = True) -> Callable[[], None]:
    """Call `act` whenever the point has given something; what it returns takes that place, unless it is None.

    `first`: before the hooks that are there. `named`: with the named arguments, which costs a little. Returns what
    takes the hook away again.
    """
    module, turn = called(model, name)
    if turn is None:
        return module.register_forward_hook(act, with_kwargs=named, prepend=first).remove
    counted = _Turn(act, turn)
    handles = (
        model.register_forward_pre_hook(counted.begin),
        module.register_forward_hook(counted, with_kwargs=named, prepend=first),
    )

    def remove() -> None:
        for handle in handles:
            handle.remove()

    return remove


class _Turn:
    """Acts in one of the calls that a pass makes."""

    def __init__(self, act: Act, turn: int) -> None:
        self.act, self.turn, self.calls = act, turn, count()

    def begin(self, model: nn.Module, args: tuple[Any, ...]) -> None:
        self.calls = count()

    def __call__(self, *given: Any) -> Any:
        return self.act(*given) if next(self.calls) == self.turn else None
