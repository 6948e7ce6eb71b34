"""Recording what a net computes at named points, by hooks that are gone when the `with` block ends."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn

from lightning_resnets.merge import Merge


class PointError(ValueError):
    """A point that the net does not have; its text is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What the last forward pass gave: every point's output, and for merges what met there (after any surgery)."""

    outputs: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    operands: dict[str, tuple[Tensor, ...]] = field(default_factory=dict[str, tuple[Tensor, ...]])


@contextmanager
def probe(model: nn.Module, points: Iterable[str]) -> Iterator[Recording]:
    """Record the outputs of the modules called `points` in every forward pass inside the `with` block.

    The tensors are those of the net itself, with their graph and on their device. A module that is called twice in one
    pass keeps its last output. Raises PointError for a name that is no module of the net.
    """
    recording = Recording()
    with ExitStack() as stack:
        for point in dict.fromkeys(points):
            module = submodule(model, point)
            stack.enter_context(_hooked(module, point, recording))
        yield recording


def submodule(model: nn.Module, name: str) -> nn.Module:
    """The module of that name; raises PointError with the nearest names where there is none."""
    modules = dict(model.named_modules(remove_duplicate=False))
    if name and name in modules:
        return modules[name]
    near = get_close_matches(name, modules, n=3, cutoff=0.6)
    raise PointError(
        f"This net has no part called '{name}'"
        + (f"; near it are {', '.join(near)}." if near else "; trace it to see all.")
    )


def operands(merge: Merge, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """What a merge was given, in the order of its operands, however the call named them."""
    return (*args, *(kwargs[name] for name in merge.operands if name in kwargs))


@contextmanager
def _hooked(module: nn.Module, point: str, recording: Recording) -> Iterator[None]:
    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if isinstance(output, Tensor):
            recording.outputs[point] = output
        if isinstance(module, Merge):
            recording.operands[point] = operands(module, args, kwargs)

    handle = module.register_forward_hook(keep, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
