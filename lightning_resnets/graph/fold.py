"""Folding a graph for drawing: chains of operations to cells, cells to stages; merges stay where they are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, takewhile
from typing import TypeVar

from lightning_resnets.graph.data import GraphData, Node

G = TypeVar("G", bound=GraphData)

# What may follow a convolution or a pool of the same chain outside of all cells (the stem) in one block with it.
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
    """Every unbranched run of operations inside one cell becomes a block; see BlockGraph.fold."""
    return _contracted(graph, _named(_chains(graph)))


def fold_stages(graph: G) -> G:
    """Every run of blocks of one stage becomes a block under the stage's name; what merges inside it is not shown."""
    runs = [
        list(run) for _, run in groupby(graph.nodes, key=lambda block: block.stage or block.name)
    ]
    names = _unique([run[0].stage or run[0].name if len(run) > 1 else run[0].name for run in runs])
    return _contracted(graph, list(zip(names, runs, strict=True)))


def _chains(graph: GraphData) -> list[list[Node]]:
    """Blocks that follow one another without a fork or a merge between them, in order of execution."""
    used = Counter(source for source, _, _ in graph.edges)
    given = {block.name: [] for block in graph.nodes}
    for source, target, _ in graph.edges:
        given[target].append(source)
    chains: list[list[Node]] = []
    held: dict[str, list[Node]] = {}
    for block in graph.nodes:
        before = held[given[block.name][0]] if len(given[block.name]) == 1 else None
        if (
            before
            and _joins(before, block, used[before[-1].name])
            and before[-1].name == given[block.name][0]
        ):
            before.append(block)
        else:
            chains.append(before := [block])
        held[block.name] = before
    return chains


def _joins(chain: Sequence[Node], block: Node, used: int) -> bool:
    first = chain[0]
    if used != 1 or block.kind or "input" in (first.op, block.op) or block.op == "output":
        return False
    if first.kind:
        return block.block == first.block and not block.parameters and block.op in FUSABLE_OPS
    if _loose(first) or _loose(block):
        return _loose(first) and _loose(block) and block.op in FUSABLE_OPS
    return block.block == first.block


def _loose(block: Node) -> bool:
    """An operation that belongs to no cell: a layer of the stem or the head, a function of the model itself."""
    return block.block in ("", block.name)


def _named(chains: Sequence[list[Node]]) -> list[tuple[str, list[Node]]]:
    """A merge keeps its name, the longest chain of a cell gets the cell's, others that of the module they lie in."""
    names: list[str] = []
    shares = Counter(chain[0].block for chain in chains if not chain[0].kind)
    for chain in chains:
        whole = not chain[0].kind and shares[chain[0].block] == 1
        names.append(chain[0].block if whole and chain[0].block else _common(chain))
    longest: dict[str, list[Node]] = {}
    for name, chain in zip(names, chains, strict=True):
        longest[name] = max(longest.get(name, []), chain, key=len)
    pairs = zip(names, chains, strict=True)
    unique = _unique([name if longest[name] is chain else chain[0].name for name, chain in pairs])
    return list(zip(unique, chains, strict=True))


def _common(chain: Sequence[Node]) -> str:
    """The module that a chain's modules lie in; of a single module its name, and without one that of the first step."""
    first = chain[0]
    own = [block for block in chain if block.is_module]
    if first.kind or len(chain) == 1 or _loose(first):
        return first.name
    if len(own) < 2:
        return (own or chain)[0].name
    columns = zip(*(block.name.split(".") for block in own), strict=False)
    parts = [column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)]
    return ".".join(parts) or first.name


def _unique(names: Sequence[str]) -> list[str]:
    seen: Counter[str] = Counter()
    unique: list[str] = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name] - 1}")
    return unique


def _contracted(graph: G, groups: Sequence[tuple[str, list[Node]]]) -> G:
    into = {block.name: name for name, members in groups for block in members}
    modules = _modules(graph)
    blocks = tuple(_block(name, members, name in modules) for name, members in groups)
    merges = {block.name for block in blocks if block.kind}
    flow: list[tuple[str, str, int]] = []
    given: dict[str, list[str]] = {block.name: [] for block in blocks}
    for before, behind, operand in graph.edges:
        source, target = into[before], into[behind]
        if source == target or (target not in merges and source in given[target]):
            continue
        flow.append((source, target, operand if target in merges else len(given[target])))
        given[target].append(source)
    skips = tuple(
        replace(skip, source=into[skip.source])
        for skip in graph.skips
        if into[skip.merge] == skip.merge
    )
    return _with_hidden(graph, replace(graph, nodes=blocks, edges=tuple(flow), skips=skips))


def _with_hidden(before: GraphData, folded: G) -> G:
    """The folded graph with the skips, and a count of the other merges, that it no longer shows."""
    shown = {block.name for block in folded.nodes if block.kind}
    hidden = {block.name: block.repeat_count for block in before.merges if block.name not in shown}
    inside = [skip for skip in before.skips for _ in range(hidden.get(skip.merge, 0))]
    skipping = {skip.merge for skip in inside}
    even = sum(times for name, times in hidden.items() if name not in skipping)
    return replace(
        folded,
        hidden_skips=(*before.hidden_skips, *inside),
        non_skip_merges=before.non_skip_merges + even,
    )


def _modules(graph: GraphData) -> set[str]:
    """The names that are modules of the model: those of steps that are, and all that a step lies in."""
    found = {block.name for block in graph.nodes if block.is_module}
    for name in [block.name for block in graph.nodes]:
        while name := name.rpartition(".")[0]:
            found.add(name)
    return found


def _block(name: str, members: list[Node], module: bool) -> Node:
    first, last = members[0], members[-1]
    if len(members) == 1:
        return first if first.name == name else replace(first, name=name, is_module=module)
    output = (
        first.hook_point
        if first.kind
        else next((b.hook_point for b in reversed(members) if b.hook_point), "")
    )
    merge = first.kind if first.name == name else None
    return Node(
        name,
        str(merge) if merge else _summary(members),
        last.shape,
        sum(block.parameters for block in members),
        sum(block.macs for block in members),
        merge,
        first.stage,
        first.block if all(block.block == first.block for block in members) else name,
        output,
        tuple(member for block in members for member in block.members),
        is_module=module,
    )


def _summary(members: Sequence[Node]) -> str:
    """What a folded block holds in words: its merges counted, else its heavy operations, else all of them."""
    if merges := Counter(str(block.kind) for block in members if block.kind):
        return ", ".join(f"{count} {kind}" for kind, count in merges.items())
    ops = [block.op for block in members if block.macs] or [block.op for block in members]
    runs = [(op, len(list(run))) for op, run in groupby(ops)]
    return ", ".join(f"{count} × {op}" if count > 1 else op for op, count in runs)
