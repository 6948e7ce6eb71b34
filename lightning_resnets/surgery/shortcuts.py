"""Which operand of an Add is the shortcut, and which the branch: read off the net's graph."""

from collections.abc import Mapping

from lightning_resnets.blocks import BlockGraph
from lightning_resnets.graph import Followed
from lightning_resnets.graph.skips import dominators
from lightning_resnets.merge import Kind

Shortcuts = Mapping[str, int]  # by Add, the number of the operand


def shortcuts_of(followed: Followed) -> dict[str, int]:
    """The shortcut of every Add that has one: its skip, or in a highway layer the carry.

    Such a layer, y = H(x) T(x) + x (1 - T(x)) (Srivastava et al. 2015, arXiv:1505.00387), has a weight on both sides;
    the carry is the product that the fork itself goes into, where only one of the two is.
    """
    graph = followed.blocks
    found = {skip.merge: skip.operand for skip in graph.skips if skip.kind is Kind.ADD}
    named: dict[str, set[int]] = {}
    for name, operand in (_carries(graph) | found).items():
        named.setdefault(str(followed.named[name].target), set()).add(operand)
    return {name: min(operands) for name, operands in named.items() if len(operands) == 1}


def met_of(followed: Followed) -> dict[str, tuple[str, ...]]:
    """Who gives what meets at every Add, in the order of its operands."""
    given = _given(followed.blocks)
    adds = [block.name for block in followed.blocks.merges if block.kind is Kind.ADD]
    return {str(followed.named[name].target): given[name] for name in adds}


def _carries(graph: BlockGraph) -> dict[str, int]:
    index, given = {block.name: i for i, block in enumerate(graph.blocks)}, _given(graph)
    forks = dominators([[index[source] for source in given[block.name]] for block in graph.blocks])
    products = {block.name for block in graph.blocks if block.kind is Kind.GATE or block.op == "product"}
    found: dict[str, int] = {}
    for block in graph.merges:
        fork, sides = graph.blocks[forks[index[block.name]]].name, given[block.name]
        carried = [i for i, side in enumerate(sides) if side in products and fork in given[side]]
        if block.kind is Kind.ADD and products.issuperset(sides) and len(carried) == 1:
            found[block.name] = carried[0]
    return found


def _given(graph: BlockGraph) -> dict[str, tuple[str, ...]]:
    given: dict[str, list[tuple[int, str]]] = {block.name: [] for block in graph.blocks}
    for source, target, operand in graph.flow:
        given[target].append((operand, source))
    return {name: tuple(source for _, source in sorted(found)) for name, found in given.items()}
