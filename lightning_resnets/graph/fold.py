"""Fold a graph for drawing: operations to blocks, blocks to stages; merges stay nodes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby, takewhile
from typing import TypeVar

from lightning_resnets.graph.data import Edge, GraphData, Node, SkipConnection

G = TypeVar("G", bound=GraphData)

# Operations that join the convolution or pool before them outside of all blocks (the stem).
FUSABLE_OPS = {
    "batch norm",
    "layer norm",
    "group norm",
    "relu",
    "relu6",
    "leaky relu",
    "elu",
    "gelu",
    "silu",
    "mish",
    "hardswish",
    "dropout",
    "flatten",
}


def fold_blocks(graph: G) -> G:
    """Fold each unbranched chain of operations inside one block into a node.

    Args:
        graph: an unfolded graph.

    Returns:
        The folded graph; see `ModelGraph.fold`.
    """
    return _contract(graph, _name_chains(_find_chains(graph)))


def fold_stages(graph: G) -> G:
    """Fold each run of nodes of one stage into a node; its merges become hidden.

    Args:
        graph: a graph folded to blocks.

    Returns:
        The folded graph; nodes have the names of the stages.
    """
    # Only neighbors: a stage that is left and entered again has two nodes.
    runs = [list(run) for _, run in groupby(graph.nodes, key=_stage_or_name)]
    names = _make_unique([_run_name(run) for run in runs])
    return _contract(graph, list(zip(names, runs, strict=True)))


def _stage_or_name(node: Node) -> str:
    """Return the stage, or the name of a node outside of all stages."""
    return node.stage or node.name


def _run_name(run: Sequence[Node]) -> str:
    """Return the stage of several nodes, the name of a single one."""
    if len(run) == 1:
        return run[0].name
    return _stage_or_name(run[0])


def _find_chains(graph: GraphData) -> list[list[Node]]:
    """Group nodes that follow one another without a fork or a merge between them."""
    use_counts = Counter(source for source, _, _ in graph.edges)
    inputs = graph.all_inputs()
    chains: list[list[Node]] = []
    chain_of: dict[str, list[Node]] = {}
    for node in graph.nodes:
        sources = inputs[node.name]
        chain: list[Node] = []
        # A node of several inputs begins a chain of its own.
        if len(sources) == 1:
            chain = chain_of[sources[0]]
        if chain and chain[-1].name == sources[0] and _extends(chain, node, use_counts):
            chain.append(node)
        else:
            chain = [node]
            chains.append(chain)
        chain_of[node.name] = chain
    return chains


def _extends(chain: Sequence[Node], node: Node, use_counts: Counter[str]) -> bool:
    """Return True if the node, which follows the chain, becomes part of it."""
    first = chain[0]
    # A fork must stay visible, and a merge begins a node of its own.
    if use_counts[chain[-1].name] != 1 or node.kind:
        return False
    if "input" in (first.op, node.op) or node.op == "output":
        return False
    if first.kind:
        # The activation after a merge belongs to it.
        return node.block == first.block and not node.parameters and node.op in FUSABLE_OPS
    # In the stem a norm and an activation join their convolution.
    if _is_loose(first) or _is_loose(node):
        return _is_loose(first) and _is_loose(node) and node.op in FUSABLE_OPS
    return node.block == first.block


def _is_loose(node: Node) -> bool:
    """Return True for an operation outside of all blocks: in the stem, the head, the model."""
    # A single layer is its own block.
    return node.block in ("", node.name)


def _name_chains(chains: Sequence[list[Node]]) -> list[tuple[str, list[Node]]]:
    """Name each chain.

    A merge keeps its name. The longest chain of a block gets the block's name. Others get the
    name of the module that contains them.
    """
    chain_counts = Counter(chain[0].block for chain in chains if not chain[0].kind)
    names: list[str] = []
    for chain in chains:
        first = chain[0]
        # A block of several chains has no node that is all of it.
        is_whole_block = not first.kind and chain_counts[first.block] == 1
        if is_whole_block and first.block:
            names.append(first.block)
        else:
            names.append(_common_module(chain))
    longest: dict[str, list[Node]] = {}
    for name, chain in zip(names, chains, strict=True):
        longest[name] = max(longest.get(name, []), chain, key=len)
    for index, chain in enumerate(chains):
        # One name cannot mean two nodes.
        if longest[names[index]] is not chain:
            names[index] = chain[0].name
    return list(zip(_make_unique(names), chains, strict=True))


def _common_module(chain: Sequence[Node]) -> str:
    """Return the module that contains the chain's modules, or the first name if there is none."""
    first = chain[0]
    if first.kind or len(chain) == 1 or _is_loose(first):
        return first.name
    modules = [node for node in chain if node.is_module]
    if len(modules) < 2:
        return (modules or chain)[0].name
    return common_prefix(node.name for node in modules) or first.name


