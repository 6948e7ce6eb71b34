"""Write a graph as GraphML, for networkx, yEd, Gephi and Cytoscape.

Brandes et al. 2002, graphml.graphdrawing.org.
"""

from collections.abc import Iterator

from lightning_resnets.graph.data import GraphData, Node, SkipConnection
from lightning_resnets.graph.export.xml_text import escape_xml

# networkx.write_graphml takes 3 times as long for DenseNet-201 (53 against 20 ms, after an import
# of a tenth of a second or more), and fails on names with characters that XML forbids. The tests
# read the document with networkx.

Value = str | int  # of a data element

NODE_KEYS: dict[str, str] = {
    "op": "string",
    "shape": "string",
    "parameters": "long",
    "macs": "long",
    "kind": "string",
    "stage": "string",
    "block": "string",
    "hook_point": "string",
    "members": "string",
    "repeat_count": "int",
    "is_module": "boolean",
}

EDGE_KEYS = {"operand": "int", "skip": "string", "source_of_skip": "string", "projection": "string"}

GRAPH_KEYS = {
    "parameters": "long",
    "macs": "long",
    "traced_by": "string",
    "merges_inserted": "string",
}


def to_graphml(graph: GraphData) -> str:
    """Write a graph as a directed multigraph.

    Args:
        graph: the graph.

    Returns:
        The document. A node's id is its name, and its keys are the fields of Node; shape and
        members are separated by spaces. Edges have their operand and, where they end a skip,
        its kind (`skip`), `source_of_skip` and `projection`. Empty values are left out. Characters
        that XML forbids are written as `\\x00`.
    """
    return "\n".join(_document(graph)) + "\n"


def _document(graph: GraphData) -> Iterator[str]:
    """Yield the lines of the document."""
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    # The schema wants keys before the graph.
    yield from _declare_keys("graph", GRAPH_KEYS)
    yield from _declare_keys("node", NODE_KEYS)
    yield from _declare_keys("edge", EDGE_KEYS)
    yield '  <graph edgedefault="directed">'
    yield from _data("graph", {name: getattr(graph, name) for name in GRAPH_KEYS}, 4)
    for node in graph.nodes:
        yield f'    <node id="{escape_xml(node.name)}">'
        yield from _data("node", _node_values(node))
        yield "    </node>"
    yield from _edges(graph)
    yield "  </graph>"
    yield "</graphml>"


def _declare_keys(target: str, keys: dict[str, str]) -> Iterator[str]:
    """Yield the declarations of the keys of graphs, nodes or edges."""
    for name, kind in keys.items():
        attributes = f'id="{target}.{name}" for="{target}" attr.name="{name}" attr.type="{kind}"'
        yield f"  <key {attributes}/>"


def _edges(graph: GraphData) -> Iterator[str]:
    """Yield the edges with their data."""
    skips = {(skip.merge, skip.operand): skip for skip in graph.skips}
    for number, (source, target, operand) in enumerate(graph.edges):
        ends = f'source="{escape_xml(source)}" target="{escape_xml(target)}"'
        # Two operands may have one source, so edges need ids.
        yield f'    <edge id="e{number}" {ends}>'
        yield from _data("edge", _edge_values(operand, skips.get((target, operand))))
        yield "    </edge>"


def _node_values(node: Node) -> dict[str, Value | None]:
    """Return the values of a node as text or numbers."""
    values = {name: getattr(node, name) for name in NODE_KEYS}
    return {
        **values,
        "shape": " ".join(map(str, node.shape)),
        "members": " ".join(node.members),
        "is_module": str(node.is_module).lower(),
    }


def _edge_values(operand: int, skip: SkipConnection | None) -> dict[str, Value | None]:
    """Return the values of an edge; `skip` is the skip connection that it ends."""
    if skip is None:
        return {"operand": operand}
    return {
        "operand": operand,
        "skip": skip.kind,
        "source_of_skip": skip.source,
        "projection": skip.projection,
    }


def _data(target: str, values: dict[str, Value | None], indent: int = 6) -> Iterator[str]:
    """Yield the data elements of all values that are not empty."""
    for name, value in values.items():
        # 0 and False are values.
        if value not in (None, ""):
            yield f'{" " * indent}<data key="{target}.{name}">{escape_xml(value)}</data>'
