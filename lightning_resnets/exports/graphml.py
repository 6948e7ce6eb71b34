"""A graph as GraphML, for networkx, yEd, Gephi and Cytoscape (Brandes et al. 2002, graphml.graphdrawing.org)."""

from collections.abc import Iterator

from lightning_resnets.blocks import Block, BlockGraph, Skip
from lightning_resnets.exports.plain import xml

Value = str | int
NODE: dict[str, str] = {
    "op": "string", "shape": "string", "parameters": "long", "macs": "long", "kind": "string", "stage": "string",
    "cell": "string", "output": "string", "members": "string", "times": "int",
    "module": "boolean",
}  # fmt: skip
EDGE = {"operand": "int", "skip": "string", "source_of_skip": "string", "projected": "string"}
WHOLE = {"parameters": "long", "macs": "long"}


def to_graphml(graph: BlockGraph) -> str:
    """The graph as a directed multigraph; a node's id is the block's name.

    Nodes have what Block has, `shape` and `members` as numbers and names with spaces between. Edges have their
    `operand`, and where they end a skip its kind as `skip`, `source_of_skip` and `projected`; what is empty is left
    out. Characters that XML forbids are spelt out.
    """
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: BlockGraph) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    more = {"followed": "string", "named": "string"}
    for target, keys in (("graph", {**WHOLE, **more}), ("node", NODE), ("edge", EDGE)):
        for name, kind in keys.items():
            yield f'  <key id="{target}.{name}" for="{target}" attr.name="{name}" attr.type="{kind}"/>'
    yield '  <graph edgedefault="directed">'
    yield from _data("graph", {name: getattr(graph, name) for name in (*WHOLE, *more)}, 4)
    for block in graph.blocks:
        yield f'    <node id="{xml(block.name)}">'
        yield from _data("node", _node(block))
        yield "    </node>"
    skips = {(skip.merge, skip.operand): skip for skip in graph.skips}
    for place, (source, target, operand) in enumerate(graph.flow):
        yield f'    <edge id="e{place}" source="{xml(source)}" target="{xml(target)}">'
        yield from _data("edge", _edge(operand, skips.get((target, operand))))
        yield "    </edge>"
    yield "  </graph>"
    yield "</graphml>"


def _node(block: Block) -> dict[str, Value | None]:
    values = {name: getattr(block, name) for name in NODE}
    return {**values, "shape": " ".join(map(str, block.shape)), "members": " ".join(block.members),
            "module": str(block.module).lower()}  # fmt: skip


def _edge(operand: int, skip: Skip | None) -> dict[str, Value | None]:
    if skip is None:
        return {"operand": operand}
    return {"operand": operand, "skip": skip.kind, "source_of_skip": skip.source, "projected": skip.projected}


def _data(target: str, values: dict[str, Value | None], indent: int = 6) -> Iterator[str]:
    for name, value in values.items():
        if value not in (None, ""):
            yield f'{" " * indent}<data key="{target}.{name}">{xml(value)}</data>'
