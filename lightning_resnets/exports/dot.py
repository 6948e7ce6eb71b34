"""A graph in DOT, the language of Graphviz: merges by shape and colour, skips as coloured edges, stages as clusters."""

from collections.abc import Iterator

from lightning_resnets.blocks import MARKS, Block, BlockGraph, Skip
from lightning_resnets.exports.plain import sides, stages
from lightning_resnets.merge import Kind

COLOURS = {Kind.ADD: "#2458C5", Kind.CONCAT: "#B45F00", Kind.GATE: "#A8216B"}
SHAPES = {Kind.ADD: "circle", Kind.CONCAT: "trapezium", Kind.GATE: "diamond"}


def to_dot(graph: BlockGraph, name: str = "net") -> str:
    """The graph for `dot -Tpdf`: names stand in quotes, whatever they hold; an identity skip is bold, others dashed."""
    return "\n".join(_lines(graph, name)) + "\n"


def quoted(text: str) -> str:
    """A DOT string: Graphviz reads a backslash as the start of something, and an entity as its character."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;").replace("\n", "\\n")
    return '"' + "".join(c if c.isprintable() else f"\\x{ord(c):06x}" for c in plain) + '"'


def _lines(graph: BlockGraph, name: str) -> Iterator[str]:
    yield f"digraph {quoted(name)} {{"
    yield '  node [shape=box, style="rounded,filled", fillcolor="#F7F6F3", fontname="Helvetica", fontsize=10];'
    yield '  edge [color="#6E747E", arrowsize=0.6];'
    inner = stages(graph)
    blocks = {block.name: block for block in graph.blocks}
    for place, (stage, names) in enumerate(inner.items()):
        yield f"  subgraph cluster_{place} {{"
        yield f'    label={quoted(stage)}; style="rounded"; color="#A2A7AF"; fontname="Helvetica";'
        yield from (f"    {_node(blocks[name])}" for name in names)
        yield "  }"
    staged = {name for names in inner.values() for name in names}
    yield from (f"  {_node(block)}" for block in graph.blocks if block.name not in staged)
    skips = {(skip.merge, skip.operand): skip for skip in graph.skips}
    for source, target, operand in graph.flow:
        yield f"  {quoted(source)} -> {quoted(target)}{_edge(skips.get((target, operand)))};"
    yield "}"


def _node(block: Block) -> str:
    words = [block.name, block.op, sides(block.shape)]
    if block.parameters:
        words.append(f"{block.parameters:,} parameters")
    if block.kind:
        words = [f"{MARKS[block.kind]} {block.op}", sides(block.shape)]
    if block.times > 1:
        words[0] += f" ×{block.times}"
    label = "\\n".join(quoted(word)[1:-1] for word in words if word)
    if block.kind is None:
        return f'{quoted(block.name)} [label="{label}"];'
    colour = COLOURS[block.kind]
    return (
        f'{quoted(block.name)} [label="{label}", shape={SHAPES[block.kind]}, color="{colour}", fontcolor="{colour}"];'
    )


def _edge(skip: Skip | None) -> str:
    if skip is None:
        return ""
    style = "bold" if skip.projected is None else "dashed"
    words = f", label={quoted(skip.projected)}, fontsize=8" if skip.projected else ""
    return f' [color="{COLOURS[skip.kind]}", style={style}{words}]'
