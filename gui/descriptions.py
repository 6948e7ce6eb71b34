"""Nodes, edges and edits in words, for the status bar, tool tips and screen readers."""

from gui.graph import Edit, Graph, Node, name_suffix, short_name
from gui.layout.geometry import GraphLayout, input_edges

# By the number of the operand.
ADD_OPERANDS = ("shortcut", "branch")
GATE_OPERANDS = ("input", "gate weights")
# What happens to an input of each kind of merge.
VERBS = {"add": "added", "concat": "concatenated", "gate": "scaled"}
SKIP_NAMES = {"add": "additive skip", "concat": "concatenating skip", "gate": "gate"}


def describe_edit(edit: Edit, diagram: Graph) -> str:
    """Describe an edit.

    Args:
        edit: the edit.
        diagram: the graph that it belongs to.

    Returns:
        "cut shortcut of layer1.0", "branch of layer2.1 × 0.40" and the like.
    """
    operand = describe_operand(edit, diagram)
    if edit.kind == "drop":
        return f"drop {short_name(edit.target)}"
    if edit.kind == "zero":
        return f"{describe_channels(edit.channels)} of {short_name(edit.target)} set to 0"
    if edit.kind == "hold":
        node = diagram.node(edit.target)
        # Operand 1 of a gate is its weight; held at 1 it lets everything pass.
        if node and node.kind == "gate" and (edit.operand, edit.value) == (1, 1.0):
            return f"gate of {short_name(edit.target)} set to 1"
        return f"hold {operand} at {edit.value:g}"
    if edit.is_cut:
        return f"cut {operand}"
    return f"{operand} × {edit.value:.2f}"


def describe_channels(channels: tuple[int, ...]) -> str:
    """Return "channel 5", or "3 channels".

    Args:
        channels: numbers of channels.
    """
    if len(channels) == 1:
        return f"channel {channels[0]}"
    return f"{len(channels)} channels"


def describe_operand(edit: Edit, diagram: Graph) -> str:
    """Name the operand that an edit changes.

    Args:
        edit: the edit.
        diagram: the graph that it belongs to.

    Returns:
        "shortcut of layer1.0", "layer3 → denseblock1.denselayer4" and the like.
    """
    node = diagram.node(edit.target)
    kind = node.kind if node else "block"
    target = short_name(edit.target)
    if kind == "add":
        # A sum of three or more has one shortcut; all further operands are branches.
        return f"{ADD_OPERANDS[min(edit.operand, 1)]} of {target}"
    if kind == "gate":
        return f"{GATE_OPERANDS[min(edit.operand, 1)]} of {target}"
    if kind == "concat":
        skip = diagram.skip(edit.target, edit.operand)
        source = name_suffix(skip.source) if skip else f"part {edit.operand + 1}"
        return f"{source} → {target}"
    return target


def describe_node(node: Node) -> str:
    """Describe a node in one line.

    Args:
        node: the node.

    Returns:
        Name, operation, output shape and parameters.
    """
    # A merge keeps its full name: shortened, it would be that of its block.
    name = short_name(node.name) if node.kind == "block" else node.name
    shape = "×".join(str(side) for side in node.shape)
    parameters = f"{node.parameters:,} parameters" if node.parameters else "no parameters"
    return f"{name} · {typeset_op(node.op)} · {shape} · {parameters}"


def typeset_op(op: str) -> str:
    """Replace the letter x between digits by a multiplication sign.

    Args:
        op: an operation, "conv 3x3".

    Returns:
        "conv 3×3".
    """
    signs = []
    for i, letter in enumerate(op):
        # Slices are empty beyond the ends, where an index would raise or wrap around.
        is_between_digits = op[i - 1 : i].isdigit() and op[i + 1 : i + 2].isdigit()
        signs.append("×" if letter == "x" and is_between_digits else letter)
    return "".join(signs)


def describe_merge_input(
    diagram: Graph, merge: str, operand: int, edits: tuple[Edit, ...] = ()
) -> str:
    """Describe an input of a merge in one line.

    Args:
        diagram: the folded graph.
        merge: name of the merge.
        operand: number of its operand.
        edits: the active edits.

    Returns:
        Source and merge, what happens to it, its projection and its edits.
    """
    skip = diagram.skip(merge, operand)
    edges = input_edges(diagram).get(merge, ())
    edge = next((edge for edge in edges if edge.operand == operand), None)
    # A skip starts at its fork, not at the last node of its projection.
    origin = skip or edge
    source = short_name(origin.source) if origin else "?"
    parts = [f"{source} → {short_name(merge)}", _input_verb(diagram, merge, is_skip=bool(skip))]
    if skip and skip.projection:
        # Without a convolution or a pool nothing is projected.
        verb = "projected"
        if skip.projection.endswith((", norm", ", slice")):
            verb = "through"
        parts.append(f"{verb} {skip.projection}")
    own_edits = [edit for edit in edits if (edit.target, edit.operand) == (merge, operand)]
    parts += map(describe_edit_short, own_edits)
    return " · ".join(parts)


def _input_verb(diagram: Graph, merge: str, is_skip: bool) -> str:
    """Say what a merge does to one of its inputs."""
    node = diagram.node(merge)
    kind = node.kind if node else "add"
    if kind == "gate" and not is_skip:
        return "weight of the gate"
    return VERBS.get(kind, "read")


def describe_edit_short(edit: Edit) -> str:
    """Describe an edit where its target is known.

    Args:
        edit: the edit.

    Returns:
        "cut", "scaled 0.5×" and the like.
    """
    if edit.kind == "drop":
        return "dropped"
    if edit.kind == "zero":
        return f"{describe_channels(edit.channels)} set to 0"
    if edit.kind == "hold":
        return f"held at {edit.value:g}"
    if edit.is_cut:
        return "cut"
    return f"scaled {edit.value:.2g}×"


def describe_graph(diagram: Graph, placement: GraphLayout) -> str:
    """Describe the whole drawing in a sentence.

    Args:
        diagram: the folded graph.
        placement: its layout.

    Returns:
        The numbers of blocks, stages and skip connections.
    """
    counts = []
    for kind, name in SKIP_NAMES.items():
        count = sum(skip.kind == kind for skip in diagram.skips)
        if count == 1:
            counts.append(f"1 {name}")
        elif count:
            counts.append(f"{count} {name}s")
    found = ", ".join(counts) or "no skips"
    return f"{len(diagram.nodes)} blocks in {len(placement.bands)} stages, {found}."


def describe_for_screen_reader(diagram: Graph, name: str, edits: tuple[Edit, ...] = ()) -> str:
    """Describe a node with its edges and edits.

    Args:
        diagram: the folded graph.
        name: name of the node.
        edits: the active edits.

    Returns:
        One line, "" for an unknown name.
    """
    node = diagram.node(name)
    if node is None:
        return ""
    sources = [short_name(edge.source) for edge in input_edges(diagram)[name]]
    targets = [short_name(edge.target) for edge in diagram.edges if edge.source == name]
    parts = [describe_node(node)]
    if sources:
        parts.append(f"reads {', '.join(sources)}")
    if targets:
        parts.append(f"feeds {', '.join(targets)}")
    for edit in edits:
        if edit.target == name:
            # A dropped node is changed as a whole, the others by operand.
            is_of_node = edit.kind in ("drop", "zero")
            operand = "" if is_of_node else f"operand {edit.operand} "
            parts.append(f"{operand}{describe_edit_short(edit)}")
    return "; ".join(parts)
