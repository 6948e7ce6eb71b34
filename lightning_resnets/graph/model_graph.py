"""The graph of a model with its methods: fold, print, export. `trace` returns one."""

from dataclasses import dataclass
from os import PathLike
from types import NoneType
from typing import TYPE_CHECKING, Self

from lightning_resnets.errors import GraphError
from lightning_resnets.graph.collapse_repeats import collapse_repeats as collapse_graph
from lightning_resnets.graph.data import FOLD_DEPTHS, FoldDepth, GraphData
from lightning_resnets.graph.export import from_json, save_graph, to_svg
from lightning_resnets.graph.fold import fold_blocks, fold_stages
from lightning_resnets.graph.summary import format_one_line, format_summary
from lightning_resnets.utils.arguments import check_bool, check_type
from lightning_resnets.utils.format import format_value

if TYPE_CHECKING:
    import networkx

# Fields of Node that become attributes of a node in networkx.
NETWORKX_FIELDS = ("op", "shape", "parameters", "macs", "kind", "repeat_count")

MAX_DRAWN_NODES = 120  # a drawing of more nodes cannot be read on a screen


def _fold_level(depth: object) -> int | None:
    """Return 1 for stages, 2 for blocks, None for modules; raise GraphError for anything else."""
    # Other types may not be hashable, so they cannot be looked up.
    if not isinstance(depth, (str, int, NoneType)) or depth not in FOLD_DEPTHS:
        raise GraphError(
            f"depth must be 1 (stage), 2 (block) or None (module, none), got {format_value(depth)}."
        )
    return FOLD_DEPTHS[depth]


@dataclass(frozen=True, slots=True, repr=False)
class ModelGraph(GraphData):
    """A model graph that can be folded, printed, drawn and saved."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a graph that `save("graph.json")` wrote.

        Args:
            text: the JSON document.

        Returns:
            The graph.

        Raises:
            GraphError: the document is not a valid graph.
        """
        check_type("text", text, str, "a JSON document", GraphError)
        return from_json(text, cls)

    def fold(self, depth: FoldDepth = "block", collapse_repeats: bool = False) -> "ModelGraph":
        """Fold operations into larger nodes for drawing.

        A block is the outermost module that is not a plain container: a residual block, a dense
        layer, a transition. Merges stay nodes under their own names (except in stages), together
        with the activation after them. A side path (a projection, the squeeze of a gate) becomes
        a node of its own. The result has no cycle.

        Args:
            depth: "stage" (or 1), "block" (2) or "module" (None), which folds nothing.
            collapse_repeats: replace equal neighbors by one node with a `repeat_count`.

        Returns:
            The folded graph.

        Raises:
            GraphError: the depth is not one of these.
        """
        level = _fold_level(depth)
        check_bool("collapse_repeats", collapse_repeats)
        folded = self
        # First to blocks, also for stages, which are folded from those.
        if level is not None:
            folded = fold_blocks(folded)
        if level == 1:
            folded = fold_stages(folded)
        if collapse_repeats:
            folded = collapse_graph(folded, self)
        return folded

    def to_networkx(self) -> "networkx.DiGraph[str]":
        """Convert the graph to networkx.

        Returns:
            A directed graph. Nodes have the attributes op, shape, parameters, macs, kind and
            repeat_count; edges have `operands` (indices) and `skip` (a MergeKind or None).
        """
        import networkx  # 0.1 s, which only this method needs

        graph: networkx.DiGraph[str] = networkx.DiGraph()
        for node in self.nodes:
            graph.add_node(node.name, **{name: getattr(node, name) for name in NETWORKX_FIELDS})
        skips = {(skip.merge, skip.operand): skip.kind for skip in self.skips}
        for source, target, operand in self.edges:
            # Two operands from one source share an edge.
            present = graph.get_edge_data(source, target, {"operands": (), "skip": None})
            # A shared edge is a skip if one of its operands is.
            skip = skips.get((target, operand)) or present["skip"]
            graph.add_edge(source, target, operands=(*present["operands"], operand), skip=skip)
        return graph

    def save(self, path: str | PathLike[str]) -> None:
        """Write the graph to a file.

        Args:
            path: its suffix selects the format: .json, .graphml, .dot, .svg or .txt.

        Raises:
            GraphError: the suffix is not one of these.
            OSError: the file cannot be written.
        """
        save_graph(self, path)

    def __str__(self) -> str:
        return format_summary(self)

    def __repr__(self) -> str:
        return format_one_line(self)

    def _repr_svg_(self) -> str:
        """Return the drawing for notebooks, folded where it would be too large."""
        return to_svg(self.fold_for_drawing())

    def fold_for_drawing(self) -> "ModelGraph":
        """Fold the graph if it is too large to be read.

        Returns:
            The graph itself up to 120 nodes; else folded to blocks with repeats collapsed.
        """
        if len(self.nodes) <= MAX_DRAWN_NODES:
            return self
        return self.fold("block", collapse_repeats=True)
