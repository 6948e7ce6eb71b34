"""Reads a diagram as one way from input to output with skips around it, or says that it is none."""

from dataclasses import dataclass
from itertools import pairwise

from gui.graph import Edge, Graph, Node, SkipConnection
from gui.layout.geometry import input_edges, spatial_size


@dataclass(frozen=True, slots=True)
class ResidualChain:
    """The nodes on the way, those that lie on a shortcut by (merge, operand), those that make a gate's weight."""

    order: tuple[str, ...]
    projection_nodes: dict[tuple[str, int], tuple[str, ...]]
    gate_weight_nodes: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class DenseBlock:
    """A run of concatenations, each of all that the one before had and one layer more."""

    sources: tuple[str, ...]
    merges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DenseChain:
    """The nodes on the way and the dense blocks along it."""

    order: tuple[str, ...]
    blocks: tuple[DenseBlock, ...]


def path_between(
    links: dict[str, tuple[Edge, ...]], merge: str, operand: int, stop: str
) -> tuple[str, ...] | None:
    """The nodes between `stop` and `operand` of `merge`, in order; None where that is no single way."""
    first = next((link.source for link in links[merge] if link.operand == operand), None)
    found: list[str] = []
    while first is not None and first != stop:
        found.append(first)
        before = links[first]
        first = before[0].source if len(before) == 1 else None
    return None if first is None else tuple(reversed(found))


def match_residual_chain(diagram: Graph) -> ResidualChain | None:
    """The diagram as a chain with additive shortcuts and gates, None where some link fits neither."""
    links = input_edges(diagram)
    beside: dict[tuple[str, int], tuple[str, ...]] = {}
    below: dict[str, tuple[str, ...]] = {}
    for skip in diagram.skips:
        way = path_between(links, skip.merge, skip.operand, skip.source)
        if skip.kind == "concat" or way is None or (skip.kind == "gate" and way):
            return None
        if skip.kind == "add":
            beside[skip.merge, skip.operand] = way
        for link in links[skip.merge] if skip.kind == "gate" else ():
            if link.operand != skip.operand:
                weight = path_between(links, skip.merge, link.operand, skip.source)
                if not weight or skip.merge in below:
                    return None
                below[skip.merge] = weight
    off = {name for way in (*beside.values(), *below.values()) for name in way}
    order = tuple(node.name for node in diagram.nodes if node.name not in off)
    steps = set(pairwise(order))
    direct = {(link.source, link.target) for link in diagram.edges}
    spoken = len(steps) + sum(len(way) + 1 for way in (*beside.values(), *below.values()))
    if not steps <= direct or spoken != len(diagram.edges):
        return None
    place = {name: i for i, name in enumerate(order)}
    forks = all(skip.source in place and skip.merge in place for skip in diagram.skips)
    return ResidualChain(order, beside, below) if forks else None


def match_dense_chain(diagram: Graph) -> DenseChain | None:
    """The diagram as a chain of dense blocks, None where some link fits neither."""
    if not diagram.skips or any(skip.kind != "concat" for skip in diagram.skips):
        return None
    links = input_edges(diagram)
    order = tuple(node.name for node in diagram.nodes)
    for before, name in pairwise(order):
        if not links[name] or links[name][-1].source != before:
            return None
    kinds = {node.name: node.kind for node in diagram.nodes}
    blocks: list[DenseBlock] = []
    for name in order:
        if kinds[name] != "concat":
            if len(links[name]) > 1:
                return None
            continue
        sources = tuple(link.source for link in links[name])
        if blocks and sources[:-1] == blocks[-1].sources:
            blocks[-1] = DenseBlock(sources, (*blocks[-1].merges, name))
        elif len(sources) == 2:
            blocks.append(DenseBlock(sources, (name,)))
        else:
            return None
    return DenseChain(order, tuple(blocks))


def unbreakable_groups(
    order: tuple[str, ...], skips: tuple[SkipConnection, ...]
) -> list[tuple[str, ...]]:
    """The chain cut into pieces that must stay on one line: a skip keeps all between its fork and its merge."""
    at = {name: i for i, name in enumerate(order)}
    joined = {i for skip in skips for i in range(at[skip.source] + 2, at[skip.merge] + 1)}
    joined |= {at[skip.merge] for skip in skips}
    pieces: list[list[str]] = []
    for i, name in enumerate(order):
        if pieces and i in joined:
            pieces[-1].append(name)
        else:
            pieces.append([name])
    return [tuple(piece) for piece in pieces]


def group_by_resolution(
    pieces: list[tuple[str, ...]], nodes: dict[str, Node]
) -> list[list[tuple[str, ...]]]:
    """Pieces grouped by the spatial size they put out; lone ones at the front join the next, vectors the last."""
    rows: list[list[tuple[str, ...]]] = []
    size: tuple[int, ...] | None = None
    for piece in pieces:
        here = spatial_size(nodes[piece[-1]])
        alone = (
            bool(rows)
            and len(rows) == 1
            and all(len(p) == 1 for p in rows[0])
            and trailing_run_length(rows[0], nodes) < 2
        )
        if rows and (not here or here == size or alone):
            rows[-1].append(piece)
        else:
            rows.append([piece])
        size = here or size
    return rows


def trailing_run_length(row: list[tuple[str, ...]], nodes: dict[str, Node]) -> int:
    """How many nodes at the end of a row, the input not counted, have one spatial size."""
    names = [name for piece in row for name in piece if nodes[name].kind != "input"]
    sizes = [spatial_size(nodes[name]) for name in names]
    return sum(1 for size in sizes if size == sizes[-1]) if sizes else 0
