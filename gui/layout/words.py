"""What stands on the canvas in words: for the status line, tool tips and people who cannot see it."""

from gui.layout.plan import Placement, incoming
from gui.state import Diagram, Edit, Node, short


def node_words(node: Node) -> str:
    """A node in one line: name, what it does, shape, parameters."""
    shape = "×".join(str(side) for side in node.shape)
    parameters = f"{node.parameters:,} parameters" if node.parameters else "no parameters"
    return f"{short(node.name) if node.kind == 'block' else node.name} · {pretty(node.op)} · {shape} · {parameters}"


def pretty(op: str) -> str:
    """Typographer's signs in the name of an operation: conv 3x3 is conv 3×3."""
    return "".join(
        "×" if c == "x" and op[i - 1 : i].isdigit() and op[i + 1 : i + 2].isdigit() else c for i, c in enumerate(op)
    )


def way_words(diagram: Diagram, merge: str, operand: int, edits: tuple[Edit, ...] = ()) -> str:
    """One way into a merge in one line: from where to where, how, and what was done to it."""
    skip = diagram.skip(merge, operand)
    link = next((x for x in incoming(diagram).get(merge, ()) if x.operand == operand), None)
    source = skip.source if skip else link.source if link else "?"
    node = diagram.node(merge)
    kind = node.kind if node else "add"
    what = {"add": "added", "concat": "concatenated", "gate": "weighed"}.get(kind, "read")
    if kind == "gate" and not skip:
        what = "weight of the gate"
    words = [f"{short(source)} → {short(merge)}", what]
    if skip and skip.projected:
        alone = skip.projected.endswith((", norm", ", slice"))  # no convolution, no pool: it is not made to fit
        words.append(f"{'through' if alone else 'projected'} {skip.projected}")
    return " · ".join([*words, *(edit_words(e) for e in edits if (e.target, e.operand) == (merge, operand))])


def edit_words(edit: Edit) -> str:
    if edit.kind == "drop":
        return "dropped"
    if edit.kind == "hold":
        return f"held at {edit.value:g}"
    return "cut" if edit.cut else f"scaled {edit.value:.2g}×"


def summary(diagram: Diagram, placement: Placement) -> str:
    """The whole drawing in a sentence."""
    counts = {kind: sum(skip.kind == kind for skip in diagram.skips) for kind in ("add", "concat", "gate")}
    names = {"add": "additive skip", "concat": "concatenating skip", "gate": "gate"}
    found = [f"{n} {names[kind]}{'s' if n > 1 else ''}" for kind, n in counts.items() if n]
    stages = len(placement.bands)
    return f"{len(diagram.nodes)} blocks in {stages} stages, {', '.join(found) or 'no skips'}."


def described(diagram: Diagram, name: str, edits: tuple[Edit, ...] = ()) -> str:
    """A node, what flows into and out of it and what was done to it, for a screen reader."""
    node = diagram.node(name)
    if node is None:
        return ""
    into = [short(link.source) for link in incoming(diagram)[name]]
    out = [short(link.target) for link in diagram.links if link.source == name]
    words = [node_words(node)]
    words += [f"reads {', '.join(into)}"] if into else []
    words += [f"feeds {', '.join(out)}"] if out else []
    words += [f"operand {e.operand} {edit_words(e)}" for e in edits if e.target == name and e.kind != "drop"]
    words += ["dropped" for e in edits if e.target == name and e.kind == "drop"]
    return "; ".join(words)
