"""The graph of a model with its methods: fold, print, export. `trace` returns one."""

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Self

from lightning_resnets.graph.collapse_repeats import collapse_repeats
from lightning_resnets.graph.data import FOLD_DEPTHS, FoldDepth, GraphData
from lightning_resnets.graph.export import from_json, save_graph, to_svg
from lightning_resnets.graph.fold import fold_blocks, fold_stages
from lightning_resnets.graph.summary import format_one_line, format_summary

if TYPE_CHECKING:
    import networkx

MAX_DRAWN_NODES = 120  # more than this cannot be read on a screen


@dataclass(frozen=True, slots=True, repr=False)
class ModelGraph(GraphData):
    """A model graph that can be folded, printed, drawn and saved."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `save("graph.json")` wrote; raises GraphError."""
        return from_json(text, cls)

    def fold(self, depth: FoldDepth = "block", repeats: bool = False) -> "ModelGraph":
        """The graph with operations folded for drawing: to "stage" (or 1), "block" (2), or "module" (None): not at all.

        A block is the outermost module that is no plain container: a residual block, a dense layer, a transition.
        Merges stay blocks under their own names (except in stages), with the activation behind them; what lies on a
        side path (a projection, the squeeze of a gate) is a block of its own. With `repeats`, neighbors that are equal
        in all that is counted become one that says how often (`Block.times`). The result has no cycle.
        """
        if depth not in FOLD_DEPTHS:
            raise ValueError(
                f"A graph folds to depth 1 (stage), 2 (block) or None (module, none), not {depth!r}."
            )
        level = FOLD_DEPTHS[depth]
        folded = self
        if level is not None:
            folded = fold_blocks(folded)
        if level == 1:
            folded = fold_stages(folded)
        return collapse_repeats(folded, self) if repeats else folded

    def to_networkx(self) -> "networkx.DiGraph[str]":
        """The same as a networkx graph: node attributes as in Block; edge attributes `operands` and `skip` (a Kind)."""
        import networkx  # 0.1 s, which only this method needs

        graph: networkx.DiGraph[str] = networkx.DiGraph()
        for block in self.nodes:
            graph.add_node(
                block.name,
                op=block.op,
                shape=block.shape,
                parameters=block.parameters,
                macs=block.macs,
                kind=block.kind,
                times=block.repeat_count,
            )
        skips = {(skip.merge, skip.operand): skip.kind for skip in self.skips}
        for source, target, operand in self.edges:
            before = graph.get_edge_data(source, target, {"operands": (), "skip": None})
            skip = skips.get((target, operand)) or before["skip"]
            graph.add_edge(source, target, operands=(*before["operands"], operand), skip=skip)
        return graph

    def save(self, path: str | PathLike[str]) -> None:
        """Write the graph as the file's ending says: .json, .graphml, .dot, .svg or .txt; ValueError for another."""
        save_graph(self, path)

    def __str__(self) -> str:
        return format_summary(self)

    def __repr__(self) -> str:
        return format_one_line(self)

    def _repr_svg_(self) -> str:
        """The drawing, for notebooks: where it would be too large, folded to blocks with equal neighbors as one."""
        return to_svg(self.fold_for_drawing())

    def fold_for_drawing(self) -> "ModelGraph":
        """Return the graph itself or, where it is too large to be read, folded to blocks with repeats collapsed."""
        return self if len(self.nodes) <= MAX_DRAWN_NODES else self.fold("block", repeats=True)
