"""The plain data of a net's graph: blocks, what flows between them, and its skips.

Nothing here knows torch's modules; `graph.trace` makes a BlockGraph of a net, and `outline.py` its text.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from os import PathLike
from typing import TYPE_CHECKING, Literal

from lightning_resnets.merge import Kind

if TYPE_CHECKING:
    import networkx

Depth = Literal["stage", "stages", "block", "blocks", "module", "modules", "none", 1, 2] | None
DEPTHS: dict[object, int | None] = {
    **dict.fromkeys(("stage", "stages", 1), 1),
    **dict.fromkeys(("block", "blocks", 2), 2),
    **dict.fromkeys(("module", "modules", "none", None)),
}
MARKS = {Kind.ADD: "⊕", Kind.CONCAT: "⧺", Kind.GATE: "⊗"}


@dataclass(frozen=True, slots=True)
class Block:
    """One operation, or several folded into one.

    `shape` is the output's without the batch, `macs` the multiply-adds of one picture. `kind` is set for a merge.
    `stage` and `cell` are the modules that it belongs to. `output` is the module whose output is the block's (a point
    for `probe`), empty where no module has it. `members` are the unfolded operations in order. `times` is more than 1
    where the block stands for equal ones that follow one another; its counts are then those of all together. `module`
    is false for a name that no module of the net has (`relu`, of a function): it is no point for a probe.
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
    module: bool = True


@dataclass(frozen=True, slots=True)
class Skip:
    """A path that goes round others and meets them again at `merge`, as its operand number `operand`.

    `source` is the block where it forks off. `projected` says what is done to it on the way (`64→128 /2, conv 1x1`,
    `64, norm`, `116→58, slice`), None for the identity.
    """

    kind: Kind
    source: str
    merge: str
    operand: int
    projected: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class BlockGraph:
    """A net as blocks in order of execution, `flow` as (source, target, operand index), and its skips.

    `followed` says by what the forward pass was followed: torch.fx, or the recorder, whose steps hold for one size,
    and where the net decides by its values are one way of several. `named` says whose the names of the merges are: the
    net's own modules', or those that `reveal` gives to joins by functions. `inside` are skips that a fold has taken
    into a block, named as before it, and `even` counts the merges of even branches there.
    """

    blocks: tuple[Block, ...]
    flow: tuple[tuple[str, str, int], ...]
    skips: tuple[Skip, ...]
    followed: Literal["torch.fx", "recorder", "recorder, one way of several"] = "torch.fx"
    named: Literal["by the net", "by reveal"] = "by the net"
    inside: tuple[Skip, ...] = ()
    even: int = 0

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
        """The block of that name, or the folded block that holds the operation.

        Raises KeyError where there is none, with the nearest names.
        """
        for block in self.blocks:
            if block.name == name or name in block.members:
                return block
        every = dict.fromkeys(one for block in self.blocks for one in (block.name, *block.members))
        near = get_close_matches(name, every, n=3) or [block.name for block in self.blocks[:5]]
        raise KeyError(f"This graph has no block called '{name}': it has {', '.join(near)} and others.")

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
            raise ValueError(f"A graph folds to depth 1 (stage), 2 (block) or None (module, none), not {depth!r}.")
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

    def save(self, path: str | PathLike[str]) -> None:
        """Write the graph as the file's ending says: .json, .graphml, .dot, .svg or .txt; ValueError for another."""
        from lightning_resnets.exports import save

        save(self, path)

    def __str__(self) -> str:
        from lightning_resnets.outline import outline

        return outline(self)

    def __repr__(self) -> str:
        from lightning_resnets.outline import short

        return short(self)

    def _repr_svg_(self) -> str:
        """The drawing, for notebooks: where it would be too large, folded to blocks with equal neighbours as one."""
        from lightning_resnets.exports import drawable, to_svg

        return to_svg(drawable(self))
