"""What of a net can be dropped, and which neighbours can change places: found in its graph."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from lightning_resnets.analysis.result import AnalysisError
from lightning_resnets.analysis.walk import Change, Env, within
from lightning_resnets.blocks import BlockGraph, Skip
from lightning_resnets.graph import Followed, values_of
from lightning_resnets.merge import Kind
from lightning_resnets.surgery import Scale, altered

Size = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A block that can be dropped by changing what one step gives; `source` is a value that the change reads."""

    name: str
    node: fx.Node
    change: Change
    source: fx.Node | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Swap:
    """Two neighbours: from step `first` on each does with the other's weights."""

    names: tuple[str, str]
    first: fx.Node
    moved: dict[str, str]


def targets(net: nn.Module, followed: Followed, size: Size) -> tuple[Target, ...]:
    """The residual blocks of a net; where it has none, what it concatenates; else what keeps its input's shape."""
    found = _branches(net, followed) or _parts(followed) or _plain(net, followed, size)
    if not found:
        raise AnalysisError(
            "This net has no block to drop: no residual block, no dense layer, and none whose input has its output's "
            "shape."
        )
    return found


def residual(graph: BlockGraph) -> dict[str, Skip]:
    """The skips that end in an Add, by the block that owns it, or by the Add's name where a block owns several."""
    skips = [skip for skip in graph.skips if skip.kind is Kind.ADD]
    owners = Counter(skip.merge.rpartition(".")[0] for skip in skips)
    names = [(skip.merge.rpartition(".")[0], skip) for skip in skips]
    return {name if name and owners[name] == 1 else skip.merge: skip for name, skip in names}


def made(graph: BlockGraph) -> dict[str, str]:
    """The layers whose output is concatenated with what they were made of: by cell, the block that is the part."""
    parts = dict.fromkeys(graph.operands(skip.merge)[-1] for skip in graph.skips if skip.kind is Kind.CONCAT)
    kept = [name for name in parts if not graph.block(name).kind]
    cells = Counter(graph.block(name).cell for name in kept)
    return {cell if (cell := graph.block(name).cell) and cells[cell] == 1 else name: name for name in kept}


def _branches(net: nn.Module, followed: Followed) -> tuple[Target, ...]:
    found: list[Target] = []
    for name, skip in residual(followed.blocks).items():
        cut = Scale(skip.merge, 1 - skip.operand, 0.0)
        found.append(Target(name, followed.named[skip.merge], _cut(net, followed.named[skip.merge], cut)))
    return tuple(found)


def _cut(net: nn.Module, node: fx.Node, cut: Scale) -> Change:
    merge = net.get_submodule(str(node.target))
    given = (*node.args, *node.kwargs.values())

    def change(env: Env, compute: Callable[[], Any]) -> Tensor:
        return merge(*altered([env[one] for one in given if isinstance(one, fx.Node)], [cut]))

    return change


def _parts(followed: Followed) -> tuple[Target, ...]:
    return tuple(Target(name, followed.named[block], _nothing) for name, block in made(followed.blocks).items())


def _nothing(env: Env, compute: Callable[[], Any]) -> Tensor:
    return torch.zeros_like(compute())


def _plain(net: nn.Module, followed: Followed, size: Size) -> tuple[Target, ...]:
    values, found = values_of(net, followed.steps, size), list[Target]()
    for cell in dict.fromkeys(block.cell for block in followed.blocks.blocks if block.macs and len(block.shape) == 3):
        end, given = followed.named.get(cell), entrances(followed, cell)
        if end is not None and len(given) == 1 and _shape(values[given[0]]) == _shape(values[end]):
            found.append(Target(cell, end, _passed(given[0]), given[0]))
    return tuple(found)


def _passed(source: fx.Node) -> Change:
    return lambda env, compute: env[source]


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def entrances(followed: Followed, block: str) -> list[fx.Node]:
    """The values from outside that the steps of a block read."""
    inner = [node for node in followed.steps.nodes if within(node, block)]
    return list(dict.fromkeys(one for node in inner for one in node.all_input_nodes if not within(one, block)))


def neighbours(net: nn.Module, followed: Followed, found: Sequence[Target], size: Size) -> tuple[Swap, ...]:
    """Blocks behind one another that do the same steps on the same shapes."""
    known, forms = dict(net.named_modules()), dict[str, list[object]]()
    values = values_of(net, followed.steps, size)
    for name in (target.name for target in found if target.name in known):
        forms[name] = _form(net, followed, name, values)
    swaps: list[Swap] = []
    for one, other in zip(forms, list(forms)[1:], strict=False):
        if forms[one] == forms[other]:
            first = next(node for node in followed.steps.nodes if within(node, one))
            swaps.append(Swap((one, other), first, {one: other, other: one}))
    return tuple(swaps)


def _form(net: nn.Module, followed: Followed, block: str, values: dict[fx.Node, Any]) -> list[object]:
    steps = [node for node in followed.steps.nodes if within(node, block)]
    form: list[object] = [tuple(weight.shape) for weight in net.get_submodule(block).parameters()]
    form += [_shape(values[node]) for node in entrances(followed, block)]
    return [*form, *((node.op, str(node.target).removeprefix(block), _shape(values[node])) for node in steps)]
