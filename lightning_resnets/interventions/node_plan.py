"""Interventions by the nodes of a traced model that they change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import fx

from lightning_resnets.interventions.bypass import node_is_inside
from lightning_resnets.interventions.edits import (
    Intervention,
    MergeEdit,
    OutputEdit,
    SwapBlocks,
)
from lightning_resnets.interventions.hook_points import is_inside


@dataclass(frozen=True, slots=True)
class NodePlan:
    """Interventions by the nodes that they change.

    Attributes:
        merges: edits of the operands of merges.
        outputs: edits of outputs.
        bypass_inputs: the input of every bypassed block.
        swaps: blocks that are exchanged.
        by_node: all interventions that affect a node.
    """

    # All fields have defaults: the empty plan is the unchanged model.
    merges: Mapping[fx.Node, tuple[MergeEdit, ...]] = field(
        default_factory=dict[fx.Node, tuple[MergeEdit, ...]]
    )
    outputs: Mapping[fx.Node, tuple[OutputEdit, ...]] = field(
        default_factory=dict[fx.Node, tuple[OutputEdit, ...]]
    )
    bypass_inputs: Mapping[str, fx.Node] = field(default_factory=dict[str, fx.Node])
    swaps: tuple[SwapBlocks, ...] = ()
    by_node: Mapping[fx.Node, tuple[Intervention, ...]] = field(
        default_factory=dict[fx.Node, tuple[Intervention, ...]]
    )


def swaps_of_node(node: fx.Node, swaps: tuple[SwapBlocks, ...]) -> tuple[SwapBlocks, ...]:
    """Return the swaps that decide whose weights a node uses, also by way of other swaps.

    Args:
        node: node of a traced model.
        swaps: all swaps in their order.

    Returns:
        Those that affect the node, in the same order.
    """
    reached = [
        swap
        for swap in swaps
        if node_is_inside(node, swap.first) or node_is_inside(node, swap.second)
    ]
    # A block that came here may have been swapped before.
    while more := [swap for swap in swaps if swap not in reached and _touches_any(swap, reached)]:
        reached += more
    # `reached` is in the order of discovery, but swaps do not commute.
    return tuple(swap for swap in swaps if swap in reached)


def _touches_any(swap: SwapBlocks, others: Iterable[SwapBlocks]) -> bool:
    """Return whether a block of a swap contains, or lies in, a block of one of the others."""
    for other in others:
        for name in (other.first, other.second):
            # Blocks of different depth meet where one contains the other.
            if any(is_inside(name, b) or is_inside(b, name) for b in (swap.first, swap.second)):
                return True
    return False
