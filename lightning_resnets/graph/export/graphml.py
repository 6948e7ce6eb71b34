"""A graph as GraphML, for networkx, yEd, Gephi and Cytoscape (Brandes et al. 2002, graphml.graphdrawing.org)."""

from collections.abc import Iterator

from lightning_resnets.graph.data import GraphData, Node, SkipConnection
from lightning_resnets.graph.export.xml_text import escape_xml

Value = str | int


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


GRAPH_KEYS = {"parameters": "long", "macs": "long"}


def to_graphml(graph: GraphData) -> str:
    """The graph as a directed multigraph; a node's id is the block's name.

    Nodes have what Block has, `shape` and `members` as numbers and names with spaces between. Edges have their
    `operand`, and where they end a skip its kind as `skip`, `source_of_skip` and `projection`; what is empty is left
    out. Characters that XML forbids are spelt out.
    """
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: GraphData) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    more = {"traced_by": "string", "merges_inserted": "string"}
    for target, keys in (
        ("graph", {**GRAPH_KEYS, **more}),
        ("node", NODE_KEYS),
        ("edge", EDGE_KEYS),
    ):
        for name, kind in keys.items():
            yield f'  <key id="{target}.{name}" for="{target}" attr.name="{name}" attr.type="{kind}"/>'
    yield '  <graph edgedefault="directed">'
    yield from _data("graph", {name: getattr(graph, name) for name in (*GRAPH_KEYS, *more)}, 4)
    for block in graph.nodes:
        yield f'    <node id="{escape_xml(block.name)}">'
        yield from _data("node", _node(block))
        yield "    </node>"
    skips = {(skip.merge, skip.operand): skip for skip in graph.skips}
    for place, (source, target, operand) in enumerate(graph.edges):
        yield f'    <edge id="e{place}" source="{escape_xml(source)}" target="{escape_xml(target)}">'
        yield from _data("edge", _edge(operand, skips.get((target, operand))))
        yield "    </edge>"
    yield "  </graph>"
    yield "</graphml>"


def _node(block: Node) -> dict[str, Value | None]:
    values = {name: getattr(block, name) for name in NODE_KEYS}
    return {
        **values,
        "shape": " ".join(map(str, block.shape)),
        "members": " ".join(block.members),
        "is_module": str(block.is_module).lower(),
    }


def _edge(operand: int, skip: SkipConnection | None) -> dict[str, Value | None]:
    if skip is None:
        return {"operand": operand}
    return {
        "operand": operand,
        "skip": skip.kind,
        "source_of_skip": skip.source,
        "projection": skip.projection,
    }


def _data(target: str, values: dict[str, Value | None], indent: int = 6) -> Iterator[str]:
    for name, value in values.items():
        if value not in (None, ""):
            yield f'{" " * indent}<data key="{target}.{name}">{escape_xml(value)}</data>'
