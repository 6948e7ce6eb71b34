"""Find the output of every block, and run the rest of a model from such an output."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, fx, nn

from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import TracedModel
from lightning_resnets.utils.format import join_first


@dataclass(frozen=True, slots=True)
class BlockOutput:
    """Output of a block: a feature map of shape (C, H, W).

    Attributes:
        block: name of the block; of a stem's convolution, batch norm and ReLU the convolution.
        hook_point: module whose output is the map, for `record_activations`.
        node: graph node that computes the map.
        shape: (C, H, W).
        stage: name of the stage that holds the block.
        is_composite: True if the block consists of several operations.
    """

    block: str
    hook_point: str
    node: fx.Node
    shape: tuple[int, ...]
    stage: str
    is_composite: bool


def block_outputs(model: nn.Module, traced: TracedModel) -> tuple[BlockOutput, ...]:
    """Find the outputs of all blocks.

    Args:
        model: the model.
        traced: its traced graph.

    Returns:
        One entry per block with a feature map, in order of execution.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    # The value of a folded block (a stem's convolution, norm and ReLU) is that of its last node.
    last_nodes = {node.block: node for node in traced.graph.fold().nodes if node.block}
    found: list[BlockOutput] = []
    for block, last in last_nodes.items():
        # An operation of the model itself (a pool before the head) belongs to no module.
        if block not in modules or len(last.shape) != 3:
            continue
        is_composite = any(True for _ in modules[block].children())
        name = block if is_composite else last.hook_point
        node = traced.node_by_name.get(name)
        point = hook_point_of(model, traced, name, node) if node else ""
        if node and point:
            found.append(BlockOutput(block, point, node, last.shape, last.stage, is_composite))
    return tuple(found)


def hook_point_of(model: nn.Module, traced: TracedModel, name: str, node: fx.Node) -> str:
    """Return the module whose output is the node's value.

    Args:
        model: the model.
        traced: its traced graph.
        name: name of the block or operation.
        node: graph node that computes its output.

    Returns:
        The module's name; "" if no module outputs this value.
    """
    if not isinstance(model, fx.GraphModule):
        return name
    # A GraphModule calls only innermost modules, and a hook keeps the last of several calls.
    calls = [
        other
        for other in traced.fx_graph.nodes
        if other.op == "call_module" and other.target == node.target
    ]
    return str(node.target) if calls and calls[-1] is node else ""


def select_blocks(
    known: tuple[BlockOutput, ...], blocks: Iterable[str] | None
) -> tuple[BlockOutput, ...]:
    """Select block outputs by name.

    Args:
        known: outputs of all blocks.
        blocks: names of blocks or hook points; None selects all.

    Returns:
        The selected outputs in the order of the names.

    Raises:
        AnalysisError: the model has no block of that name.
    """
    if blocks is None:
        return known
    # A block's own name wins over an equal hook point inside another block.
    by_name = {one.hook_point: one for one in known} | {one.block: one for one in known}
    names = list(blocks)
    for name in names:
        if name not in by_name:
            available = join_first(output.block for output in known)
            raise AnalysisError(f"The model has no block named '{name}'. Use {available}.")
    return tuple(by_name[name] for name in names)


class ModelTail(fx.Interpreter):
    """Run a model from the output of one block to the end.

    Args:
        model: the model.
        traced: its traced graph.
        start: block output to start from.

    Raises:
        AnalysisError: the rest of the model also reads values from before that block.
    """

    def __init__(self, model: nn.Module, traced: TracedModel, start: BlockOutput) -> None:
        super().__init__(model, garbage_collect_values=False, graph=traced.fx_graph)
        self.start = start.node
        self.tail: list[fx.Node] = []
        self.constants: list[fx.Node] = []
        downstream = {self.start}
        constants = set[fx.Node]()  # nodes that do not depend on the image
        for node in traced.fx_graph.nodes:
            inputs = node.all_input_nodes
            # Parameters and what follows from them only: the same for every image.
            if node.op != "placeholder" and constants.issuperset(inputs):
                constants.add(node)
                self.constants.append(node)
            # Every input of the tail must come from the start or from a constant.
            elif downstream.intersection(inputs):
                if not downstream.union(constants).issuperset(inputs):
                    raise AnalysisError(_bypass_message(start.block))
                downstream.add(node)
                self.tail.append(node)

    def __call__(self, value: Tensor) -> Tensor:
        """Return the model's output (N, K) for a block output (N, C, H, W)."""
        self.env = {self.start: value}
        for node in (*self.constants, *self.tail):
            self.env[node] = self.run_node(node)
        output = self.env[self.tail[-1]]
        # Do not keep the last batch alive.
        self.env = {}
        assert isinstance(output, Tensor)
        return output


def _bypass_message(block: str) -> str:
    """Return the error message for a block that other paths bypass."""
    return (
        f"The head reads more than the output of '{block}': other paths bypass this block, as in "
        "a DenseNet. Use a model whose blocks follow one another or add up."
    )
