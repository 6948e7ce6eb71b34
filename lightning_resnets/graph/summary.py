"""Format a graph as text: one line per node and the totals below; or in one line."""

from collections import Counter
from collections.abc import Sequence

from lightning_resnets.graph.data import MERGE_SYMBOLS, GraphData, Node, SkipConnection
from lightning_resnets.merges import MergeKind
from lightning_resnets.utils.format import format_shape, plural

# name, operation, output, parameters, MACs, skips
SummaryRow = tuple[str, str, str, str, str, str]

SKIP_NOTES = ("projected", "norm only", "sliced", "scaled")
NUMBER_COLUMNS = (3, 4)  # aligned to the right
MAX_LISTED_SKIPS = 3

INSERTED_NOTE = (
    "names of merges are those of insert_merges(model, input_size): "
    "use them with the model that it returns"
)


def format_summary(graph: GraphData) -> str:
    """Format a graph as text, one line per node.

    Args:
        graph: the graph.

    Returns:
        The nodes, indented under their stages, and the totals. Names in parentheses are those
        of functions.
    """
    rows = _summary_rows(graph)
    # The last column is not padded, as nothing follows it.
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(_align(row, widths)).rstrip() for row in rows]
    if any(not node.is_module and node.op not in ("input", "output") for node in graph.nodes):
        lines += ["", "(names in parentheses are functions, which cannot be hooked)"]
    return "\n".join([*lines, "", *format_totals(graph)])


def _summary_rows(graph: GraphData) -> list[SummaryRow]:
    """Return the header, a row for each node and one for each stage of several nodes."""
    rows: list[SummaryRow] = [("", "", "output", "parameters", "MACs", "")]
    stage_sizes = Counter(node.stage for node in graph.nodes)
    stage = ""
    for node in graph.nodes:
        is_in_stage = bool(node.stage) and stage_sizes[node.stage] > 1
        if is_in_stage and node.stage != stage:
            rows.append(_stage_row(node.stage, graph))
        # Also for nodes without a stage, so that a stage that returns gets a new title.
        stage = node.stage
        rows.append(_node_row(node, graph, is_in_stage))
    return rows


def format_one_line(graph: GraphData) -> str:
    """Format a graph in one line.

    Args:
        graph: the graph.

    Returns:
        The numbers of nodes, skips, parameters and MACs.
    """
    nodes = plural(len(graph.nodes), "node")
    return f"<ModelGraph: {nodes}, {format_totals(graph)[0]}; {format_cost(graph)}>"


def _align(row: SummaryRow, widths: list[int]) -> list[str]:
    """Pad the cells of a row to the widths of the columns; the last column has none."""
    cells: list[str] = []
    for column, width in enumerate(widths):
        text = row[column]
        if column in NUMBER_COLUMNS:
            cells.append(text.rjust(width))
        else:
            cells.append(text.ljust(width))
    return [*cells, row[5]]


def _stage_row(stage: str, graph: GraphData) -> SummaryRow:
    """Return the totals of a stage."""
    nodes = [node for node in graph.nodes if node.stage == stage]
    parameters = sum(node.parameters for node in nodes)
    macs = sum(node.macs for node in nodes)
    return (stage, "", _format_shape(nodes[-1]), _format_cell(parameters), _format_cell(macs), "")


def _node_row(node: Node, graph: GraphData, is_in_stage: bool) -> SummaryRow:
    """Return the row of a node."""
    skips = [skip for skip in graph.skips if skip.merge == node.name]
    return (
        _format_name(node, is_in_stage),
        f"{MERGE_SYMBOLS[node.kind]} {node.op}" if node.kind else node.op,
        _format_shape(node),
        _format_cell(node.parameters),
        _format_cell(node.macs),
        _format_sources(skips, node.stage),
    )


def _format_name(node: Node, is_in_stage: bool) -> str:
    """Format a name: indented in a stage, in parentheses for a function, with its count."""
    name = node.name
    if is_in_stage:
        name = _shorten(name, node.stage)
    if not node.is_module:
        name = f"({name})"
    if is_in_stage:
        name = f"  {name}"
    if node.repeat_count > 1:
        name += f" ×{node.repeat_count}"
    return name


