"""Hook points: modules by name, and hooks that see or change their output."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from itertools import count
from typing import Any

from torch import fx, nn

from lightning_resnets.errors import HookPointError
from lightning_resnets.interventions.hook_scope import ScopedHook, check_hooks_run
from lightning_resnets.utils.format import format_value, join_first

# Names that functional merges have in a graph.
FUNCTIONAL_MERGE_NAME = re.compile(r"(^|\.)(add|concat|gate|sum|join|product)(_\d+)?$")

# A function of the module, its arguments, its keyword arguments if requested, and its output.
HookFunction = Callable[..., Any]


def get_submodule(model: nn.Module, name: str) -> nn.Module:
    """Return a module by name.

    Args:
        model: the model.
        name: name as in `named_modules`, not empty.

    Returns:
        The module.

    Raises:
        HookPointError: there is none; the message lists similar names.
    """
    try:
        # `get_submodule("")` would return the model itself.
        if name:
            return model.get_submodule(name)
    except AttributeError:
        pass
    raise _no_module(model, name)


def _no_module(model: nn.Module, name: str) -> HookPointError:
    """Describe that there is no module of a name, and list similar names."""
    hint = ""
    if FUNCTIONAL_MERGE_NAME.search(name) and not isinstance(model, fx.GraphModule):
        # The graph of a traced model shows such names, so users try them.
        hint = " (`insert_merges` turns additions and other functional merges into modules)"
    similar = join_first(_similar_names(model, name), 5)
    return HookPointError(
        f"This model has no module called {format_value(name)}; similar names are {similar}{hint}."
    )


def is_called(module: nn.Module) -> bool:
    """Return whether a module has a forward pass; a container such as nn.ModuleList has none.

    Args:
        module: any module.

    Returns:
        False for a module that only holds others.
    """
    return type(module).forward is not nn.Module.forward


def is_inside(path: str, block: str) -> bool:
    """Return whether a name is that of a module or of something inside it.

    Args:
        path: dotted name.
        block: name of the module.

    Returns:
        True if `path` is `block` or begins with it and a dot.
    """
    return path == block or path.startswith(f"{block}.")


def modules_called_twice(fx_graph: fx.Graph) -> set[str]:
    """Find the modules with nodes of their own that are called more than once.

    Args:
        fx_graph: graph of a traced model.

    Returns:
        Names of the modules; torch.fx marks their second call as `name@1`.
    """
    repeated: set[str] = set()
    for node in fx_graph.nodes:
        # Absent in graph modules that were not traced by ModuleTracer.
        stack = node.meta.get("nn_module_stack") or {}
        repeated.update(re.sub(r"@\d+", "", key) for key in map(str, stack) if "@" in key)
    return repeated


def resolve_hook_point(model: nn.Module, name: str) -> tuple[nn.Module, int | None]:
    """Find the module whose output is the output of a hook point.

    A model of `insert_merges` calls its innermost modules only: the output of a block is that of
    its last module.

    Args:
        model: the model.
        name: name of the hook point.

    Returns:
        The module, and the number of its call in a forward pass (None for every call).

    Raises:
        HookPointError: there is no such module, or no single module ends the block.
    """
    module = get_submodule(model, name)
    # Hooks of a container never run.
    if not is_called(module):
        raise _never_called(model, name)
    if not isinstance(model, fx.GraphModule):
        return module, None
    return _resolve_in_graph(model, name, module)


def _resolve_in_graph(
    model: fx.GraphModule, name: str, module: nn.Module
) -> tuple[nn.Module, int | None]:
    """Find the module of a model of `insert_merges`, which calls innermost modules only."""
    # insert_merges notes on each call which blocks end there.
    calls = [node for node in model.graph.nodes if node.op == "call_module"]
    # An innermost module that is called under this name.
    if any(node.target == name for node in calls):
        return module, None
    last = next((node for node in calls if name in node.meta.get("gives", ())), None)
    # A shared module may be called by another of its names.
    if last is None and any(model.get_submodule(str(node.target)) is module for node in calls):
        return module, None
    if last is None or not _ends_block(model, last, name):
        raise _no_single_tensor(name, calls)
    same = [node for node in calls if node.target == last.target]
    call_index = None
    # A module that is called once needs no counting of its calls.
    if len(same) > 1:
        call_index = same.index(last)
    return model.get_submodule(str(last.target)), call_index


def register_hook(
    model: nn.Module,
    name: str,
    hook: HookFunction,
    prepend: bool = False,
    with_kwargs: bool = True,
) -> Callable[[], None]:
    """Call `hook` after every forward of a hook point.

    A return value other than None replaces the output.

    Args:
        model: the model.
        name: name of the hook point.
        hook: function of the module, its arguments, keyword arguments and output.
        prepend: run before the hooks that exist.
        with_kwargs: pass the keyword arguments, which takes a little time.

    Returns:
        A function that removes the hook.

    Raises:
        HookPointError: see `resolve_hook_point`.
    """
    module, call_index = resolve_hook_point(model, name)
    # Before the hook exists, so that nothing must be removed.
    check_hooks_run(model, name)
    scoped = ScopedHook(module, hook)
    if call_index is None:
        # Without `with_kwargs` torch calls the hook with three arguments.
        handle = module.register_forward_hook(scoped, with_kwargs=with_kwargs, prepend=prepend)
        return handle.remove
    # The module is shared by several blocks, of which one is meant.
    counted = _NthCallHook(scoped, call_index)
    handles = (
        model.register_forward_pre_hook(counted.start_pass),
        module.register_forward_hook(counted, with_kwargs=with_kwargs, prepend=prepend),
    )

    def remove() -> None:
        """Remove both hooks."""
        for handle in handles:
            handle.remove()

    return remove


class _NthCallHook:
    """Hook that runs in one of the calls of each forward pass."""

    def __init__(self, hook: HookFunction, call_index: int) -> None:
        self.hook = hook
        self.call_index = call_index
        self.calls = count()

    def start_pass(self, model: nn.Module, args: tuple[Any, ...]) -> None:
        """Count calls from 0 again, as a forward pre-hook.

        Args:
            model: the model.
            args: arguments of its call.
        """
        self.calls = count()

    def __call__(self, *args: Any) -> Any:
        """Call the hook in the call that is meant."""
        if next(self.calls) != self.call_index:
            return None
        return self.hook(*args)

    def __deepcopy__(self, memo: dict[int, Any]) -> "_NthCallHook":
        # A copy of the model ignores the hook.
        return self


def _ends_block(model: fx.GraphModule, last: fx.Node, name: str) -> bool:
    """Return whether the last module of a block lies in it and the block is called once."""
    return is_inside(str(last.target), name) and name not in modules_called_twice(model.graph)


def _never_called(model: nn.Module, name: str) -> HookPointError:
    """Describe that a module is a mere container, and list the modules in it."""
    hint = ""
    inside = _called_modules_in(model, name)
    if inside:
        hint = f": choose one of {join_first(inside)}"
    return HookPointError(f"'{name}' is never called{hint}.")


def _no_single_tensor(name: str, calls: list[fx.Node]) -> HookPointError:
    """Describe that a block does not end in one module, and list its submodules."""
    inside = dict.fromkeys(str(node.target) for node in calls if is_inside(str(node.target), name))
    hint = "No module in it is called"
    if inside:
        hint = f"Use one of its submodules ({join_first(inside)})"
    return HookPointError(f"'{name}' does not return a single tensor. {hint}.")


def _similar_names(model: nn.Module, name: str) -> list[str]:
    """Return similar names, else the modules in the longest prefix of the name that exists."""
    # Shared modules have several names, and each may be meant.
    modules = {path: module for path, module in model.named_modules(remove_duplicate=False) if path}
    names = [path for path, module in modules.items() if is_called(module)]
    # Nothing is similar to an empty name.
    if name and (similar := get_close_matches(name, names, n=3, cutoff=0.6)):
        return similar
    # Go up to a module that exists.
    while name and name not in modules:
        name = name.rpartition(".")[0]
    # A module without submodules lists nothing: begin at the model.
    return _called_modules_in(model, name) or _called_modules_in(model, "")


def _called_modules_in(model: nn.Module, name: str) -> list[str]:
    """Return the modules directly in a module; of a container those that it holds."""
    found: list[str] = []
    for child, module in model.get_submodule(name).named_children():
        path = f"{name}.{child}" if name else child
        if is_called(module):
            found.append(path)
        else:
            found += _called_modules_in(model, path)
    return found
