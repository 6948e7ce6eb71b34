"""A graph in DOT, the language of Graphviz: merges by shape and color, skips as colored edges, stages as clusters."""

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
    """The graph for `dot -Tpdf`: names stand in quotes, whatever they hold; an identity skip is bold, others dashed."""
    return "\n".join(_lines(graph, name)) + "\n"


def quote(text: str) -> str:
    """A DOT string: Graphviz reads a backslash as the start of something, and an entity as its character."""
    plain = (
        text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;").replace("\n", "\\n")
    )
    return '"' + "".join(c if c.isprintable() else f"\\x{ord(c):06x}" for c in plain) + '"'


def _lines(graph: GraphData, name: str) -> Iterator[str]:
    yield f"digraph {quote(name)} {{"
    yield '  node [shape=box, style="rounded,filled", fillcolor="#F7F6F3", fontname="Helvetica", fontsize=10];'
    yield '  edge [color="#6E747E", arrowsize=0.6];'
    inner = group_by_stage(graph)
    blocks = {block.name: block for block in graph.nodes}
    for place, (stage, names) in enumerate(inner.items()):
        yield f"  subgraph cluster_{place} {{"
        yield f'    label={quote(stage)}; style="rounded"; color="#A2A7AF"; fontname="Helvetica";'
        yield from (f"    {_node(blocks[name])}" for name in names)
        yield "  }"
    staged = {name for names in inner.values() for name in names}
    yield from (f"  {_node(block)}" for block in graph.nodes if block.name not in staged)
    skips = {(skip.merge, skip.operand): skip for skip in graph.skips}
    for source, target, operand in graph.edges:
        yield f"  {quote(source)} -> {quote(target)}{_edge(skips.get((target, operand)))};"
    yield "}"


def _node(block: Node) -> str:
    words = [block.name, block.op, format_shape(block.shape)]
    if block.parameters:
        words.append(f"{block.parameters:,} parameters")
    if block.kind:
        words = [f"{MERGE_SYMBOLS[block.kind]} {block.op}", format_shape(block.shape)]
    if block.repeat_count > 1:
        words[0] += f" ×{block.repeat_count}"
    label = "\\n".join(quote(word)[1:-1] for word in words if word)
    if block.kind is None:
        return f'{quote(block.name)} [label="{label}"];'
    color = COLORS[block.kind]
    return f'{quote(block.name)} [label="{label}", shape={SHAPES[block.kind]}, color="{color}", fontcolor="{color}"];'


def _edge(skip: SkipConnection | None) -> str:
    if skip is None:
        return ""
    style = "bold" if skip.projection is None else "dashed"
    words = f", label={quote(skip.projection)}, fontsize=8" if skip.projection else ""
    return f' [color="{COLORS[skip.kind]}", style={style}{words}]'
