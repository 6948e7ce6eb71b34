"""Equal neighbors of a graph as one: the 22 residual blocks behind the first of a ResNet-101's third stage, "×22".

Two units, each a cell or what lies between places where all paths are one, are equal where their operations, shapes,
parameters and multiply-adds are, all flow inside them, and every skip; where each reads only the one before it, at the
same places, and nobody else reads what is folded away.
"""

from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, takewhile
from typing import TypeVar

from lightning_resnets.graph.data import GraphData, Node

G = TypeVar("G", bound=GraphData)

EdgeKey = tuple[object, ...]  # how a block is met: (its place in the unit, as what)


MAX_UNIT_NODES = 64  # blocks in a unit that is not one cell


@dataclass(frozen=True, slots=True)
class RepeatUnit:
    """Blocks, how they meet, what they are given from outside (how, by whom), and who reads them."""

    blocks: tuple[Node, ...]
    inner_edges: frozenset[EdgeKey]
    inputs: tuple[tuple[EdgeKey, str], ...]
    consumers: frozenset[str]
    input_shapes: dict[str, tuple[int, ...]]  # of who gives

    @property
    def positions(self) -> dict[str, int]:
        return {block.name: place for place, block in enumerate(self.blocks)}


def collapse_repeats(graph: G, whole: GraphData) -> G:
    """The graph with every run of equal neighbors as its first, whose blocks count for all (`Block.times`).

    `whole` is the graph before it was folded: what stands in one block is looked at operation by operation.
    Parameters and multiply-adds are those of all together, and so are the counts in the text; flow and skips are those
    of one, since the others' are the same. Dense layers differ in what they read and are never folded.
    """
    runs = _Finder(graph, whole).runs()
    into: dict[str, str] = {}
    for run in runs:
        for unit in run:
            into |= {
                block.name: kept.name
                for block, kept in zip(unit.blocks, run[0].blocks, strict=True)
            }
    kept = set(into.values())
    return replace(
        graph,
        nodes=tuple(block for run in runs for block in _together(run)),
        edges=tuple(
            (into[source], target, operand)
            for source, target, operand in graph.edges
            if target in kept
        ),
        skips=tuple(
            replace(skip, source=into[skip.source]) for skip in graph.skips if skip.merge in kept
        ),
    )


class _Finder:
    """Looks through the blocks of a graph from the front, for whole cells first and for the shortest unit."""

    def __init__(self, graph: GraphData, whole: GraphData) -> None:
        parts = {block.name: _looks(block) for block in whole.nodes}
        self.blocks = graph.nodes
        self.looks = [
            (_looks(block), [parts.get(name) for name in block.members]) for block in graph.nodes
        ]
        cells = [
            len(list(cell))
            for _, cell in groupby(graph.nodes, key=lambda block: block.block or block.name)
        ]
        self.starts = list(accumulate(cells, initial=0))  # where cells begin, and the end
        self.cells = frozenset(self.starts)
        self.shapes = {block.name: block.shape for block in graph.nodes}
        self.met: dict[str, list[tuple[EdgeKey, str]]] = {block.name: [] for block in graph.nodes}
        self.readers: dict[str, set[str]] = {block.name: set() for block in graph.nodes}
        for source, target, operand in graph.edges:
            self.met[target].append((("flow", operand), source))
            self.readers[source].add(target)
        for skip in graph.skips:
            self.met[skip.merge].append(
                (("skip", skip.kind, skip.operand, skip.projection), skip.source)
            )
            self.readers[skip.source].add(skip.merge)

    def runs(self) -> list[list[RepeatUnit]]:
        found: list[list[RepeatUnit]] = []
        start = 0
        while start < len(self.blocks):
            found.append(self.run(start))
            start += sum(len(unit.blocks) for unit in found[-1])
        return found

    def run(self, start: int) -> list[RepeatUnit]:
        """Equal units from there on: whole cells, else blocks inside of one; a single block where none are equal."""
        behind = bisect(self.starts, start)  # the next place where a cell begins
        far = max(behind + 1, bisect(self.starts, start + MAX_UNIT_NODES))
        ends = self.starts[behind:far] if start in self.cells else []
        for end in ends:
            run = self.equal(start, end - start)
            if len(run) > 1 and (end == ends[0] or self.whole(run[0])):
                return run
        for length in range(2, min(MAX_UNIT_NODES, self.starts[behind] - start)):
            run = self.equal(start, length, self.starts[behind])
            if len(run) > 1 and self.whole(run[0]):
                return run
        return [self.unit(start, 1)]

    def equal(self, start: int, length: int, stop: int | None = None) -> list[RepeatUnit]:
        """Units of so many blocks that equal the first: up to `stop`, else as long as each ends where a cell does."""
        first, units = self.looks[start : start + length], list[RepeatUnit]()
        for place in range(start, len(self.blocks), length):
            end = place + length
            if not (end <= stop if stop else end in self.cells) or self.looks[place:end] != first:
                break
            unit = self.unit(place, length)
            if units and not _goes_on(units, unit):
                break
            units.append(unit)
            if self.looks[end : end + 1] != first[:1]:
                break
        return units

    def whole(self, unit: RepeatUnit) -> bool:
        """Blocks that are no cell are a unit where paths meet inside, all begin at one output, and the end is read."""
        others = {
            reader for block in unit.blocks[:-1] for reader in self.readers[block.name]
        } - unit.positions.keys()
        merges = any(block.kind for block in unit.blocks)
        return merges and not others and len({source for _, source in unit.inputs}) == 1

    def unit(self, start: int, length: int) -> RepeatUnit:
        blocks = self.blocks[start : start + length]
        places = {block.name: place for place, block in enumerate(blocks)}
        joined = [
            ((place, *how), source)
            for name, place in places.items()
            for how, source in self.met[name]
        ]
        inner = frozenset((*how, places[source]) for how, source in joined if source in places)
        given = tuple((how, source) for how, source in joined if source not in places)
        read = frozenset[str]().union(*(self.readers[name] for name in places)) - places.keys()
        return RepeatUnit(
            blocks, inner, given, read, {source: self.shapes[source] for _, source in given}
        )


