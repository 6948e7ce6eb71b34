"""Find which operand of each Add is its shortcut."""

from collections.abc import Mapping

from lightning_resnets.graph.data import GraphData, Node
from lightning_resnets.graph.dominators import immediate_dominators
from lightning_resnets.graph.traced_model import TracedModel
from lightning_resnets.merges import MergeKind

ShortcutOperands = Mapping[str, int]  # operand index by module name of the Add


def shortcut_operands(traced: TracedModel) -> dict[str, int]:
    """Return the shortcut operand of every Add that has one.

    It is the skip or, in a highway layer y = H(x) T(x) + x (1 - T(x)) (Srivastava et al. 2015,
    arXiv:1505.00387), the carry: the product that the fork itself is an input of.

    Args:
        traced: a traced model.

    Returns:
        The operand index by module name. An Add that is called twice with different shortcuts
        is left out.
    """
    graph = traced.graph
    skips = {skip.merge: skip.operand for skip in graph.skips if skip.kind is MergeKind.ADD}
    by_module: dict[str, set[int]] = {}
    # A skip wins where a node is in both.
    for name, operand in (_carry_operands(graph) | skips).items():
        module = str(traced.node_by_name[name].target)
        by_module.setdefault(module, set()).add(operand)
    return {name: min(operands) for name, operands in by_module.items() if len(operands) == 1}


def add_inputs(traced: TracedModel) -> dict[str, tuple[str, ...]]:
    """Return the inputs of every Add.

    Args:
        traced: a traced model.

    Returns:
        Names of the source nodes in operand order, by module name of the Add.
    """
    # Names of nodes, which messages show.
    inputs = traced.graph.all_inputs()
    adds = [node.name for node in traced.graph.merges if node.kind is MergeKind.ADD]
    return {str(traced.node_by_name[name].target): inputs[name] for name in adds}


def _carry_operands(graph: GraphData) -> dict[str, int]:
    """Return the carry of every highway layer: both operands are products, one of the fork."""
    index = {node.name: i for i, node in enumerate(graph.nodes)}
    inputs = graph.all_inputs()
    sources = [[index[source] for source in inputs[node.name]] for node in graph.nodes]
    forks = immediate_dominators(sources)
    products = {node.name for node in graph.nodes if _is_product(node)}
    found: dict[str, int] = {}
    for node in graph.merges:
        operands = inputs[node.name]
        if node.kind is not MergeKind.ADD or not products.issuperset(operands):
            continue
        fork_index = forks[index[node.name]]
        # Paths from two inputs of the model never forked.
        if fork_index < 0:
            continue
        fork = graph.nodes[fork_index].name
        # The carry multiplies the fork itself, H(x) a function of it.
        carried = [i for i, operand in enumerate(operands) if fork in inputs[operand]]
        if len(carried) == 1:
            found[node.name] = carried[0]
    return found


def _is_product(node: Node) -> bool:
    """Return True for a Gate and for a product of functions."""
    return node.kind is MergeKind.GATE or node.op == "product"
