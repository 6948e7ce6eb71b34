"""Keep the hooks of a `with` block to its model and its thread.

Hooks would otherwise act on copies of the model for good, and on passes of other threads.
"""

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import torch
from torch import nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.graph.wrappers import is_compiled

# Messages that are raised in several functions.
OTHER_THREAD = (
    "This model is being recorded or edited by another thread: run it in that thread, wait until "
    "its `with` block has ended, or use one copy of the model per thread."
)
PARALLEL_COPY = (
    "DataParallel runs copies of this model on several devices, which cannot be recorded or "
    "edited: run the model inside, model.module, on one device."
)


class ScopedHook:
    """Hook that acts on one module in one thread.

    A copy of the module carries the hook too, where it does nothing.

    Args:
        module: module that it is registered on.
        function: hook function.
    """

    __slots__ = ("function", "module", "thread")

    def __init__(self, module: nn.Module, function: Callable[..., Any]) -> None:
        # Weak: the module holds its hooks, so this would be a cycle.
        self.module = weakref.ref(module)
        self.function = function
        self.thread = threading.get_ident()

    def __call__(self, module: nn.Module, *args: Any) -> Any:
        """Call the function, unless the module is a copy."""
        if module is not self.module():
            # Set by DataParallel; silence would give a recording without values.
            if vars(module).get("_is_replica"):
                raise InterventionError(PARALLEL_COPY)
            return None
        check_thread(self.thread)
        return self.function(module, *args)

    def __deepcopy__(self, memo: dict[int, Any]) -> "ScopedHook":
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise InterventionError(
            "A model cannot be pickled while it is recorded or edited: leave the `with` block "
            "first."
        )


def check_thread(owner: int) -> None:
    """Check that the running thread is the one that began a `with` block.

    Args:
        owner: identifier of that thread.

    Raises:
        InterventionError: it is another.
    """
    if threading.get_ident() == owner:
        return
    # Autograd recomputes checkpointed layers in threads of its own.
    if torch._C._current_graph_task_id() != -1:  # noqa: SLF001 - torch has no public name for it
        return
    raise InterventionError(OTHER_THREAD)


@dataclass(slots=True)
class _Owner:
    """The thread that records or edits a model, and the number of its `with` blocks."""

    thread: int
    depth: int = 0


# Outside of the model: a copy of it has no owner.
_owners: WeakKeyDictionary[nn.Module, _Owner] = WeakKeyDictionary()
_owners_lock = threading.Lock()


@contextmanager
def exclusive(model: nn.Module) -> Iterator[None]:
    """Keep other threads from recording or editing a model inside the `with` block.

    Args:
        model: the model.

    Yields:
        Nothing.

    Raises:
        InterventionError: another thread is inside such a block.
    """
    with _owners_lock:
        # Blocks of one thread may be nested, so they are counted.
        owner = _owners.setdefault(model, _Owner(threading.get_ident()))
        if owner.thread != threading.get_ident():
            raise InterventionError(OTHER_THREAD)
        owner.depth += 1
    try:
        yield
    finally:
        with _owners_lock:
            owner.depth -= 1
            if owner.depth == 0:
                del _owners[model]


def check_hooks_run(model: nn.Module, name: str) -> None:
    """Check that hooks on a module will run.

    Args:
        model: the model.
        name: name of the module.

    Raises:
        InterventionError: compiled code or copies on several devices run instead.
    """
    module = model
    around = [model]
    for part in name.split("."):
        # A compiled wrapper around any outer module bypasses the hooks inside.
        module = getattr(module, part, module)
        if isinstance(module, nn.Module):
            around.append(module)
    for outer in around:
        if is_compiled(outer):
            raise InterventionError(
                f"'{name}' is part of a compiled model, whose code ignores hooks: record and edit "
                "the model that was compiled (model._orig_mod), and run that."
            )
        if isinstance(outer, nn.DataParallel) and len(outer.device_ids or ()) > 1:
            raise InterventionError(PARALLEL_COPY)


class SwapGuard:
    """Hook of swapped modules: it refuses copies, state dicts and passes of other threads."""

    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = threading.get_ident()

    def check_pass(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Refuse a forward pass of another thread, as a forward pre-hook.

        Args:
            module: the module.
            args: arguments of its call.

        Raises:
            InterventionError: the thread is another.
        """
        check_thread(self.thread)

    def refuse_state_dict(self, *args: Any) -> NoReturn:
        """Refuse to read or load a state dict, as a hook of either.

        Args:
            args: arguments of the hook.

        Raises:
            InterventionError: always.
        """
        raise InterventionError(
            "Weights are in each other's place inside a `with` block of SwapBlocks: leave it "
            "before you save, load or copy the model."
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        self.refuse_state_dict()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        self.refuse_state_dict()


@contextmanager
def guarded(modules: list[nn.Module]) -> Iterator[None]:
    """Guard modules whose weights are in each other's place inside the `with` block.

    Args:
        modules: the modules.

    Yields:
        Nothing.
    """
    guard = SwapGuard()
    # Filled inside `try`: if a registration fails, the earlier ones are removed.
    handles: list[Any] = []
    try:
        for module in modules:
            handles.append(module.register_forward_pre_hook(guard.check_pass))
            # Saved now, weights would be under the other block's names.
            handles.append(module.register_state_dict_pre_hook(guard.refuse_state_dict))
            handles.append(module.register_load_state_dict_pre_hook(guard.refuse_state_dict))
        yield
    finally:
        for handle in handles:
            handle.remove()
