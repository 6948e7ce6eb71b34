"""Collapse equal neighbors of a graph into one: 22 equal residual blocks become one, "×22".

A unit is a block, or the nodes between two places where all paths are one. Two units are equal if
their operations, shapes, parameters and MACs are, and all edges and skips inside them. They form
a run if each reads only the unit before it, at the same nodes, and if no other node reads what is
collapsed.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from typing import TypeVar

from lightning_resnets.graph.data import GraphData, Node
from lightning_resnets.graph.fold import common_prefix

G = TypeVar("G", bound=GraphData)

# How a node is connected: ("edge", operand), or ("skip", kind, operand, projection); inside a
# unit the node's position comes first.
EdgeKey = tuple[object, ...]

MAX_UNIT_NODES = 64  # nodes in a unit that is not one block


@dataclass(frozen=True, slots=True)
class RepeatUnit:
    """Candidate for a repeat: some nodes and how they are connected.

    Attributes:
        nodes: in order of execution.
        inner_edges: edges and skips inside the unit, by position.
        inputs: edges and skips from outside, each with its source node.
        consumers: nodes outside that read from the unit.
        input_shapes: output shape of each source node.
    """

    nodes: tuple[Node, ...]
    inner_edges: frozenset[EdgeKey]
    inputs: tuple[tuple[EdgeKey, str], ...]
    consumers: frozenset[str]
    input_shapes: dict[str, tuple[int, ...]]

    @property
    def positions(self) -> dict[str, int]:
        """Return the position of each node in the unit."""
        return {node.name: position for position, node in enumerate(self.nodes)}

    @property
    def input_keys(self) -> list[EdgeKey]:
        """Return how the unit is connected to nodes before it."""
        return [key for key, _ in self.inputs]

    @property
    def sources(self) -> list[str]:
        """Return the source node of each input."""
        return [source for _, source in self.inputs]


def collapse_repeats(graph: G, unfolded: GraphData) -> G:
    """Replace each run of equal units by its first one, with a `repeat_count`.

    Parameters and MACs become those of the whole run; edges and skips are those of one unit,
    since the others are the same. Dense layers differ in their inputs and never collapse.

    Args:
        graph: the graph to collapse.
        unfolded: the graph before it was folded: members are compared operation by operation.

    Returns:
        The collapsed graph.
    """
    runs = _RunFinder(graph, unfolded).find_runs()
    kept_name: dict[str, str] = {}
    nodes: list[Node] = []
    for run in runs:
        nodes += _collapse_run(run)
        kept_name |= _kept_names(run)
    kept = set(kept_name.values())
    edges = [
        (kept_name[source], target, operand)
        for source, target, operand in graph.edges
        if target in kept
    ]
    skips = [
        replace(skip, source=kept_name[skip.source]) for skip in graph.skips if skip.merge in kept
    ]
    return replace(graph, nodes=tuple(nodes), edges=tuple(edges), skips=tuple(skips))


def _kept_names(run: Sequence[RepeatUnit]) -> dict[str, str]:
    """Return for each node of a run the node of the first unit that stands for it."""
    kept_name: dict[str, str] = {}
    for unit in run:
        for node, first in zip(unit.nodes, run[0].nodes, strict=True):
            kept_name[node.name] = first.name
    return kept_name


class _RunFinder:
    """Searches from the first node on, for whole blocks first and for the shortest unit."""

    def __init__(self, graph: GraphData, unfolded: GraphData) -> None:
        self.nodes = graph.nodes
        # Two folded blocks may have one label and differ inside.
        members = {node.name: _signature(node) for node in unfolded.nodes}
        self.signatures = [
            (_signature(node), [members.get(name) for name in node.members]) for node in graph.nodes
        ]
        block_lengths = [len(list(block)) for _, block in groupby(graph.nodes, key=_block_or_name)]
        self.block_starts = list(accumulate(block_lengths, initial=0))  # and the end
        self.boundaries = frozenset(self.block_starts)
        self.shapes = {node.name: node.shape for node in graph.nodes}
        self.inputs: dict[str, list[tuple[EdgeKey, str]]] = {name: [] for name in self.shapes}
        self.consumers: dict[str, set[str]] = {name: set() for name in self.shapes}
        self._connect(graph)

    def _connect(self, graph: GraphData) -> None:
        """Note the inputs and the consumers of every node."""
        for source, target, operand in graph.edges:
            self.inputs[target].append((("edge", operand), source))
            self.consumers[source].add(target)
        for skip in graph.skips:
            key = ("skip", skip.kind, skip.operand, skip.projection)
            self.inputs[skip.merge].append((key, skip.source))
            self.consumers[skip.source].add(skip.merge)

    def find_runs(self) -> list[list[RepeatUnit]]:
        """Divide the graph into runs of equal units; most have one unit of one node."""
        runs: list[list[RepeatUnit]] = []
        start = 0
        while start < len(self.nodes):
            run = self._find_run(start)
            runs.append(run)
            start += sum(len(unit.nodes) for unit in run)
        return runs

    def _find_run(self, start: int) -> list[RepeatUnit]:
        """Return the run that begins at a node."""
        # Blocks first: their names mean something to the reader.
        run = self._run_of_blocks(start) or self._run_inside_block(start)
        return run or [self._make_unit(start, 1)]

    def _run_of_blocks(self, start: int) -> list[RepeatUnit] | None:
        """Return a run of whole blocks, or of several blocks each."""
        if start not in self.boundaries:
            return None
        following = bisect(self.block_starts, start)  # the next place where a block begins
        # At least one block is tried, however long it is.
        last = max(following + 1, bisect(self.block_starts, start + MAX_UNIT_NODES))
        ends = self.block_starts[following:last]
        for end in ends:
            run = self._equal_units(start, end - start)
            # Several blocks form a unit only where nothing reads its inside.
            if len(run) > 1 and (end == ends[0] or self._is_closed(run[0])):
                return run
        return None

    def _run_inside_block(self, start: int) -> list[RepeatUnit] | None:
        """Return a run of nodes inside one block."""
        block_end = self.block_starts[bisect(self.block_starts, start)]
        # One node of its own is no unit: its repetition is visible at a glance.
        for length in range(2, min(MAX_UNIT_NODES, block_end - start)):
            run = self._equal_units(start, length, block_end)
            if len(run) > 1 and self._is_closed(run[0]):
                return run
        return None

    def _equal_units(self, start: int, length: int, stop: int | None = None) -> list[RepeatUnit]:
        """Return the units of this length that equal the first one.

        They reach up to `stop`, or as long as each ends where a block does.
        """
        first = self.signatures[start : start + length]
        units: list[RepeatUnit] = []
        for position in range(start, len(self.nodes), length):
            end = position + length
            is_in_range = end <= stop if stop else end in self.boundaries
            if not is_in_range or self.signatures[position:end] != first:
                break
            unit = self._make_unit(position, length)
            # Equal nodes may still be connected in another way.
            if units and not _continues(units, unit):
                break
            units.append(unit)
            # The next unit cannot be equal: comparing its first node saves making the unit.
            if self.signatures[end : end + 1] != first[:1]:
                break
        return units

    def _is_closed(self, unit: RepeatUnit) -> bool:
        """Return True if paths merge inside, all begin at one node, and only the end is read."""
        consumers: set[str] = set()
        for node in unit.nodes[:-1]:
            consumers |= self.consumers[node.name]
        has_merge = any(node.kind for node in unit.nodes)
        return has_merge and consumers <= unit.positions.keys() and len(set(unit.sources)) == 1

    def _make_unit(self, start: int, length: int) -> RepeatUnit:
        """Make a unit of the nodes from `start` on."""
        nodes = self.nodes[start : start + length]
        positions = {node.name: position for position, node in enumerate(nodes)}
        inner: set[EdgeKey] = set()
        inputs: list[tuple[EdgeKey, str]] = []
        consumers: set[str] = set()
        for name, position in positions.items():
            consumers |= self.consumers[name]
            for key, source in self.inputs[name]:
                if source in positions:
                    inner.add((position, *key, positions[source]))
                else:
                    inputs.append(((position, *key), source))
        return RepeatUnit(
            nodes,
            frozenset(inner),
            tuple(inputs),
            frozenset(consumers - positions.keys()),
            {source: self.shapes[source] for _, source in inputs},
        )


def _continues(run: Sequence[RepeatUnit], unit: RepeatUnit) -> bool:
    """Return True if the unit follows the run's last unit as that one follows the one before."""
    last = run[-1]
    if last.inner_edges != unit.inner_edges or last.input_keys != unit.input_keys:
        return False
    if not last.consumers <= unit.positions.keys():
        return False  # another node reads what would be collapsed
    if not all(source in last.positions for source in unit.sources):
        return False  # the unit reads nodes further back
    pairs = set(zip(last.sources, unit.sources, strict=True))
    if len(run) > 1:
        return _read_same_positions(run[-2], last, pairs)
    # The first unit reads other nodes, so positions cannot be compared.
    return _replaces_sources(last, pairs)


