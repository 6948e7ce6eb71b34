"""Which of the paths that meet at a merge is a skip: by the immediate dominator, where they fork, and by weight.

A norm weighs nothing: it belongs to the convolution that it stands beside. A depthwise convolution weighs nothing where
a 1x1 takes up what it gives: both are one (the shortcut of a GhostNet's stride, Han et al. 2020, arXiv:1911.11907).
"""

import re
from collections.abc import Mapping, Sequence

from lightning_resnets.graph.data import GraphData, Node, SkipConnection
from lightning_resnets.graph.traced_model import TracedModel
from lightning_resnets.merges import MergeKind

# What a shortcut may do on its way and still be a projection of the fork.
PROJECTION_OPS = (
    "conv 1x1",
    "avg pool",
    "max pool",
    "slice",
    "batch norm",
    "layer norm",
    "group norm",
)


IDENTITY_OPS = (
    "identity",
    "clone",
    "contiguous",
    "detach",
    "dropout",
    "alpha dropout",
)  # nothing, in evaluation


def find_skip_connections(
    blocks: Sequence[Node], flow: Sequence[tuple[str, str, int]]
) -> tuple[SkipConnection, ...]:
    """The skips of a graph, in order of their merges. Blocks are in order of execution."""
    return _Finder(blocks, flow).find()


def immediate_dominators(sources: Sequence[Sequence[int]]) -> list[int]:
    """The immediate dominator of every node of an acyclic graph in topological order; a root has itself.

    Cooper, Harvey, Kennedy 2001, "A simple, fast dominance algorithm"; one pass serves where there are no cycles.
    """
    above: list[int] = []
    for node, given in enumerate(sources):
        fork = given[0] if given else node
        for other in given[1:]:
            while fork != other:
                fork, other = (above[fork], other) if fork > other else (fork, above[other])
        above.append(fork)
    return above


class _Finder:
    def __init__(self, blocks: Sequence[Node], flow: Sequence[tuple[str, str, int]]) -> None:
        self.blocks = blocks
        index = {block.name: i for i, block in enumerate(blocks)}
        edges: list[list[tuple[int, int]]] = [[] for _ in blocks]
        for source, target, operand in flow:
            edges[index[target]].append((operand, index[source]))
        self.sources = [[source for _, source in sorted(found)] for found in edges]
        self.forks = immediate_dominators(self.sources)
        self.before: list[int] = []  # the ancestors of every block and itself, as bits
        for i, sources in enumerate(self.sources):
            bits = 1 << i
            for source in sources:
                bits |= self.before[source]
            self.before.append(bits)

    def find(self) -> tuple[SkipConnection, ...]:
        rules = {MergeKind.ADD: self.add, MergeKind.CONCAT: self.concat, MergeKind.GATE: self.gate}
        return tuple(
            skip
            for i, block in enumerate(self.blocks)
            if block.kind
            for skip in rules[block.kind](i)
        )

    def add(self, merge: int) -> list[SkipConnection]:
        fork = self.forks[merge]
        ways = [self.way(fork, source) for source in self.sources[merge]]
        separable = [self.separable(way) for way in ways]
        counted = [set(way) - pairs for way, pairs in zip(ways, separable, strict=True)]
        heavy = [sum(map(self.weighs, way)) for way in counted]
        shorter = min(range(len(ways)), key=lambda i: (heavy[i], len(ways[i])))
        even = all(count == heavy[shorter] for count in heavy) and bool(ways[shorter])
        twin = len(set(self.sources[merge])) == 1 or all(
            self.begins_apart(fork, way) for way in ways
        )
        if even or twin or not all(i in separable[shorter] or self.light(i) for i in ways[shorter]):
            return []
        return [self.skip(merge, shorter, fork, self.projection(fork, ways[shorter]))]

    def light(self, i: int) -> bool:
        """Whether a shortcut may do this: also a convolution that makes the map smaller, zeros beside it, a factor."""
        block, alone = (
            self.blocks[i],
            sum("zeros" not in self.blocks[source].op for source in self.sources[i]) == 1,
        )
        smaller = (
            block.op.startswith("conv ")
            and self.blocks[self.sources[i][0]].shape[-1] > block.shape[-1]
        )
        bare = (
            alone and block.op in ("join", "sum", "product") and not block.parameters + block.macs
        )
        return (
            block.op.startswith(PROJECTION_OPS)
            or smaller
            or bare
            or not {"pad", "zeros"}.isdisjoint(block.op.split())
        )

    def begins_apart(self, fork: int, way: Sequence[int]) -> bool:
        """Whether a way begins with a slice of the fork: where all do, parts meet and none goes round another."""
        return bool(way) and all(
            self.blocks[i].op == "slice" for i in way if fork in self.sources[i]
        )

    def weighs(self, i: int) -> bool:
        block = self.blocks[i]
        return block.parameters + block.macs > 0 and "norm" not in block.op

    def separable(self, way: Sequence[int]) -> set[int]:
        """The depthwise convolutions on a way that a 1x1 follows, with nothing but a norm between them."""
        behind = {self.sources[i][0]: i for i in way if len(self.sources[i]) == 1}
        found: set[int] = set()
        for i in way:
            after = behind.get(i)
            while after is not None and "norm" in self.blocks[after].op:
                after = behind.get(after)
            if (
                self.depthwise(i)
                and after is not None
                and self.blocks[after].op.startswith("conv 1x1")
            ):
                found.add(i)
        return found

    def depthwise(self, i: int) -> bool:
        if not self.blocks[i].op.startswith("conv "):
            return False
        channels = self.blocks[self.sources[i][0]].shape[0]
        return channels > 1 and f" groups {channels} " in f"{self.blocks[i].op} "

    def concat(self, merge: int) -> list[SkipConnection]:
        """Every part that another part was made of, and every slice of what another went on with."""
        given = self.sources[merge]
        whole = [self.whole(source) for source in given]
        pairs = [
            (i, one)
            for i, one in enumerate(whole)
            if any(self.goes_round(one, given[i], end) for end in whole)
        ]
        return [
            self.skip(merge, i, one, self.projection(one, self.way(one, given[i])))
            for i, one in pairs
        ]

    def goes_round(self, start: int, part: int, end: int) -> bool:
        """Whether another part was made of this one; of what this is a slice of by something that weighs."""
        if start == end or not self.before[end] >> start & 1:
            return False
        return start == part or any(self.weighs(i) for i in self.way(start, end))

    def whole(self, i: int) -> int:
        """What a block is a slice of, else itself."""
        return self.whole(self.sources[i][0]) if self.blocks[i].op == "slice" else i

    def gate(self, merge: int) -> list[SkipConnection]:
        return [self.skip(merge, 0, self.sources[merge][0], None)]

    def way(self, fork: int, end: int) -> list[int]:
        """The blocks behind the fork on all paths to the end, which is one of them unless it is the fork."""
        found = (
            i
            for i in range(fork + 1, end + 1)
            if self.before[end] >> i & 1 and self.before[i] >> fork & 1
        )
        return [i for i in found if not self.blocks[i].op.startswith(IDENTITY_OPS)]

    def projection(self, fork: int, way: list[int]) -> str | None:
        if not way:
            return None
        given, made = self.blocks[fork].shape, self.blocks[way[-1]].shape
        width = f"{given[0]}→{made[0]}" if given[0] != made[0] else str(made[0])
        stride = given[-1] // made[-1] if len(made) > 1 and made[-1] else 1
        ops = [
            re.sub(r" /\S+", "", self.blocks[i].op) for i in way if "norm" not in self.blocks[i].op
        ]
        return f"{width}{f' /{stride}' if stride > 1 else ''}, {' + '.join(ops) or 'norm'}"

    def skip(self, merge: int, operand: int, source: int, projected: str | None) -> SkipConnection:
        name, kind = self.blocks[merge].name, self.blocks[merge].kind
        assert kind
        return SkipConnection(kind, self.blocks[source].name, name, operand, projected)


