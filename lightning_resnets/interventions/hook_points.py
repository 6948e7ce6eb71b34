"""A point: a module of a model by its name, and a hook where what it gives can be seen or changed."""

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from itertools import count
from typing import Any

from torch import fx, nn

from lightning_resnets.errors import HookPointError

FUNCTIONAL_MERGE_NAME = re.compile(
    r"(^|\.)(add|concat|gate|sum|join|product)(_\d+)?$"
)  # names that joins by functions have in a graph


HookFunction = Callable[
    ..., Any
]  # of the module, its arguments, perhaps its named ones, and its output


def join_first(names: Iterable[str], most: int = 8) -> str:
    """The first few of many names, as a sentence lists them."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def get_submodule(model: nn.Module, name: str) -> nn.Module:
    """The module of that name; raises PointError with the nearest names where there is none."""
    try:
        if name:
            return model.get_submodule(name)
    except AttributeError:
        pass
    hint = ""
    if FUNCTIONAL_MERGE_NAME.search(name) and not isinstance(model, fx.GraphModule):
        hint = " (a join by a function has a name, and is a part, in the model that `reveal` gives)"
    raise HookPointError(
        f"This model has no part called '{name}'; near it are {join_first(_near(model, name), 5)}{hint}."
    )


def _near(model: nn.Module, name: str) -> list[str]:
    """Parts that somebody may have meant: of alike names, else those of the part that the name begins with."""
    modules = {path: module for path, module in model.named_modules(remove_duplicate=False) if path}
    points = [path for path, module in modules.items() if is_called(module)]
    if near := get_close_matches(name, points, n=3, cutoff=0.6) if name else []:
        return near
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return _inside(model, name) or _inside(model, "")


def _inside(model: nn.Module, name: str) -> list[str]:
    """The parts directly in a module that can be points; of one that is never called those in it."""
    found: list[str] = []
    for child, module in model.get_submodule(name).named_children():
        path = f"{name}.{child}" if name else child
        found += [path] if is_called(module) else _inside(model, path)
    return found


def is_called(module: nn.Module) -> bool:
    """False for what only holds others, as nn.ModuleList does: it has no forward pass."""
    return type(module).forward is not nn.Module.forward


def is_inside(path: str, block: str) -> bool:
    """Whether a path is a module's own or of something inside it."""
    return path == block or path.startswith(f"{block}.")


def modules_called_twice(steps: fx.Graph) -> set[str]:
    """The modules with steps of their own that are called more than once: fx writes `name@1` for the second call."""
    stacks = (node.meta.get("nn_module_stack") or {} for node in steps.nodes)
    return {re.sub(r"@\d+", "", key) for stack in stacks for key in map(str, stack) if "@" in key}


def resolve_hook_point(model: nn.Module, name: str) -> tuple[nn.Module, int | None]:
    """The module that gives what the point gives, and in which of its calls in a pass (None: in each).

    A revealed model calls its innermost modules alone: what a block gives is what its last step gives. Raises PointError
    for a name that is no module, and for a block of a revealed model that no single module ends.
    """
    module = get_submodule(model, name)
    if not is_called(module):
        inside = _inside(model, name)
        raise HookPointError(
            f"'{name}' is never called"
            + (f": choose one of {join_first(inside)}." if inside else ".")
        )
    if not isinstance(model, fx.GraphModule):
        return module, None
    calls = [node for node in model.graph.nodes if node.op == "call_module"]
    if any(node.target == name for node in calls):
        return module, None
    last = next((node for node in calls if name in node.meta.get("gives", ())), None)
    if last is None and any(model.get_submodule(str(node.target)) is module for node in calls):
        return module, None  # it is called by another of its names
    if (
        last is None
        or not is_inside(str(last.target), name)
        or name in modules_called_twice(model.graph)
    ):
        inside = dict.fromkeys(
            str(node.target) for node in calls if is_inside(str(node.target), name)
        )
        hint = (
            f"choose a part inside it ({join_first(inside)})"
            if inside
            else "no module is called in it"
        )
        raise HookPointError(f"'{name}' gives no single tensor to take hold of: {hint}.")
    same = [node for node in calls if node.target == last.target]
    return model.get_submodule(str(last.target)), same.index(last) if len(same) > 1 else None


def register_hook(
    model: nn.Module, name: str, act: HookFunction, first: bool = False, named: bool = True
) -> Callable[[], None]:
    """Call `act` whenever the point has given something; what it returns takes that place, unless it is None.

    `first`: before the hooks that are there. `named`: with the named arguments, which costs a little. Returns what
    takes the hook away again.
    """
    module, turn = resolve_hook_point(model, name)
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

    def __init__(self, act: HookFunction, turn: int) -> None:
        self.act, self.turn, self.calls = act, turn, count()

    def begin(self, model: nn.Module, args: tuple[Any, ...]) -> None:
        self.calls = count()

    def __call__(self, *given: Any) -> Any:
        return self.act(*given) if next(self.calls) == self.turn else None
