"""Find the blocks of a model that can be dropped and the neighbors that can be swapped."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from torch import Tensor, fx, nn

from lightning_resnets.errors import AnalysisError, HookPointError, InterventionError
from lightning_resnets.graph import TracedModel
from lightning_resnets.graph.data import SkipConnection
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.graph.trace import propagate_shapes
from lightning_resnets.interventions.bypass import node_is_inside
from lightning_resnets.interventions.edits import (
    BypassBlock,
    Intervention,
    KeepChannels,
    ScaleInput,
    SwapBlocks,
)
from lightning_resnets.interventions.executor import block_inputs
from lightning_resnets.interventions.partial_executor import PartialExecutor
from lightning_resnets.interventions.swap_blocks import check_swap
from lightning_resnets.merges import MergeKind

InputSize = tuple[int, int, int]

DENSE_LAYER_REASON = (
    "Not dropped: this model has residual blocks, and those are dropped instead of dense layers."
)


def ablation_targets(
    model: nn.Module, traced: TracedModel, input_size: InputSize
) -> dict[str, Intervention]:
    """Find the interventions that drop each block: residual, else dense, else plain blocks.

    Args:
        model: the model.
        traced: its traced graph.
        input_size: shape (C, H, W) of one image.

    Returns:
        Interventions by block name.

    Raises:
        AnalysisError: the model has no block to drop.
    """
    # The most specific way to drop a block that the model allows.
    targets = _residual_targets(traced) or _dense_targets(traced)
    targets = targets or _plain_targets(model, traced, input_size)
    if not targets:
        raise AnalysisError(
            "The model has no block to drop: no residual block, no dense layer, and no block whose "
            "output has the shape of its input."
        )
    return targets


def supported_targets(
    model: nn.Module, traced: TracedModel, targets: dict[str, Intervention]
) -> tuple[dict[str, Intervention], dict[str, str]]:
    """Select the interventions that the model allows.

    Args:
        model: the model.
        traced: its traced graph.
        targets: interventions by block name.

    Returns:
        The allowed interventions, and by block name the reason why a block is not dropped.

    Raises:
        AnalysisError: no block can be dropped.
    """
    executor = PartialExecutor(model, traced)
    reasons = {name: _rejection(executor, one) for name, one in targets.items()}
    skipped = {name: reason for name, reason in reasons.items() if reason is not None}
    supported = {name: one for name, one in targets.items() if name not in skipped}
    if not supported:
        raise AnalysisError(f"No block of the model can be dropped: {next(iter(skipped.values()))}")
    return supported, skipped | _undropped_dense_layers(traced.graph, targets)


def _undropped_dense_layers(graph: ModelGraph, targets: dict[str, Intervention]) -> dict[str, str]:
    """Return the reason for each dense layer of a model that has residual blocks too."""
    if not residual_blocks(graph):
        return {}
    layers = [name for name in dense_layers(graph) if name not in targets]
    return dict.fromkeys(layers, DENSE_LAYER_REASON)


def _rejection(executor: PartialExecutor, intervention: Intervention) -> str | None:
    """Return the reason why the model does not allow an intervention, None if it does."""
    try:
        executor.plan((intervention,))
    except (InterventionError, HookPointError) as error:
        return str(error)
    return None


def residual_blocks(graph: ModelGraph) -> dict[str, SkipConnection]:
    """Find the skip connections that end in an Add.

    Args:
        graph: the model's graph.

    Returns:
        Skip connections by the name of the block that owns the Add; by the Add's own name where a
        block owns several.
    """
    skips = [skip for skip in graph.skips if skip.kind is MergeKind.ADD]
    # One block may own several Adds, as in a stage written as one module.
    owners = Counter(_owner(skip.merge) for skip in skips)
    return {
        owner if (owner := _owner(skip.merge)) and owners[owner] == 1 else skip.merge: skip
        for skip in skips
    }


def _owner(merge: str) -> str:
    """Return the name of the module that owns a merge: `layer1.0` of `layer1.0.add`."""
    return merge.rpartition(".")[0]


def dense_layers(graph: ModelGraph) -> dict[str, str]:
    """Find the layers whose output is concatenated with their input.

    Args:
        graph: the model's graph.

    Returns:
        Names of the concatenated nodes by the name of their block; by the node's own name where a
        block has several.
    """
    # Operands that are skips repeat what came before; the others are new layers.
    skips = {(skip.merge, skip.operand) for skip in graph.skips if skip.kind is MergeKind.CONCAT}
    merges = {merge for merge, _ in skips}
    sources = [
        source
        for source, merge, operand in graph.edges
        if merge in merges and (merge, operand) not in skips
    ]
    nodes = {name: graph.node(name) for name in dict.fromkeys(sources)}
    # A concatenation of concatenations adds no layer of its own.
    layers = {name: node.block for name, node in nodes.items() if not node.kind}
    counts = Counter(layers.values())
    return {block if block and counts[block] == 1 else name: name for name, block in layers.items()}


def _residual_targets(traced: TracedModel) -> dict[str, Intervention]:
    """Return interventions that cut the branch of each residual block."""
    # An Add has two operands: the other one of the shortcut is the branch.
    return {
        name: ScaleInput(skip.merge, 1 - skip.operand, 0.0)
        for name, skip in residual_blocks(traced.graph).items()
    }


def _dense_targets(traced: TracedModel) -> dict[str, Intervention]:
    """Return interventions that zero all output channels of each dense layer."""
    # Zeroed channels stay in place, so later layers read zeros instead of other channels.
    return {name: KeepChannels(node, ()) for name, node in dense_layers(traced.graph).items()}


def _plain_targets(
    model: nn.Module, traced: TracedModel, input_size: InputSize
) -> dict[str, Intervention]:
    """Return interventions that bypass each block whose input and output have one shape."""
    values = propagate_shapes(model, traced.fx_graph, input_size)
    blocks = dict.fromkeys(
        node.block for node in traced.graph.nodes if node.macs and len(node.shape) == 3
    )
    targets: dict[str, Intervention] = {}
    for block in blocks:
        # The block must be one module with one input, so that it can be bypassed.
        end = traced.node_by_name.get(block)
        inputs = block_inputs(traced, block)
        if end is None or len(inputs) != 1 or not node_is_inside(end, block):
            continue
        if _shape(values[inputs[0]]) == _shape(values[end]):
            targets[block] = BypassBlock(block)
    return targets


def _shape(value: Any) -> tuple[int, ...]:
    """Return the shape of a tensor, () for another value."""
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def swappable_neighbors(
    model: nn.Module, traced: TracedModel, names: Iterable[str], input_size: InputSize
) -> tuple[SwapBlocks, ...]:
    """Find consecutive blocks that run the same operations on the same shapes.

    Args:
        model: the model.
        traced: its traced graph.
        names: names of blocks in order of execution.
        input_size: shape (C, H, W) of one image.

    Returns:
        One swap per pair of interchangeable neighbors.
    """
    modules = dict(model.named_modules())
    values = propagate_shapes(model, traced.fx_graph, input_size)
    # Blocks by their operations: equal signatures can run in each other's place.
    known = [name for name in names if name in modules]
    signatures = {name: _signature(model, traced, name, values) for name in known}
    swaps: list[SwapBlocks] = []
    for first, second in pairwise(known):
        swap = SwapBlocks(first, second)
        if signatures[first] == signatures[second] and _is_allowed(model, swap):
            swaps.append(swap)
    return tuple(swaps)


def _is_allowed(model: nn.Module, swap: SwapBlocks) -> bool:
    """Return True if the model allows the swap."""
    try:
        # The intervention itself knows more rules than shapes, such as shared modules.
        check_swap(model, swap)
    except InterventionError:
        return False
    return True


def _signature(
    model: nn.Module, traced: TracedModel, block: str, values: dict[fx.Node, Any]
) -> list[object]:
    """Return the shapes of weights and inputs and the operations of a block, for comparison."""
    signature: list[object] = [
        tuple(weight.shape) for weight in model.get_submodule(block).parameters()
    ]
    signature += [_shape(values[node]) for node in block_inputs(traced, block)]
    for node in traced.fx_graph.nodes:
        if node_is_inside(node, block):
            # Names inside the block, without the block's own name.
            target = str(node.target).removeprefix(block)
            signature.append((node.op, target, _shape(values[node])))
    return signature
