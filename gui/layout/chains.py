"""Recognition of graphs that are one chain from input to output with skips around it."""

from dataclasses import dataclass
from itertools import chain, pairwise

from gui.graph import Edge, Graph, Node, SkipConnection
from gui.layout.geometry import input_edges, spatial_size

Path = tuple[str, ...]
InputEdges = dict[str, tuple[Edge, ...]]


@dataclass(frozen=True, slots=True)
class ResidualChain:
    """The nodes of a chain with additive shortcuts and gates.

    Attributes:
        order: The nodes on the spine, in execution order.
        projection_nodes: The nodes on each shortcut, by (merge, operand).
        gate_weight_nodes: The nodes that compute the weight of each gate.
    """

    order: Path
    projection_nodes: dict[tuple[str, int], Path]
    gate_weight_nodes: dict[str, Path]


@dataclass(frozen=True, slots=True)
class DenseBlock:
    """A run of concatenations, each with all inputs of the previous one and one more layer."""

    sources: Path
    merges: Path


@dataclass(frozen=True, slots=True)
class DenseChain:
    """The nodes of a chain and the dense blocks along it."""

    order: Path
    blocks: tuple[DenseBlock, ...]


def path_between(links: InputEdges, merge: str, operand: int, stop: str) -> Path | None:
    """Return the nodes between a fork and an operand of a merge.

    Args:
        links: The edges into each node, from `input_edges`.
        merge: The name of the merge.
        operand: The index of its operand.
        stop: The name of the fork.

    Returns:
        The names in execution order, or None if there is not exactly one path.
    """
    current = next((edge.source for edge in links[merge] if edge.operand == operand), None)
    path: list[str] = []
    while current is not None and current != stop:
        path.append(current)
        incoming = links[current]
        # Where a node reads several others there is no single path.
        current = incoming[0].source if len(incoming) == 1 else None
    if current is None:
        return None
    return tuple(reversed(path))


def match_residual_chain(diagram: Graph) -> ResidualChain | None:
    """Match a graph against a chain with additive shortcuts and gates.

    Args:
        diagram: The folded graph.

    Returns:
        The chain, or None if any edge does not fit.
    """
    links = input_edges(diagram)
    projections = _projection_nodes(diagram, links)
    weights = _gate_weight_nodes(diagram, links)
    if projections is None or weights is None:
        return None
    side_paths = [*projections.values(), *weights.values()]
    off_spine = set(chain.from_iterable(side_paths))
    order = tuple(node.name for node in diagram.nodes if node.name not in off_spine)
    if not _covers_all_edges(diagram, order, side_paths):
        return None
    on_spine = set(order)
    # An arc starts and ends on the spine; anything else needs the layered drawing.
    if any(not {skip.source, skip.merge} <= on_spine for skip in diagram.skips):
        return None
    return ResidualChain(order, projections, weights)


def _projection_nodes(diagram: Graph, links: InputEdges) -> dict[tuple[str, int], Path] | None:
    """Collect the nodes on each additive shortcut, None if a skip does not fit."""
    projections: dict[tuple[str, int], Path] = {}
    for skip in diagram.skips:
        path = path_between(links, skip.merge, skip.operand, skip.source)
        if skip.kind == "concat" or path is None:
            return None
        # The skip of a gate is the gated value itself, with no node in between.
        if skip.kind == "gate" and path:
            return None
        if skip.kind == "add":
            projections[skip.merge, skip.operand] = path
    return projections


def _gate_weight_nodes(diagram: Graph, links: InputEdges) -> dict[str, Path] | None:
    """Collect the nodes that compute the weight of each gate, None if a gate does not fit."""
    weights: dict[str, Path] = {}
    for skip in diagram.skips:
        if skip.kind != "gate":
            continue
        for edge in links[skip.merge]:
            if edge.operand == skip.operand:
                continue
            path = path_between(links, skip.merge, edge.operand, skip.source)
            # There is space below a block for one weight path.
            if not path or skip.merge in weights:
                return None
            weights[skip.merge] = path
    return weights


