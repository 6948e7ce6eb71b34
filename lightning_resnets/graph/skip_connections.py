"""Find the skip connections: the paths into a merge that bypass the others.

The immediate dominator of a merge is where its paths fork; the lighter path into an Add is the
skip. A norm has no weight here: it belongs to the convolution beside it. A depthwise convolution
has none where a 1x1 convolution follows: both are one separable convolution (the shortcut of a
GhostNet's stride, Han et al. 2020, arXiv:1911.11907).
"""

import re
from collections.abc import Sequence

from lightning_resnets.graph.data import Edge, Node, SkipConnection
from lightning_resnets.graph.dominators import immediate_dominators
from lightning_resnets.graph.nonlinearities import is_nonlinearity
from lightning_resnets.merges import Add, MergeKind

# Operations with which a shortcut is still a projection of the fork.
PROJECTION_OPS = (
    "conv 1x1",
    "avg pool",
    "max pool",
    "slice",
    "batch norm",
    "layer norm",
    "group norm",
)

# Operations that do nothing in evaluation mode.
IDENTITY_OPS = (
    "identity",
    "clone",
    "contiguous",
    "detach",
    "dropout",
    "alpha dropout",
)


def find_skip_connections(
    nodes: Sequence[Node], edges: Sequence[Edge]
) -> tuple[SkipConnection, ...]:
    """Find the skip connections of a graph.

    Args:
        nodes: in order of execution.
        edges: (source, target, operand index) each.

    Returns:
        The skips in order of their merges.
    """
    return _SkipFinder(nodes, edges).find()


