"""A graph as text: a line a block, and its totals in the last lines; or in one line."""

from collections import Counter
from collections.abc import Sequence

from lightning_resnets.graph.data import MERGE_SYMBOLS, GraphData, Node, SkipConnection
from lightning_resnets.merges import MergeKind

SummaryRow = tuple[
    str, str, str, str, str, str
]  # name, operation, output, parameters, multiply-adds, skips


SKIP_NOTES = ("projected", "through a norm alone", "of a slice")


def format_summary(graph: GraphData) -> str:
    """The graph as text: a line a block, indented under its stage, and the counts of its skips in the last lines.

    A name in brackets is that of no module.
    """
    rows = [("", "", "output", "parameters", "mult-adds", "")]
    held = Counter(block.stage for block in graph.nodes)
    stage = ""
    for block in graph.nodes:
        if held[block.stage] > 1 and block.stage != stage and block.stage:
            rows.append(_header(block.stage, graph))
        stage = block.stage
        rows.append(_row(block, graph, indent=held[stage] > 1 and bool(stage)))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    if any(not block.is_module and block.op not in ("input", "output") for block in graph.nodes):
        lines += [
            "",
            "(in brackets: a step of the model that is no module, so no point for a probe)",
        ]
    return "\n".join([*lines, "", *format_totals(graph)])


def format_one_line(graph: GraphData) -> str:
    """The graph in a line."""
    return f"<BlockGraph: {_plural(len(graph.nodes), 'block')}, {format_totals(graph)[0]}; {format_cost(graph)}>"


def _aligned(row: SummaryRow, widths: list[int]) -> list[str]:
    cells = zip(row[:5], widths, strict=True)
    return [
        *(
            text.rjust(width) if i in (3, 4) else text.ljust(width)
            for i, (text, width) in enumerate(cells)
        ),
        row[5],
    ]


def _header(stage: str, graph: GraphData) -> SummaryRow:
    blocks = [block for block in graph.nodes if block.stage == stage]
    parameters, macs = (
        sum(block.parameters for block in blocks),
        sum(block.macs for block in blocks),
    )
    return (stage, "", _shape(blocks[-1]), _count(parameters), _count(macs), "")


def _row(block: Node, graph: GraphData, indent: bool) -> SummaryRow:
    name = _short(block.name, block.stage) if indent else block.name
    name = f"{'  ' * indent}{name if block.is_module else f'({name})'}" + (
        f" ×{block.repeat_count}" if block.repeat_count > 1 else ""
    )
    op = f"{MERGE_SYMBOLS[block.kind]} {block.op}" if block.kind else block.op
    skips = [skip for skip in graph.skips if skip.merge == block.name]
    return (
        name,
        op,
        _shape(block),
        _count(block.parameters),
        _count(block.macs),
        _sources(skips, block.stage),
    )


def _sources(skips: list[SkipConnection], stage: str) -> str:
    names = [
        _short(skip.source, stage) + (f" ({skip.projection})" if skip.projection else "")
        for skip in skips
    ]
    if len(names) > 3:
        names = [f"{names[0]}, {names[1]} … {names[-1]} ({len(names)})"]
    return "← " + ", ".join(names) if names else ""


def format_totals(graph: GraphData) -> list[str]:
    """The last lines of the text: the skips by kind and by what is done on the way, other merges, parameters."""
    times = {block.name: block.repeat_count for block in graph.nodes}
    every = [(skip, times[skip.merge]) for skip in graph.skips] + [
        (skip, 1) for skip in graph.hidden_skips
    ]
    kinds = ", ".join(words for kind in MergeKind if (words := _kind(kind, every)))
    lines = [_plural(sum(count for _, count in every), "skip") + (f": {kinds}" if kinds else "")]
    if graph.hidden_skips:
        lines[0] += (
            ", inside the stages"
            if not graph.skips
            else f", {len(graph.hidden_skips)} of them inside the stages"
        )
    skipping = {skip.merge for skip in graph.skips}
    if even := graph.non_skip_merges + sum(
        block.repeat_count for block in graph.merges if block.name not in skipping
    ):
        lines.append(f"{_plural(even, 'merge')} of even branches, no skip")
    if graph.traced_by != "torch.fx":
        lines.append(f"followed for this size alone, by the {graph.traced_by}")
    lines.append(format_cost(graph))
    if graph.merges_inserted == "by insert_merges":
        lines.append(
            "the merges are named as in the revealed model: operate(reveal(model, size), ...) and probe take them"
        )
    return lines


def _kind(kind: MergeKind, every: Sequence[tuple[SkipConnection, int]]) -> str:
    """9 add (2 projected)"""
    ways: Counter[str] = Counter()
    for skip, count in every:
        if skip.kind is kind:
            ways[_way(skip)] += count
    notes = ", ".join(f"{ways[way]} {way}" for way in SKIP_NOTES if ways[way])
    return f"{ways.total()} {kind}" + (f" ({notes})" if notes else "") if ways else ""


def _way(skip: SkipConnection) -> str:
    """What is done on the way of a skip: nothing, or what is no projection, or one."""
    done = (skip.projection or "").rpartition(", ")[2]
    return {"": "", "norm": "through a norm alone", "slice": "of a slice"}.get(done, "projected")


def format_cost(graph: GraphData) -> str:
    """Parameters and multiply-adds in words."""
    return f"{graph.parameters:,} parameters, {_large(graph.macs)} multiply-adds"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _short(name: str, stage: str) -> str:
    return name.removeprefix(f"{stage}.") if stage else name


def _shape(block: Node) -> str:
    return "×".join(str(side) for side in block.shape)


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _large(number: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number:,}"
