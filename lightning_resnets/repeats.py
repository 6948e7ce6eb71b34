"""Equal neighbours of a graph as one: the 22 residual blocks behind the first of a ResNet-101's third stage, "×22".

Two cells are equal where their operations, shapes, parameters and multiply-adds are, all flow inside them, and every
skip; where each reads only the one before it, at the same places, and nobody else reads what is folded away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from lightning_resnets.blocks import Block, BlockGraph

Word = tuple[object, ...]  # how a block is met: (its place in the cell, as what)


@dataclass(frozen=True, slots=True)
class Cell:
    """The blocks of one cell, how they meet, what they are given from outside (how, by whom), and who reads them."""

    blocks: tuple[Block, ...]
    inner: frozenset[Word]
    given: tuple[tuple[Word, str], ...]
    readers: frozenset[str]
    shapes: dict[str, tuple[int, ...]]  # of who gives

    @property
    def places(self) -> dict[str, int]:
        return {block.name: place for place, block in enumerate(self.blocks)}


def repeats(graph: BlockGraph) -> BlockGraph:
    """The graph with every run of equal neighbouring cells as its first, whose blocks count for all (`Block.times`).

    Parameters and multiply-adds are those of all together, and so are the counts in the text; flow and skips are those
    of one, since the others' are the same. Dense layers differ in what they read and are never folded.
    """
    runs: list[list[Cell]] = []
    for cell in _cells(graph):
        if runs and _goes_on(runs[-1], cell):
            runs[-1].append(cell)
        else:
            runs.append([cell])
    into: dict[str, str] = {}
    for run in runs:
        for cell in run:
            into |= {block.name: kept.name for block, kept in zip(cell.blocks, run[0].blocks, strict=True)}
    kept = set(into.values())
    return replace(
        graph,
        blocks=tuple(block for run in runs for block in _together(run)),
        flow=tuple((into[source], target, operand) for source, target, operand in graph.flow if target in kept),
        skips=tuple(replace(skip, source=into[skip.source]) for skip in graph.skips if skip.merge in kept),
    )


def _cells(graph: BlockGraph) -> list[Cell]:
    """Blocks that follow one another in one cell, with all that they give and take."""
    met: dict[str, list[tuple[Word, str]]] = {block.name: [] for block in graph.blocks}
    readers: dict[str, set[str]] = {block.name: set() for block in graph.blocks}
    for source, target, operand in graph.flow:
        met[target].append((("flow", operand), source))
        readers[source].add(target)
    for skip in graph.skips:
        met[skip.merge].append((("skip", skip.kind, skip.operand, skip.projected), skip.source))
        readers[skip.source].add(skip.merge)
    shapes = {block.name: block.shape for block in graph.blocks}
    cells: list[Cell] = []
    for _, run in groupby(graph.blocks, key=lambda block: block.cell or block.name):
        blocks = tuple(run)
        places = {block.name: place for place, block in enumerate(blocks)}
        joined = [((place, *how), source) for name, place in places.items() for how, source in met[name]]
        inner = frozenset((*how, places[source]) for how, source in joined if source in places)
        given = tuple((how, source) for how, source in joined if source not in places)
        read = frozenset[str]().union(*(readers[name] for name in places)) - places.keys()
        cells.append(Cell(blocks, inner, given, read, {source: shapes[source] for _, source in given}))
    return cells


def _goes_on(run: Sequence[Cell], cell: Cell) -> bool:
    """True where the cell does after the run's last what that one does after the one before it."""
    last, places = run[-1], run[-1].places
    same = [_looks(block) for block in last.blocks] == [_looks(block) for block in cell.blocks]
    if not same or last.inner != cell.inner or not last.readers <= cell.places.keys():
        return False
    if [how for how, _ in last.given] != [how for how, _ in cell.given]:
        return False
    pairs = {(before, source) for (_, before), (_, source) in zip(last.given, cell.given, strict=True)}
    if not all(source in places for _, source in pairs):
        return False  # it reads what lies further back
    if len(run) > 1:
        former = run[-2].places
        return all(former[before] == places[source] for before, source in pairs)
    firsts, seconds = {before for before, _ in pairs}, {source for _, source in pairs}
    shapes = {block.name: block.shape for block in last.blocks}
    return len(pairs) == len(firsts) == len(seconds) and all(
        last.shapes[before] == shapes[source] for before, source in pairs
    )


def _looks(block: Block) -> Word:
    return (block.op, block.shape, block.parameters, block.macs, block.kind, block.stage, block.times)


def _together(run: Sequence[Cell]) -> list[Block]:
    """The first cell's blocks, each for its equals in the whole run."""
    alike = zip(*(cell.blocks for cell in run), strict=True)
    return [_counted(equal) for equal in alike]


def _counted(equal: Sequence[Block]) -> Block:
    if len(equal) == 1:
        return equal[0]
    return replace(
        equal[0],
        parameters=sum(block.parameters for block in equal),
        macs=sum(block.macs for block in equal),
        output=equal[-1].output,
        members=tuple(member for block in equal for member in block.members),
        times=sum(block.times for block in equal),
    )