class _SkipFinder:
    """Nodes are numbered in order of execution; a path is the nodes after the fork."""

    def __init__(self, nodes: Sequence[Node], edges: Sequence[Edge]) -> None:
        self.nodes = nodes
        index = {node.name: i for i, node in enumerate(nodes)}
        inputs: list[list[tuple[int, int]]] = [[] for _ in nodes]
        for source, target, operand in edges:
            inputs[index[target]].append((operand, index[source]))
        self.sources = [[source for _, source in sorted(pairs)] for pairs in inputs]
        self.forks = immediate_dominators(self.sources)
        # Every node and its ancestors, as bits of one integer, so that a union is one operation.
        # networkx.ancestors of all nodes takes 640 times as long for DenseNet-201 (67 ms).
        self.ancestors: list[int] = []
        for i, sources in enumerate(self.sources):
            bits = 1 << i
            for source in sources:
                bits |= self.ancestors[source]
            self.ancestors.append(bits)

    def find(self) -> tuple[SkipConnection, ...]:
        """Return all skips in order of their merges."""
        # Each paper has its own idea of a skip.
        rules = {
            MergeKind.ADD: self._skips_of_add,
            MergeKind.CONCAT: self._skips_of_concat,
            MergeKind.GATE: self._skips_of_gate,
        }
        skips: list[SkipConnection] = []
        for i, node in enumerate(self.nodes):
            if node.kind:
                skips += rules[node.kind](i)
        return tuple(skips)

    def _skips_of_add(self, merge: int) -> list[SkipConnection]:
        """Return the lighter path into an Add, if it is light enough to be a skip."""
        fork = self.forks[merge]
        # Paths from two inputs of the model never forked.
        if fork < 0:
            return []
        # From the fork to each operand; the path of the fork itself is empty.
        # A third input, the weight of a lerp, is not a summand.
        paths = [self._path(fork, source) for source in self.sources[merge][:2]]
        if self._are_parallel(merge, fork, paths):
            return []
        weights = [self._path_weight(path) for path in paths]
        # Of equal weights the shorter path: the fork itself has an empty one.
        shortest = min(range(len(paths)), key=lambda i: (weights[i], len(paths[i])))
        path = paths[shortest]
        # Two branches of the same weight merge as equals, unless one of them is the fork itself.
        has_equal_weights = all(weight == weights[shortest] for weight in weights)
        if (has_equal_weights and path) or not self._is_shortcut(path):
            return []
        projection = self._describe_projection(fork, path)
        # A factor on the shortcut leaves no identity.
        if projection is None and self._is_scaled(merge, shortest):
            projection = f"{self.nodes[fork].shape[0]}, scaled"
        return [self._make_skip(merge, shortest, fork, projection)]

    def _is_scaled(self, merge: int, operand: int) -> bool:
        """Return True for an operand that the sum itself multiplies by a factor."""
        _, _, scaled = self.nodes[merge].op.partition(", ")
        return Add.operands[operand] in scaled

    def _are_parallel(self, merge: int, fork: int, paths: Sequence[Sequence[int]]) -> bool:
        """Return True if no path can be a skip: a tensor plus itself, or parts of the fork."""
        is_doubled = len(set(self.sources[merge][:2])) == 1
        return is_doubled or all(self._begins_with_slice(fork, path) for path in paths)

    def _path_weight(self, path: Sequence[int]) -> int:
        """Count the nodes of a path that have weights, a separable convolution as one."""
        # Otherwise a separable convolution would weigh as much as two.
        counted = set(path) - self._depthwise_parts(path)
        return sum(map(self._has_weight, counted))

    def _is_shortcut(self, path: Sequence[int]) -> bool:
        """Return True if every node of the path may be part of a shortcut."""
        free = self._depthwise_parts(path) | self._activations_before(path)
        return all(i in free or self._is_light(i) for i in path)

    def _activations_before(self, path: Sequence[int]) -> set[int]:
        """Return the activations in front of a projection, as of pre-activation blocks.

        He et al. 2016, arXiv:1603.05027; Gastaldi 2017, arXiv:1705.07485.
        """
        # Without a projection an activation alone is a branch, no shortcut.
        if not any(self._has_cost(i) for i in path):
            return set()
        found: set[int] = set()
        on_path = set(path)
        for i in path:
            before = [source for source in self.sources[i] if source in on_path]
            is_first = all("norm" in self.nodes[source].op for source in before)
            if is_first and is_nonlinearity(self.nodes[i]):
                found.add(i)
        return found

    def _is_light(self, i: int) -> bool:
        """Return True for an operation that a shortcut may contain.

        Besides projections these are a convolution that makes the map smaller, padding with
        zeros, and a factor.
        """
        node = self.nodes[i]
        if node.op.startswith(PROJECTION_OPS) or not {"pad", "zeros"}.isdisjoint(node.op.split()):
            return True
        # A projection may have two paths, which a sum or a concatenation joins (Shake-Shake).
        if node.kind in (MergeKind.ADD, MergeKind.CONCAT):
            return True
        if node.op.startswith("conv "):
            # A convolution that keeps the size is a layer of a branch.
            return self.nodes[self.sources[i][0]].shape[-1] > node.shape[-1]
        if node.op not in ("join", "sum", "product") or self._has_cost(i):
            return False
        # Padded channels are a join with zeros, so one other operand remains.
        return sum("zeros" not in self.nodes[source].op for source in self.sources[i]) == 1

    def _begins_with_slice(self, fork: int, path: Sequence[int]) -> bool:
        """Return True for a path that begins with a slice of the fork.

        Where all paths do, the parts of a split merge and none of them bypasses another.
        """
        starts = [i for i in path if fork in self.sources[i]]
        return bool(path) and all(self.nodes[i].op == "slice" for i in starts)

    def _has_cost(self, i: int) -> bool:
        """Return True for a node with parameters or MACs."""
        return self.nodes[i].parameters + self.nodes[i].macs > 0

    def _has_weight(self, i: int) -> bool:
        """Return True for a node that counts as a layer of its own."""
        return self._has_cost(i) and "norm" not in self.nodes[i].op

    def _depthwise_parts(self, path: Sequence[int]) -> set[int]:
        """Return the depthwise convolutions before a 1x1 one, with only norms between them."""
        following = {self.sources[i][0]: i for i in path if len(self.sources[i]) == 1}
        found: set[int] = set()
        for i in path:
            after = following.get(i)
            # Norms do not part the two convolutions of a separable one.
            while after is not None and "norm" in self.nodes[after].op:
                after = following.get(after)
            if after is None or not self.nodes[after].op.startswith("conv 1x1"):
                continue
            if self._is_depthwise(i):
                found.add(i)
        return found

    def _is_depthwise(self, i: int) -> bool:
        """Return True for a convolution with as many groups as channels."""
        if not self.nodes[i].op.startswith("conv "):
            return False
        channels = self.nodes[self.sources[i][0]].shape[0]
        # A space behind the number: 3 groups are not 32.
        return channels > 1 and f" groups {channels} " in f"{self.nodes[i].op} "

    def _skips_of_concat(self, merge: int) -> list[SkipConnection]:
        """Return every part that another part is computed from."""
        parts = self.sources[merge]
        # A split channel half stands for the tensor it was cut from (ShuffleNet).
        origins = [self._slice_origin(source) for source in parts]
        skips: list[SkipConnection] = []
        for operand, origin in enumerate(origins):
            part = parts[operand]
            if any(self._is_bypass(origin, part, end) for end in origins):
                projection = self._describe_projection(origin, self._path(origin, part))
                skips.append(self._make_skip(merge, operand, origin, projection))
        return skips

    def _is_bypass(self, start: int, part: int, end: int) -> bool:
        """Return True if the node `end` is computed from this part.

        Of a slice (`part` is not `start`), the path to `end` must contain weights.
        """
        if start == end or not self._is_ancestor(start, end):
            return False
        return start == part or any(self._has_weight(i) for i in self._path(start, end))

    def _is_ancestor(self, i: int, node: int) -> bool:
        """Return True if the node depends on node `i` or is it."""
        return bool(self.ancestors[node] >> i & 1)

    def _slice_origin(self, i: int) -> int:
        """Return the node that this one is a slice of, else itself."""
        # A slice of a slice is one of the same tensor.
        while self.nodes[i].op == "slice":
            i = self.sources[i][0]
        return i

    def _skips_of_gate(self, merge: int) -> list[SkipConnection]:
        """Return the tensor that a Gate weighs."""
        return [self._make_skip(merge, 0, self.sources[merge][0], None)]

    def _path(self, fork: int, end: int) -> list[int]:
        """Return the nodes after the fork on all paths to the end, which is the last of them."""
        # Order of execution is topological, so no other node can lie between.
        between = range(fork + 1, end + 1)
        found = [i for i in between if self._is_ancestor(i, end) and self._is_ancestor(fork, i)]
        return [i for i in found if not self.nodes[i].op.startswith(IDENTITY_OPS)]

    def _describe_projection(self, fork: int, path: list[int]) -> str | None:
        """Describe the operations of a path: `64→128 /2, conv 1x1`."""
        if not path:
            return None
        before = self.nodes[fork].shape
        after = self.nodes[path[-1]].shape
        label = str(after[0])
        if before[0] != after[0]:
            label = f"{before[0]}→{after[0]}"
        # Spatial sizes tell the stride; a path after global pooling has none.
        if len(after) > 1 and after[-1] and before[-1] // after[-1] > 1:
            label += f" /{before[-1] // after[-1]}"
        ops = [self.nodes[i].op for i in path if "norm" not in self.nodes[i].op]
        # The stride of the whole path is given once, in front.
        without_stride = [re.sub(r" /\S+", "", op) for op in ops]
        return f"{label}, {' + '.join(without_stride) or 'norm'}"

    def _make_skip(
        self, merge: int, operand: int, source: int, projection: str | None
    ) -> SkipConnection:
        """Return the skip from a node into an operand of a merge."""
        node = self.nodes[merge]
        assert node.kind
        return SkipConnection(node.kind, self.nodes[source].name, node.name, operand, projection)
