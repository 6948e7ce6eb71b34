"""Where the blocks of a model end, and the model behind such a place: what several analyzes look at, or start from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import TracedModel
from lightning_resnets.interventions.hook_points import join_first


@dataclass(frozen=True, slots=True)
class BlockOutput:
    """The end of a block: a module, `point`, whose output is a map of `shape` (C, H, W), for `probe`.

    `block` names it (of a stem's convolution, batch norm and ReLU the convolution), `step` is what computes the map,
    `whole` says that it is a block of several operations, `stage` where it belongs.
    """

    block: str
    hook_point: str
    node: fx.Node
    shape: tuple[int, ...]
    stage: str
    is_composite: bool


def block_outputs(model: nn.Module, followed: TracedModel) -> tuple[BlockOutput, ...]:
    """Every block of the model that gives a map, in order of execution."""
    last = {block.block: block for block in followed.graph.fold().nodes if block.block}
    modules = dict(model.named_modules(remove_duplicate=False))
    found: list[BlockOutput] = []
    for cell, block in last.items():
        if cell not in modules:
            continue  # an operation of the model itself (a pool in front of the head) belongs to no module
        whole = bool(list(modules[cell].children()))
        step = followed.node_by_name.get(cell if whole else block.hook_point)
        point = (
            hook_point_of(model, followed, cell if whole else block.hook_point, step)
            if step
            else ""
        )
        if step and point and len(block.shape) == 3:
            found.append(BlockOutput(cell, point, step, block.shape, block.stage, whole))
    return tuple(found)


def hook_point_of(model: nn.Module, followed: TracedModel, name: str, step: fx.Node) -> str:
    """The module whose last output is what the step gives; a revealed model calls its innermost modules alone."""
    if not isinstance(model, fx.GraphModule):
        return name
    calls = [
        node
        for node in followed.fx_graph.nodes
        if node.op == "call_module" and node.target == step.target
    ]
    return str(step.target) if calls and calls[-1] is step else ""


def select_blocks(
    known: tuple[BlockOutput, ...], blocks: Iterable[str] | None
) -> tuple[BlockOutput, ...]:
    """The places of the blocks named, all where none is; raises AnalysisError for a name that is no block."""
    if blocks is None:
        return known
    by_name = {place.hook_point: place for place in known} | {place.block: place for place in known}
    wrong = [name for name in blocks if name not in by_name]
    if wrong:
        raise AnalysisError(
            f"This model has no block called '{wrong[0]}': its blocks are {join_first(place.block for place in known)}."
        )
    return tuple(by_name[name] for name in blocks)


class ModelTail(fx.Interpreter):
    """The model behind a place, which must be all that the rest of the model sees of the image.

    Raises AnalysisError where another path leads round the place.
    """

    def __init__(self, model: nn.Module, followed: TracedModel, place: BlockOutput) -> None:
        super().__init__(model, garbage_collect_values=False, graph=followed.fx_graph)
        self.start = place.node
        self.steps: list[fx.Node] = []
        behind, fixed = (
            {self.start},
            set[fx.Node](),
        )  # what depends on the place, what on no image at all
        for node in followed.fx_graph.nodes:
            given = node.all_input_nodes
            if node.op != "placeholder" and fixed.issuperset(given):
                fixed.add(node)
            elif behind.intersection(given):
                if not behind.union(fixed).issuperset(given):
                    raise AnalysisError(
                        f"'{place.block}' is not all that the head of this model sees: other maps go round it, as every "
                        "layer's does in a DenseNet; take a model whose blocks add or follow one another."
                    )
                behind.add(node)
                self.steps.append(node)
        self.constants = [node for node in followed.fx_graph.nodes if node in fixed]

    def __call__(self, value: Tensor) -> Tensor:
        """The model's output (N, K) if the place had given `value` (N, C, H, W)."""
        self.env = {self.start: value}
        for node in (*self.constants, *self.steps):
            self.env[node] = self.run_node(node)
        output = self.env[self.steps[-1]]
        self.env = {}
        assert isinstance(output, Tensor)
        return output


def evenly_spaced(names: Sequence[str], most: int) -> list[str]:
    """At most so many of the names, evenly from first to last."""
    if len(names) <= most:
        return list(names)
    return [names[round(i * (len(names) - 1) / (most - 1))] for i in range(most)]


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights lie; the CPU for a model without any."""
    weight = next(model.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device