def _goes_on(run: Sequence[RepeatUnit], unit: RepeatUnit) -> bool:
    """True where the unit does after the run's last what that one does after the one before it."""
    last, places = run[-1], run[-1].positions
    if last.inner_edges != unit.inner_edges or not last.consumers <= unit.positions.keys():
        return False
    if [how for how, _ in last.inputs] != [how for how, _ in unit.inputs]:
        return False
    pairs = {
        (before, source) for (_, before), (_, source) in zip(last.inputs, unit.inputs, strict=True)
    }
    if not all(source in places for _, source in pairs):
        return False  # it reads what lies further back
    if len(run) > 1:
        former = run[-2].positions
        return all(former[before] == places[source] for before, source in pairs)
    firsts, seconds = {before for before, _ in pairs}, {source for _, source in pairs}
    shapes = {block.name: block.shape for block in last.blocks}
    alike = all(last.input_shapes[before] == shapes[source] for before, source in pairs)
    return alike and len(pairs) == len(firsts) == len(seconds)


def _looks(block: Node) -> EdgeKey:
    return (block.op, block.shape, block.parameters, block.macs, block.kind, block.repeat_count)


def _together(run: Sequence[RepeatUnit]) -> list[Node]:
    """The first unit's blocks, each for its equals in the whole run."""
    if len(run) == 1:
        return list(run[0].blocks)
    cells = {block.block or block.name for unit in run[:2] for block in unit.blocks[:1]}
    cell = (
        run[0].blocks[0].block
        if len(cells) > 1 == len({block.block for block in run[0].blocks})
        else ""
    )
    cell = cell or _common(block.name for block in run[0].blocks)
    alike = zip(*(unit.blocks for unit in run), strict=True)
    return [_counted(equal, cell) for equal in alike]


def _common(names: Iterable[str]) -> str:
    """The module that they all lie in; the first of them where that is the model itself."""
    parts = [name.split(".") for name in names]
    columns = takewhile(lambda column: len(set(column)) == 1, zip(*parts, strict=False))
    return ".".join(column[0] for column in columns) or ".".join(parts[0])


def _counted(equal: Sequence[Node], cell: str) -> Node:
    return replace(
        equal[0],
        parameters=sum(block.parameters for block in equal),
        macs=sum(block.macs for block in equal),
        hook_point=equal[-1].hook_point,
        members=tuple(member for block in equal for member in block.members),
        repeat_count=sum(block.repeat_count for block in equal),
        block=cell,
    )