def _read_same_positions(before: RepeatUnit, last: RepeatUnit, pairs: set[tuple[str, str]]) -> bool:
    """Return True if two units read the same positions of the unit before each."""
    earlier = before.positions
    later = last.positions
    return all(earlier[old] == later[new] for old, new in pairs)


def _replaces_sources(last: RepeatUnit, pairs: set[tuple[str, str]]) -> bool:
    """Return True if each source of the first unit has one counterpart of equal shape in it."""
    old_sources = {old for old, _ in pairs}
    new_sources = {new for _, new in pairs}
    # A change of shape, as at the start of a stage, ends a run.
    shapes = {node.name: node.shape for node in last.nodes}
    has_equal_shapes = all(last.input_shapes[old] == shapes[new] for old, new in pairs)
    return has_equal_shapes and len(pairs) == len(old_sources) == len(new_sources)


def _signature(node: Node) -> EdgeKey:
    """Return all properties in which equal nodes agree."""
    return (node.op, node.shape, node.parameters, node.macs, node.kind, node.repeat_count)


def _block_or_name(node: Node) -> str:
    """Return the block, or the name of a node outside of all blocks."""
    return node.block or node.name


def _collapse_run(run: Sequence[RepeatUnit]) -> list[Node]:
    """Return the nodes of the first unit, each for its equals in the whole run."""
    if len(run) == 1:
        return list(run[0].nodes)
    block = _block_of_run(run)
    equal_nodes = zip(*(unit.nodes for unit in run), strict=True)
    return [_collapse_nodes(equal, block) for equal in equal_nodes]


def _block_of_run(run: Sequence[RepeatUnit]) -> str:
    """Return the first unit's block, if it has one of its own, else the common module."""
    nodes = run[0].nodes
    has_own_block = _block_or_name(nodes[0]) != _block_or_name(run[1].nodes[0])
    # A run inside one block is named after what its nodes share.
    if has_own_block and len({node.block for node in nodes}) == 1 and nodes[0].block:
        return nodes[0].block
    return common_prefix(node.name for node in nodes) or nodes[0].name


def _collapse_nodes(equal: Sequence[Node], block: str) -> Node:
    """Return the first node with the counts and members of all."""
    members: list[str] = []
    for node in equal:
        members += node.members
    return replace(
        equal[0],
        parameters=sum(node.parameters for node in equal),
        macs=sum(node.macs for node in equal),
        # The last of the equals holds what the run returns.
        hook_point=equal[-1].hook_point,
        members=tuple(members),
        repeat_count=sum(node.repeat_count for node in equal),
        block=block,
    )
