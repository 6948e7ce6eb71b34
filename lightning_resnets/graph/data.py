"""Plain data of a model graph: nodes, edges and skip connections."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, NamedTuple

from lightning_resnets.merges import MergeKind

TraceBackend = Literal["torch.fx", "recorder"]

Edge = tuple[str, str, int]  # source node, target node, operand index

FoldDepth = Literal["stage", "stages", "block", "blocks", "module", "modules", "none", 1, 2] | None

FOLD_DEPTHS: dict[object, int | None] = {
    # Words and numbers: the CLI takes plurals, the API either.
    **dict.fromkeys(("stage", "stages", 1), 1),
    **dict.fromkeys(("block", "blocks", 2), 2),
    **dict.fromkeys(("module", "modules", "none", None)),
}

MERGE_SYMBOLS = {MergeKind.ADD: "⊕", MergeKind.CONCAT: "⧺", MergeKind.GATE: "⊗"}


@dataclass(frozen=True, slots=True)
class Node:
    """One operation, or several folded into one.

    Attributes:
        name: unique in the graph.
        op: the operation in words, such as "conv 3x3 /2".
        shape: shape of the output without the batch.
        parameters: number of parameters, shared ones counted once.
        macs: multiply-adds for one image.
        kind: set for a merge.
        stage: module that holds the blocks of this stage.
        block: module of the residual or dense block that the node belongs to.
        hook_point: module whose output is the node's output; empty where there is none.
        members: names of the unfolded operations in order.
        repeat_count: more than 1 where the node stands for equal neighbors; parameters and
            macs are then those of all of them together.
        is_module: False for the name of a function (`relu`), which cannot be hooked.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    kind: MergeKind | None = None
    stage: str = ""
    block: str = ""
    hook_point: str = ""
    members: tuple[str, ...] = ()
    repeat_count: int = 1
    is_module: bool = True


@dataclass(frozen=True, slots=True)
class SkipConnection:
    """A path that bypasses others and rejoins them at a merge.

    Attributes:
        kind: kind of the merge.
        source: node where the path forks off.
        merge: node where it rejoins.
        operand: index among the merge's inputs.
        projection: operations on the path (`64→128 /2, conv 1x1`, `64, norm`, `116→58, slice`);
            None for the identity.
    """

    kind: MergeKind
    source: str
    merge: str
    operand: int
    projection: str | None = None


class NonlinearityCounts(NamedTuple):
    """Numbers of activation functions between the image and the output.

    Attributes:
        longest: on the path with most of them.
        shortest: on the path with fewest, which takes every shortcut.
    """

    longest: int
    shortest: int


@dataclass(frozen=True, slots=True, repr=False)
class GraphData:
    """The nodes of a model in order of execution, the edges between them and its skips.

    Attributes:
        nodes: in order of execution.
        edges: (source, target, operand index) each.
        skips: skip connections in order of their merges.
        traced_by: the backend. A recorded graph is valid for one input size. Where the model
            branches on values, it is one of several possible graphs.
        merges_inserted: "by the model" if the merges are its own modules; "by insert_merges" if
            their names exist only in the model that `insert_merges` returns.
        hidden_skips: skips inside a folded node, named as before the fold.
        non_skip_merges: number of merges of parallel branches inside folded nodes.
        nonlinearities: activation functions on the longest and shortest path; None if unknown.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    skips: tuple[SkipConnection, ...]
    traced_by: Literal["torch.fx", "recorder", "recorder, one way of several"] = "torch.fx"
    merges_inserted: Literal["by the model", "by insert_merges"] = "by the model"
    # Kept so that totals stay those of the whole model.
    hidden_skips: tuple[SkipConnection, ...] = ()
    non_skip_merges: int = 0
    nonlinearities: NonlinearityCounts | None = None

    @property
    def parameters(self) -> int:
        """Return the number of parameters that the forward pass uses."""
        return sum(node.parameters for node in self.nodes)

    @property
    def macs(self) -> int:
        """Return the multiply-adds of convolutions and linear layers for one image."""
        return sum(node.macs for node in self.nodes)

    @property
    def merges(self) -> tuple[Node, ...]:
        """Return the nodes in which paths merge, skips or not."""
        return tuple(node for node in self.nodes if node.kind)

    def node(self, name: str) -> Node:
        """Return a node by name.

        Args:
            name: name of the node, or of an operation that is folded into it.

        Returns:
            The node.

        Raises:
            KeyError: there is none; the message lists the nearest names.
        """
        for node in self.nodes:
            if node.name == name or name in node.members:
                return node
        raise KeyError(self._unknown_node_message(name))

    def _unknown_node_message(self, name: str) -> str:
        """List nodes with similar names."""
        known: dict[str, None] = {}
        for node in self.nodes:
            known |= dict.fromkeys((node.name, *node.members))
        # A name without similar ones still gets examples.
        similar = get_close_matches(name, known, n=3) or [node.name for node in self.nodes[:5]]
        return f"The graph has no node '{name}'; it has {', '.join(similar)} and others."

    def inputs(self, name: str) -> tuple[str, ...]:
        """Return the inputs of one node.

        Args:
            name: name of the node.

        Returns:
            Names of the source nodes in operand order.
        """
        edges = [edge for edge in self.edges if edge[1] == name]
        return tuple(source for source, _, _ in sorted(edges, key=_operand))

    def all_inputs(self) -> dict[str, tuple[str, ...]]:
        """Return the inputs of every node in one pass over the edges.

        Returns:
            For each node the names of its source nodes in operand order.
        """
        return inputs_by_node(self.nodes, self.edges)


def inputs_by_node(nodes: Iterable[Node], edges: Iterable[Edge]) -> dict[str, tuple[str, ...]]:
    """Return the inputs of every node.

    Args:
        nodes: all nodes.
        edges: (source, target, operand index) each.

    Returns:
        For each node the names of its source nodes in operand order.
    """
    found: dict[str, list[str]] = {node.name: [] for node in nodes}
    for source, target, _ in sorted(edges, key=_operand):
        found[target].append(source)
    return {name: tuple(sources) for name, sources in found.items()}


def _operand(edge: Edge) -> int:
    """Return the operand index of an edge."""
    return edge[2]


def group_by_stage(graph: GraphData) -> dict[str, list[str]]:
    """Group the nodes by stage.

    Args:
        graph: the graph.

    Returns:
        For each stage with more than one node the names of its nodes.
    """
    stages: dict[str, list[str]] = {}
    for node in graph.nodes:
        stages.setdefault(node.stage, []).append(node.name)
    return {stage: names for stage, names in stages.items() if stage and len(names) > 1}
