"""Recording what a net computes at named points, by hooks that are gone when the `with` block ends."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from lightning_resnets.merge import Merge
from lightning_resnets.points import Act, hook
from lightning_resnets.points import PointError as PointError
from lightning_resnets.points import submodule as submodule


@dataclass(frozen=True, slots=True)
class Recording:
    """What the last forward pass gave: every point's output, and for merges what met there (after any surgery)."""

    outputs: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    operands: dict[str, tuple[Tensor, ...]] = field(default_factory=dict[str, tuple[Tensor, ...]])

    def clear(self, *_: object) -> None:
        """Forget: a pass that begins finds the memory of the one before, still warm."""
        self.outputs.clear()
        self.operands.clear()


@contextmanager
def probe(model: nn.Module, points: Iterable[str]) -> Iterator[Recording]:
    """Record the outputs of the modules called `points` in every forward pass inside the `with` block.

    The tensors are those of the net itself, with their graph and on their device; of a foreign net with modules that
    work in place they are copies, for a later step would write over them. A module that is called twice in one pass
    keeps its last output; a new pass begins with an empty recording. Raises PointError for a name that is no module of
    the net, and for a block of a revealed net that no single module ends.
    """
    recording = Recording()
    copies = any(vars(module).get("inplace") is True for module in model.modules())
    with ExitStack() as stack:
        stack.callback(model.register_forward_pre_hook(recording.clear).remove)
        for point in dict.fromkeys(points):
            merge = isinstance(submodule(model, point), Merge)
            act = (_meet if merge else _keep)(point, recording, copies)
            stack.callback(hook(model, point, act, named=merge))
        yield recording


def operands(merge: Merge, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """What a merge was given, in the order of its operands, however the call named them."""
    return (*args, *(kwargs[name] for name in merge.operands if name in kwargs))


def _keep(point: str, recording: Recording, copies: bool) -> Act:
    """A hook that does next to nothing: it runs in every pass."""
    outputs = recording.outputs

    def keep(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor):
            outputs[point] = output.clone() if copies else output

    return keep


def _meet(point: str, recording: Recording, copies: bool) -> Act:
    outputs, met = recording.outputs, recording.operands

    def keep(module: Merge, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
        outputs[point] = output.clone() if copies else output
        given = operands(module, args, kwargs) if kwargs else args
        met[point] = tuple(one.clone() for one in given) if copies else given

    return keep