ShortcutOperands = Mapping[str, int]  # by Add, the number of the operand


def shortcut_operands(followed: TracedModel) -> dict[str, int]:
    """The shortcut of every Add that has one: its skip, or in a highway layer the carry.

    Such a layer, y = H(x) T(x) + x (1 - T(x)) (Srivastava et al. 2015, arXiv:1505.00387), has a weight on both sides;
    the carry is the product that the fork itself goes into, where only one of the two is.
    """
    graph = followed.graph
    found = {skip.merge: skip.operand for skip in graph.skips if skip.kind is MergeKind.ADD}
    named: dict[str, set[int]] = {}
    for name, operand in (_carries(graph) | found).items():
        named.setdefault(str(followed.node_by_name[name].target), set()).add(operand)
    return {name: min(operands) for name, operands in named.items() if len(operands) == 1}


def add_inputs(followed: TracedModel) -> dict[str, tuple[str, ...]]:
    """Who gives what meets at every Add, in the order of its operands."""
    given = _given(followed.graph)
    adds = [block.name for block in followed.graph.merges if block.kind is MergeKind.ADD]
    return {str(followed.node_by_name[name].target): given[name] for name in adds}


def _carries(graph: GraphData) -> dict[str, int]:
    index, given = {block.name: i for i, block in enumerate(graph.nodes)}, _given(graph)
    forks = immediate_dominators(
        [[index[source] for source in given[block.name]] for block in graph.nodes]
    )
    products = {
        block.name for block in graph.nodes if block.kind is MergeKind.GATE or block.op == "product"
    }
    found: dict[str, int] = {}
    for block in graph.merges:
        fork, sides = graph.nodes[forks[index[block.name]]].name, given[block.name]
        carried = [i for i, side in enumerate(sides) if side in products and fork in given[side]]
        if block.kind is MergeKind.ADD and products.issuperset(sides) and len(carried) == 1:
            found[block.name] = carried[0]
    return found


def _given(graph: GraphData) -> dict[str, tuple[str, ...]]:
    given: dict[str, list[tuple[int, str]]] = {block.name: [] for block in graph.nodes}
    for source, target, operand in graph.edges:
        given[target].append((operand, source))
    return {name: tuple(source for _, source in sorted(found)) for name, found in given.items()}