def common_prefix(names: Iterable[str]) -> str:
    """Return the innermost module that contains all of these modules.

    Args:
        names: dotted module names.

    Returns:
        Its name; "" for the model itself.
    """
    columns = zip(*(name.split(".") for name in names), strict=False)
    shared = takewhile(lambda column: len(set(column)) == 1, columns)
    return ".".join(column[0] for column in shared)


def _make_unique(names: Sequence[str]) -> list[str]:
    """Append a number to each name that occurred before."""
    counts: Counter[str] = Counter()
    unique: list[str] = []
    for name in names:
        unique.append(f"{name}_{counts[name]}" if counts[name] else name)
        counts[name] += 1
    return unique


def _contract(graph: G, groups: Sequence[tuple[str, list[Node]]]) -> G:
    """Replace each group of nodes by one node."""
    group_of: dict[str, str] = {}
    for name, members in groups:
        group_of |= dict.fromkeys((node.name for node in members), name)
    modules = _module_names(graph)
    nodes = tuple(_fold_group(name, members, name in modules) for name, members in groups)
    edges = _contract_edges(graph, group_of, nodes)
    skips = tuple(
        replace(skip, source=group_of[skip.source])
        for skip in graph.skips
        if group_of[skip.merge] == skip.merge
    )
    return _with_hidden(graph, replace(graph, nodes=nodes, edges=edges, skips=skips))


def _contract_edges(
    graph: GraphData, group_of: dict[str, str], nodes: Iterable[Node]
) -> tuple[Edge, ...]:
    """Return the edges between groups; only merges keep several edges from one source."""
    merges = {node.name for node in nodes if node.kind}
    edges: list[Edge] = []
    inputs: dict[str, list[str]] = {}
    for before, after, operand in graph.edges:
        source = group_of[before]
        target = group_of[after]
        present = inputs.setdefault(target, [])
        is_merge = target in merges
        # Edges inside a group vanish, and parallel ones become one.
        if source == target or (not is_merge and source in present):
            continue
        edges.append((source, target, operand if is_merge else len(present)))
        present.append(source)
    return tuple(edges)


def _with_hidden(before: GraphData, folded: G) -> G:
    """Add the skips, and the number of other merges, that the folded graph does not show."""
    shown = {node.name for node in folded.nodes if node.kind}
    # A collapsed merge hides as many as it stands for.
    hidden = {node.name: node.repeat_count for node in before.merges if node.name not in shown}
    hidden_skips: list[SkipConnection] = []
    for skip in before.skips:
        hidden_skips += [skip] * hidden.get(skip.merge, 0)
    skip_merges = {skip.merge for skip in hidden_skips}
    others = sum(count for name, count in hidden.items() if name not in skip_merges)
    return replace(
        folded,
        hidden_skips=(*before.hidden_skips, *hidden_skips),
        non_skip_merges=before.non_skip_merges + others,
    )


def _module_names(graph: GraphData) -> set[str]:
    """Return the modules that are nodes, and every module that contains a node."""
    found = {node.name for node in graph.nodes if node.is_module}
    for node in graph.nodes:
        parent = node.name.rpartition(".")[0]
        while parent:
            found.add(parent)
            parent = parent.rpartition(".")[0]
    return found


def _fold_group(name: str, members: list[Node], is_module: bool) -> Node:
    """Fold the members into one node; a single one is only renamed."""
    first = members[0]
    if len(members) == 1:
        if first.name == name:
            return first
        return replace(first, name=name, is_module=is_module)
    kind = first.kind if first.name == name else None
    has_one_block = all(node.block == first.block for node in members)
    folded: list[str] = []
    for node in members:
        folded += node.members
    return Node(
        name,
        str(kind) if kind else _summarize_ops(members),
        members[-1].shape,
        sum(node.parameters for node in members),
        sum(node.macs for node in members),
        kind,
        first.stage,
        first.block if has_one_block else name,
        _hook_point(members),
        tuple(folded),
        is_module=is_module,
    )


def _hook_point(members: Sequence[Node]) -> str:
    """Return the hook point of a merge, else the last of a chain."""
    if members[0].kind:
        return members[0].hook_point
    points = (node.hook_point for node in reversed(members) if node.hook_point)
    return next(points, "")


def _summarize_ops(members: Sequence[Node]) -> str:
    """List the merges of a folded node, else the operations with MACs, else all operations."""
    merges = Counter(str(node.kind) for node in members if node.kind)
    if merges:
        return ", ".join(f"{count} {kind}" for kind, count in merges.items())
    ops = [node.op for node in members if node.macs] or [node.op for node in members]
    # In order of execution, so that "conv 1x1, conv 3x3" reads as it runs.
    runs = [(op, len(list(run))) for op, run in groupby(ops)]
    return ", ".join(f"{count} × {op}" if count > 1 else op for op, count in runs)
