"""Where the blocks of a net end, and the net behind such a place: what several analyses look at, or start from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from lightning_resnets.analysis.result import AnalysisError
from lightning_resnets.graph import Followed
from lightning_resnets.points import some


@dataclass(frozen=True, slots=True)
class Place:
    """The end of a block: a module, `point`, whose output is a map of `shape` (C, H, W), for `probe`.

    `block` names it (of a stem's convolution, batch norm and ReLU the convolution), `step` is what computes the map,
    `whole` says that it is a block of several operations, `stage` where it belongs.
    """

    block: str
    point: str
    step: fx.Node
    shape: tuple[int, ...]
    stage: str
    whole: bool


def places(net: nn.Module, followed: Followed) -> tuple[Place, ...]:
    """Every block of the net that gives a map, in order of execution."""
    last = {block.cell: block for block in followed.blocks.fold().blocks if block.cell}
    modules = dict(net.named_modules(remove_duplicate=False))
    found: list[Place] = []
    for cell, block in last.items():
        if cell not in modules:
            continue  # an operation of the net itself (a pool in front of the head) belongs to no module
        whole = bool(list(modules[cell].children()))
        step = followed.named.get(cell if whole else block.output)
        point = point_of(net, followed, cell if whole else block.output, step) if step else ""
        if step and point and len(block.shape) == 3:
            found.append(Place(cell, point, step, block.shape, block.stage, whole))
    return tuple(found)


def point_of(net: nn.Module, followed: Followed, name: str, step: fx.Node) -> str:
    """The module whose last output is what the step gives; a revealed net calls its innermost modules alone."""
    if not isinstance(net, fx.GraphModule):
        return name
    calls = [node for node in followed.steps.nodes if node.op == "call_module" and node.target == step.target]
    return str(step.target) if calls and calls[-1] is step else ""


def chosen(known: tuple[Place, ...], blocks: Iterable[str] | None) -> tuple[Place, ...]:
    """The places of the blocks named, all where none is; raises AnalysisError for a name that is no block."""
    if blocks is None:
        return known
    by_name = {place.point: place for place in known} | {place.block: place for place in known}
    wrong = [name for name in blocks if name not in by_name]
    if wrong:
        raise AnalysisError(
            f"This net has no block called '{wrong[0]}': its blocks are {some(place.block for place in known)}."
        )
    return tuple(by_name[name] for name in blocks)


class Tail(fx.Interpreter):
    """The net behind a place, which must be all that the rest of the net sees of the picture.

    Raises AnalysisError where another path leads round the place.
    """

    def __init__(self, net: nn.Module, followed: Followed, place: Place) -> None:
        super().__init__(net, garbage_collect_values=False, graph=followed.steps)
        self.start = place.step
        self.steps: list[fx.Node] = []
        behind, fixed = {self.start}, set[fx.Node]()  # what depends on the place, what on no picture at all
        for node in followed.steps.nodes:
            given = node.all_input_nodes
            if node.op != "placeholder" and fixed.issuperset(given):
                fixed.add(node)
            elif behind.intersection(given):
                if not behind.union(fixed).issuperset(given):
                    raise AnalysisError(
                        f"'{place.block}' is not all that the head of this net sees: other maps go round it, as every "
                        "layer's does in a DenseNet; take a net whose blocks add or follow one another."
                    )
                behind.add(node)
                self.steps.append(node)
        self.constants = [node for node in followed.steps.nodes if node in fixed]

    def __call__(self, value: Tensor) -> Tensor:
        """The net's output (N, K) if the place had given `value` (N, C, H, W)."""
        self.env = {self.start: value}
        for node in (*self.constants, *self.steps):
            self.env[node] = self.run_node(node)
        output = self.env[self.steps[-1]]
        self.env = {}
        assert isinstance(output, Tensor)
        return output


def spread(names: Sequence[str], most: int) -> list[str]:
    """At most so many of the names, evenly from first to last."""
    if len(names) <= most:
        return list(names)
    return [names[round(i * (len(names) - 1) / (most - 1))] for i in range(most)]


def device_of(net: nn.Module) -> torch.device:
    """Where the net's weights lie; the CPU for a net without any."""
    weight = next(net.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device
