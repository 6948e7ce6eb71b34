"""Write a graph in DOT, the language of Graphviz.

Merges differ by shape and color; skips are colored edges, stages are clusters.
"""

from collections.abc import Iterator

from lightning_resnets.graph.data import (
    MERGE_SYMBOLS,
    GraphData,
    Node,
    SkipConnection,
    group_by_stage,
)
from lightning_resnets.merges import MergeKind
from lightning_resnets.utils.format import format_shape

COLORS = {MergeKind.ADD: "#2458C5", MergeKind.CONCAT: "#B45F00", MergeKind.GATE: "#A8216B"}

SHAPES = {MergeKind.ADD: "circle", MergeKind.CONCAT: "trapezium", MergeKind.GATE: "diamond"}


def to_dot(graph: GraphData, name: str = "model") -> str:
    """Write a graph for `dot -Tpdf`.

    Args:
        graph: the graph.
        name: name of the DOT graph.

    Returns:
        The document. An identity skip is bold, a projection is dashed.
    """
    return "\n".join(_lines(graph, name)) + "\n"


def quote(text: str) -> str:
    """Quote text as a DOT string.

    Graphviz interprets backslashes and entities, so both are escaped.

    Args:
        text: any text.

    Returns:
        The text in double quotes.
    """
    # The backslash first: the other replacements write new ones.
    for special, escaped in (("\\", "\\\\"), ('"', '\\"'), ("&", "&amp;"), ("\n", "\\n")):
        text = text.replace(special, escaped)
    return '"' + "".join(map(_escape_unprintable, text)) + '"'


def _escape_unprintable(character: str) -> str:
    """Write a character that no font shows as its number."""
    if character.isprintable():
        return character
    return f"\\x{ord(character):06x}"


def _lines(graph: GraphData, name: str) -> Iterator[str]:
    """Yield the lines of the document."""
    yield f"digraph {quote(name)} {{"
    box = 'shape=box, style="rounded,filled", fillcolor="#F7F6F3"'
    yield f'  node [{box}, fontname="Helvetica", fontsize=10];'
    yield '  edge [color="#6E747E", arrowsize=0.6];'
    # Nodes must be declared inside their cluster to be drawn in it.
    stages = group_by_stage(graph)
    nodes = {node.name: node for node in graph.nodes}
    for number, (stage, names) in enumerate(stages.items()):
        yield f"  subgraph cluster_{number} {{"
        yield f'    label={quote(stage)}; style="rounded"; color="#A2A7AF"; fontname="Helvetica";'
        yield from (f"    {_node(nodes[name])}" for name in names)
        yield "  }"
    for node in graph.nodes:
        # A stage of a single node has no cluster.
        if node.stage not in stages:
            yield f"  {_node(node)}"
    skips = {(skip.merge, skip.operand): skip for skip in graph.skips}
    for source, target, operand in graph.edges:
        yield f"  {quote(source)} -> {quote(target)}{_edge(skips.get((target, operand)))};"
    yield "}"


def _node(node: Node) -> str:
    """Format the statement of a node."""
    words = [node.name, node.op, format_shape(node.shape)]
    if node.parameters:
        words.append(f"{node.parameters:,} parameters")
    # A merge is small: its symbol replaces the name.
    if node.kind:
        words = [f"{MERGE_SYMBOLS[node.kind]} {node.op}", format_shape(node.shape)]
    if node.repeat_count > 1:
        words[0] += f" ×{node.repeat_count}"
    # Quoted one by one, so that the line breaks between them stay.
    label = "\\n".join(quote(word)[1:-1] for word in words if word)
    if node.kind is None:
        return f'{quote(node.name)} [label="{label}"];'
    color = COLORS[node.kind]
    style = f'shape={SHAPES[node.kind]}, color="{color}", fontcolor="{color}"'
    return f'{quote(node.name)} [label="{label}", {style}];'


def _edge(skip: SkipConnection | None) -> str:
    """Format the attributes of an edge; `skip` is the skip connection that it ends."""
    if skip is None:
        return ""
    style = "bold"
    if skip.projection is not None:
        style = "dashed"
    if skip.projection:
        style += f", label={quote(skip.projection)}, fontsize=8"
    return f' [color="{COLORS[skip.kind]}", style={style}]'
