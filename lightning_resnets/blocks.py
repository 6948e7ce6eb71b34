"""The plain data of a net's graph: blocks, what flows between them, and its skips; with a text form.

Nothing here knows torch's modules; `graph.trace` makes a BlockGraph of a net.
"""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lightning_resnets.merge import Kind

if TYPE_CHECKING:
    import networkx

Row = tuple[str, str, str, str, str, str]  # name, operation, output, parameters, multiply-adds, skips
Depth = Literal["stage", "block", "module", 1, 2] | None
DEPTHS: dict[object, int | None] = {"stage": 1, 1: 1, "block": 2, 2: 2, "module": None, None: None}
MARKS = {Kind.ADD: "⊕", Kind.CONCAT: "⧺", Kind.GATE: "⊗"}


@dataclass(frozen=True, slots=True)
class Block:
    """One operation, or several folded into one.

    `shape` is the output's without the batch, `macs` the multiply-adds of one picture. `kind` is set for a merge.
    `stage` and `cell` are the modules that it belongs to. `output` is the module whose output is the block's (a point
    for `probe`), empty where no module has it. `members` are the unfolded operations in order. `times` is more than 1
    where the block stands for equal ones that follow one another; its counts are then those of all together.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    kind: Kind | None = None
    stage: str = ""
    cell: str = ""
    output: str = ""
    members: tuple[str, ...] = ()
    times: int = 1


@dataclass(frozen=True, slots=True)
class Skip:
    """A path that goes round others and meets them again at `merge`, as its operand number `operand`.

    `source` is the block where it forks off. `projected` says how its shape changes on the way
    (`64→128 /2, conv 1x1`), None for the identity.
    """

    kind: Kind
    source: str
    merge: str
    operand: int
    projected: str | None = None


@dataclass(frozen=True, slots=True)
class BlockGraph:
    """A net as blocks in order of execution, `flow` as (source, target, operand index), and its skips.

    `followed` says by what the forward pass was followed: torch.fx, or the recorder, whose steps hold for one size,
    and where the net decides by its values are one way of several.
    """

    blocks: tuple[Block, ...]
    flow: tuple[tuple[str, str, int], ...]
    skips: tuple[Skip, ...]
    followed: Literal["torch.fx", "recorder", "recorder, one way of several"] = "torch.fx"

    @property
    def parameters(self) -> int:
        """All parameters that the forward pass uses."""
        return sum(block.parameters for block in self.blocks)

    @property
    def macs(self) -> int:
        """Multiply-adds of one picture, convolutions and linear layers only."""
        return sum(block.macs for block in self.blocks)

    @property
    def merges(self) -> tuple[Block, ...]:
        """The blocks where paths meet, skips or not."""
        return tuple(block for block in self.blocks if block.kind)

    def block(self, name: str) -> Block:
        """The block of that name, or the folded block that holds the operation; KeyError where there is none."""
        for block in self.blocks:
            if block.name == name or name in block.members:
                return block
        raise KeyError(f"This graph has no block called '{name}'.")

    def operands(self, name: str) -> tuple[str, ...]:
        """The names of the blocks that flow into this one, in the order of its operands."""
        found = sorted((operand, source) for source, target, operand in self.flow if target == name)
        return tuple(source for _, source in found)

    def fold(self, depth: Depth = "block", repeats: bool = False) -> "BlockGraph":
        """The graph with operations folded for drawing: to "stage" (or 1), "block" (2), or "module" (None): not at all.

        A block is the outermost module that is no plain container: a residual block, a dense layer, a transition.
        Merges stay blocks under their own names (except in stages), with the activation behind them; what lies on a
        side path (a projection, the squeeze of a gate) is a block of its own. With `repeats`, neighbours that are equal
        in all that is counted become one that says how often (`Block.times`). The result has no cycle.
        """
        from lightning_resnets.folding import cells, stages
        from lightning_resnets.repeats import repeats as once

        if depth not in DEPTHS:
            raise ValueError(f"A graph folds to depth 1 (stage), 2 (block) or None (module), not {depth!r}.")
        level = DEPTHS[depth]
        folded = self if level is None else cells(self) if level == 2 else stages(cells(self))
        return once(folded, self) if repeats else folded

    def networkx(self) -> "networkx.DiGraph[str]":
        """The same as a networkx graph: node attributes as in Block; edge attributes `operands` and `skip` (a Kind)."""
        import networkx

        graph: networkx.DiGraph[str] = networkx.DiGraph()
        for block in self.blocks:
            graph.add_node(
                block.name,
                op=block.op,
                shape=block.shape,
                parameters=block.parameters,
                macs=block.macs,
                kind=block.kind,
                times=block.times,
            )
        skips = {(skip.merge, skip.operand): skip.kind for skip in self.skips}
        for source, target, operand in self.flow:
            before = graph.get_edge_data(source, target, {"operands": (), "skip": None})
            skip = skips.get((target, operand)) or before["skip"]
            graph.add_edge(source, target, operands=(*before["operands"], operand), skip=skip)
        return graph

    def __str__(self) -> str:
        return outline(self)


def outline(graph: BlockGraph) -> str:
    """The graph as text: a line a block, indented under its stage, and the counts of its skips in the last lines."""
    rows = [("", "", "output", "parameters", "mult-adds", "")]
    held = Counter(block.stage for block in graph.blocks)
    stage = ""
    for block in graph.blocks:
        if held[block.stage] > 1 and block.stage != stage and block.stage:
            rows.append(_header(block.stage, graph))
        stage = block.stage
        rows.append(_row(block, graph, indent=held[stage] > 1 and bool(stage)))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, "", *_totals(graph)])


def _aligned(row: Row, widths: list[int]) -> list[str]:
    cells = zip(row[:5], widths, strict=True)
    return [*(text.rjust(width) if i in (3, 4) else text.ljust(width) for i, (text, width) in enumerate(cells)), row[5]]


def _header(stage: str, graph: BlockGraph) -> Row:
    blocks = [block for block in graph.blocks if block.stage == stage]
    parameters, macs = sum(block.parameters for block in blocks), sum(block.macs for block in blocks)
    return (stage, "", _shape(blocks[-1]), _count(parameters), _count(macs), "")


def _row(block: Block, graph: BlockGraph, indent: bool) -> Row:
    name = f"  {_short(block.name, block.stage)}" if indent else block.name
    name += f" ×{block.times}" if block.times > 1 else ""
    op = f"{MARKS[block.kind]} {block.op}" if block.kind else block.op
    skips = [skip for skip in graph.skips if skip.merge == block.name]
    return (name, op, _shape(block), _count(block.parameters), _count(block.macs), _sources(skips, block.stage))


def _sources(skips: list[Skip], stage: str) -> str:
    names = [_short(skip.source, stage) + (f" ({skip.projected})" if skip.projected else "") for skip in skips]
    if len(names) > 3:
        names = [f"{names[0]}, {names[1]} … {names[-1]} ({len(names)})"]
    return "← " + ", ".join(names) if names else ""


def _totals(graph: BlockGraph) -> list[str]:
    times = {block.name: block.times for block in graph.blocks}
    count: Counter[Kind] = Counter()
    for skip in graph.skips:
        count[skip.kind] += times[skip.merge]
    projected = sum(times[skip.merge] for skip in graph.skips if skip.projected is not None)
    notes = {Kind.ADD: f" ({projected} projected)" if projected else ""}
    kinds = ", ".join(f"{count[kind]} {kind}{notes.get(kind, '')}" for kind in Kind if count[kind])
    skipping = {skip.merge for skip in graph.skips}
    plain = sum(block.times for block in graph.merges if block.name not in skipping)
    lines = [f"{count.total()} {'skip' if count.total() == 1 else 'skips'}" + (f": {kinds}" if kinds else "")]
    if plain:
        lines.append(f"{plain} {'merge' if plain == 1 else 'merges'} of even branches, no skip")
    if graph.followed != "torch.fx":
        lines.append(f"followed for this size alone, by the {graph.followed}")
    return [*lines, f"{graph.parameters:,} parameters, {_large(graph.macs)} multiply-adds"]


def _short(name: str, stage: str) -> str:
    return name.removeprefix(f"{stage}.") if stage else name


def _shape(block: Block) -> str:
    return "×".join(str(side) for side in block.shape)


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _large(number: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number:,}"