def _format_sources(skips: list[SkipConnection], stage: str) -> str:
    """List the sources of the skips that end at a node."""
    names: list[str] = []
    for skip in skips:
        name = _shorten(skip.source, stage)
        if skip.projection:
            name += f" ({skip.projection})"
        names.append(name)
    if len(names) > MAX_LISTED_SKIPS:
        names = [f"{names[0]}, {names[1]} … {names[-1]} ({len(names)})"]
    if not names:
        return ""
    return "← " + ", ".join(names)


def format_totals(graph: GraphData) -> list[str]:
    """Format the totals of a graph.

    Args:
        graph: the graph.

    Returns:
        Lines with the skips by kind and projection, other merges, the backend unless it is
        torch.fx, the non-linearities, and parameters and MACs.
    """
    lines = [_format_skips(graph)]
    parallel = _count_parallel_merges(graph)
    if parallel:
        lines.append(f"{plural(parallel, 'merge')} of parallel branches (no skip)")
    if graph.traced_by != "torch.fx":
        backend = graph.traced_by.replace("one way of several", "one of several paths")
        lines.append(f"traced by the {backend}; valid for this input size only")
    if graph.nonlinearities:
        longest, shortest = graph.nonlinearities
        lines.append(f"non-linearities: {longest} on the longest path, {shortest} on the shortest")
    lines.append(format_cost(graph))
    if graph.merges_inserted == "by insert_merges":
        lines.append(INSERTED_NOTE)
    return lines


def _format_skips(graph: GraphData) -> str:
    """Count the skips by kind: `9 skips: 9 add (2 projected)`."""
    repeat_counts = {node.name: node.repeat_count for node in graph.nodes}
    counted = [(skip, repeat_counts[skip.merge]) for skip in graph.skips]
    # Hidden skips are listed one by one, with repeats.
    counted += [(skip, 1) for skip in graph.hidden_skips]
    by_kind = [_format_kind(kind, counted) for kind in MergeKind]
    kinds = ", ".join(text for text in by_kind if text)
    line = plural(sum(count for _, count in counted), "skip")
    if kinds:
        line += f": {kinds}"
    if graph.hidden_skips and not graph.skips:
        line += ", inside the stages"
    elif graph.hidden_skips:
        line += f", {len(graph.hidden_skips)} of them inside the stages"
    return line


def _count_parallel_merges(graph: GraphData) -> int:
    """Count the merges at which no skip ends."""
    with_skips = {skip.merge for skip in graph.skips}
    others = [node.repeat_count for node in graph.merges if node.name not in with_skips]
    return graph.non_skip_merges + sum(others)


def _format_kind(kind: MergeKind, counted: Sequence[tuple[SkipConnection, int]]) -> str:
    """Count the skips of one kind: `9 add (2 projected)`; "" where there are none."""
    notes: Counter[str] = Counter()
    for skip, count in counted:
        if skip.kind is kind:
            notes[_skip_note(skip)] += count
    if not notes:
        return ""
    listed = ", ".join(f"{notes[note]} {note}" for note in SKIP_NOTES if notes[note])
    text = f"{notes.total()} {kind}"
    if listed:
        text += f" ({listed})"
    return text


def _skip_note(skip: SkipConnection) -> str:
    """Return the kind of path: "" for the identity, else one of SKIP_NOTES."""
    # The stride and width come first and do not tell the kind.
    last = (skip.projection or "").rpartition(", ")[2]
    return {"": "", "norm": "norm only", "slice": "sliced", "scaled": "scaled"}.get(
        last, "projected"
    )


def format_cost(graph: GraphData) -> str:
    """Format parameters and MACs.

    Args:
        graph: the graph.

    Returns:
        Text such as "269,722 parameters, 40.55 M MACs".
    """
    return f"{graph.parameters:,} parameters, {_format_macs(graph.macs)} MACs"


def _shorten(name: str, stage: str) -> str:
    """Drop the stage from a name."""
    return name.removeprefix(f"{stage}.") if stage else name


def _format_shape(node: Node) -> str:
    """Format the shape; a scalar is left blank."""
    return format_shape(node.shape) if node.shape else ""


def _format_cell(number: int) -> str:
    """Format a count; 0 is left blank."""
    return f"{number:,}" if number else ""


def _format_macs(number: int) -> str:
    """Format MACs with two decimals, as the papers do."""
    # G first: the largest unit that fits.
    for unit, size in (("G", 10**9), ("M", 10**6)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number:,}"