def _covers_all_edges(diagram: Graph, order: Path, side_paths: list[Path]) -> bool:
    """Return True if the spine and the side paths are exactly the edges of the graph."""
    spine_edges = set(pairwise(order))
    graph_edges = {(edge.source, edge.target) for edge in diagram.edges}
    # A path of n nodes beside the spine has n + 1 edges.
    side_edge_count = sum(len(path) + 1 for path in side_paths)
    edge_count = len(spine_edges) + side_edge_count
    return spine_edges <= graph_edges and edge_count == len(diagram.edges)


def match_dense_chain(diagram: Graph) -> DenseChain | None:
    """Match a graph against a chain of dense blocks.

    Args:
        diagram: The folded graph.

    Returns:
        The chain, or None if any edge does not fit.
    """
    # An addition across a block would have no line in this drawing.
    if not diagram.skips or any(skip.kind != "concat" for skip in diagram.skips):
        return None
    links = input_edges(diagram)
    order = tuple(node.name for node in diagram.nodes)
    for before, name in pairwise(order):
        # The last operand of every node is the node executed before it.
        if not links[name] or links[name][-1].source != before:
            return None
    blocks = _dense_blocks(diagram, links)
    if blocks is None:
        return None
    return DenseChain(order, blocks)


def _dense_blocks(diagram: Graph, links: InputEdges) -> tuple[DenseBlock, ...] | None:
    """Collect the dense blocks in execution order, None if a node does not fit."""
    blocks: list[DenseBlock] = []
    for node in diagram.nodes:
        sources = tuple(edge.source for edge in links[node.name])
        if node.kind != "concat":
            if len(sources) > 1:
                return None
        # The same inputs and one more layer: the block goes on.
        elif blocks and sources[:-1] == blocks[-1].sources:
            blocks[-1] = DenseBlock(sources, (*blocks[-1].merges, node.name))
        # A block begins with its input and its first layer.
        elif len(sources) == 2:
            blocks.append(DenseBlock(sources, (node.name,)))
        else:
            return None
    return tuple(blocks)


def unbreakable_groups(order: Path, skips: tuple[SkipConnection, ...]) -> list[Path]:
    """Split a chain into groups that must stay on one line.

    Args:
        order: The nodes on the spine.
        skips: The skip connections; each keeps the nodes from its fork to its merge together.

    Returns:
        The groups in execution order.
    """
    index = {name: i for i, name in enumerate(order)}
    joined: set[int] = set()
    for skip in skips:
        # The node after the fork starts the group, the ones after it join.
        joined.update(range(index[skip.source] + 2, index[skip.merge] + 1))
        # Also where the skip goes around nothing and the range is empty.
        joined.add(index[skip.merge])
    groups: list[list[str]] = []
    for i, name in enumerate(order):
        if groups and i in joined:
            groups[-1].append(name)
        else:
            groups.append([name])
    return [tuple(group) for group in groups]


def group_by_resolution(groups: list[Path], nodes: dict[str, Node]) -> list[list[Path]]:
    """Collect groups of equal output resolution into stages.

    Single nodes at the front join the next stage, vectors the last one.

    Args:
        groups: The result of `unbreakable_groups`.
        nodes: The nodes of the graph by name.

    Returns:
        One list of groups per stage.
    """
    stages: list[list[Path]] = []
    last_size: tuple[int, ...] | None = None
    for group in groups:
        size = spatial_size(nodes[group[-1]])
        # A stem alone is too little for a row of its own.
        is_stem_alone = len(stages) == 1 and _is_stem(stages[0], nodes)
        if stages and (not size or size == last_size or is_stem_alone):
            stages[-1].append(group)
        else:
            stages.append([group])
        # Vectors have no size and stay in the stage before them.
        last_size = size or last_size
    return stages


def _is_stem(stage: list[Path], nodes: dict[str, Node]) -> bool:
    """Return True for single nodes of which at most the last has its resolution."""
    return all(len(group) == 1 for group in stage) and trailing_run_length(stage, nodes) < 2


def trailing_run_length(stage: list[Path], nodes: dict[str, Node]) -> int:
    """Count the nodes with the resolution of the last one, without the input.

    Args:
        stage: The groups of one stage.
        nodes: The nodes of the graph by name.

    Returns:
        The number of nodes, 0 for a stage of nothing but the input.
    """
    names = [name for name in chain.from_iterable(stage) if nodes[name].kind != "input"]
    sizes = [spatial_size(nodes[name]) for name in names]
    if not sizes:
        return 0
    return sizes.count(sizes[-1])
