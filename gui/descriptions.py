"""Describe what stands on the canvas in words: for the status line, tool tips and people who cannot
see it."""

from gui.graph import Edit, Graph, Node, name_suffix, short_name
from gui.layout.geometry import GraphLayout, input_edges


def describe_edit(edit: Edit, diagram: Graph) -> str:
    """An edit in words: "cut shortcut of layer1.0", "branch of layer2.1 × 0.40"."""
    what = describe_operand(edit, diagram)
    match edit.kind:
        case "drop":
            return f"drop {short_name(edit.target)}"
        case "hold":
            node = diagram.node(edit.target)
            if node and node.kind == "gate" and (edit.operand, edit.value) == (1, 1.0):
                return f"force gate of {short_name(edit.target)} open"
            return f"hold {what} at {edit.value:g}"
        case "scale":
            return f"cut {what}" if edit.is_cut else f"{what} × {edit.value:.2f}"


def describe_operand(edit: Edit, diagram: Graph) -> str:
    """The operand of an edit in words, with the place it belongs to."""
    node, skip = diagram.node(edit.target), diagram.skip(edit.target, edit.operand)
    kind = node.kind if node else "block"
    place = short_name(edit.target)
    if kind == "add":
        return f"{('shortcut', 'branch')[min(edit.operand, 1)]} of {place}"
    if kind == "gate":
        return f"{('input', 'gate weights')[min(edit.operand, 1)]} of {place}"
    if kind == "concat":
        return f"{name_suffix(skip.source) if skip else f'part {edit.operand + 1}'} → {place}"
    return place


def describe_node(node: Node) -> str:
    """A node in one line: name, what it does, shape, parameters."""
    shape = "×".join(str(side) for side in node.shape)
    parameters = f"{node.parameters:,} parameters" if node.parameters else "no parameters"
    name = short_name(node.name) if node.kind == "block" else node.name
    return f"{name} · {typeset_op(node.op)} · {shape} · {parameters}"


def typeset_op(op: str) -> str:
    """Typographer's signs in the name of an operation: conv 3x3 is conv 3×3."""
    return "".join(
        "×" if c == "x" and op[i - 1 : i].isdigit() and op[i + 1 : i + 2].isdigit() else c
        for i, c in enumerate(op)
    )


def describe_merge_input(
    diagram: Graph, merge: str, operand: int, edits: tuple[Edit, ...] = ()
) -> str:
    """One way into a merge in one line: from where to where, how, and what was done to it."""
    skip = diagram.skip(merge, operand)
    link = next((x for x in input_edges(diagram).get(merge, ()) if x.operand == operand), None)
    origin = skip or link
    source = origin.source if origin else "?"
    node = diagram.node(merge)
    kind = node.kind if node else "add"
    what = {"add": "added", "concat": "concatenated", "gate": "weighed"}.get(kind, "read")
    if kind == "gate" and not skip:
        what = "weight of the gate"
    words = [f"{short_name(source)} → {short_name(merge)}", what]
    if skip and skip.projection:
        alone = skip.projection.endswith(
            (", norm", ", slice")
        )  # no convolution, no pool: it is not made to fit
        words.append(f"{'through' if alone else 'projected'} {skip.projection}")
    return " · ".join(
        [
            *words,
            *(describe_edit_short(e) for e in edits if (e.target, e.operand) == (merge, operand)),
        ]
    )


def describe_edit_short(edit: Edit) -> str:
    if edit.kind == "drop":
        return "dropped"
    if edit.kind == "hold":
        return f"held at {edit.value:g}"
    return "cut" if edit.is_cut else f"scaled {edit.value:.2g}×"


def describe_graph(diagram: Graph, placement: GraphLayout) -> str:
    """The whole drawing in a sentence."""
    counts = {
        kind: sum(skip.kind == kind for skip in diagram.skips) for kind in ("add", "concat", "gate")
    }
    names = {"add": "additive skip", "concat": "concatenating skip", "gate": "gate"}
    found = [f"{n} {names[kind]}{'s' if n > 1 else ''}" for kind, n in counts.items() if n]
    stages = len(placement.bands)
    return f"{len(diagram.nodes)} blocks in {stages} stages, {', '.join(found) or 'no skips'}."


def describe_for_screen_reader(diagram: Graph, name: str, edits: tuple[Edit, ...] = ()) -> str:
    """A node, what flows into and out of it and what was done to it, for a screen reader."""
    node = diagram.node(name)
    if node is None:
        return ""
    into = [short_name(link.source) for link in input_edges(diagram)[name]]
    out = [short_name(link.target) for link in diagram.edges if link.source == name]
    words = [describe_node(node)]
    words += [f"reads {', '.join(into)}"] if into else []
    words += [f"feeds {', '.join(out)}"] if out else []
    words += [
        f"operand {e.operand} {describe_edit_short(e)}"
        for e in edits
        if e.target == name and e.kind != "drop"
    ]
    words += ["dropped" for e in edits if e.target == name and e.kind == "drop"]
    return "; ".join(words)
