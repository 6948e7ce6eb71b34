"""Nodes that a key or a command leads to, found in the graph alone."""

from gui.graph import Graph, SkipConnection, short_name


def neighbor(diagram: Graph, name: str | None, step: int) -> str | None:
    """Return the node some steps further in execution order.

    Args:
        diagram: the folded graph.
        name: the node to start from; None to start before the first or after the last.
        step: 1 for the next node, -1 for the previous one.

    Returns:
        Its name, at most the first or the last one; None in an empty graph.
    """
    names = [node.name for node in diagram.nodes]
    if not names:
        return None
    if name not in names:
        return names[0 if step > 0 else -1]
    # Stops at both ends.
    return names[min(max(names.index(name) + step, 0), len(names) - 1)]


def skip_source(diagram: Graph, name: str | None) -> str | None:
    """Return the node where the skip connection of a node forks off.

    Args:
        diagram: the folded graph.
        name: a merge, or a block that a skip connection goes around.

    Returns:
        Its name, None for a node without a skip connection.
    """
    skip = skip_for_node(diagram, name)
    if not skip:
        return None
    return skip.source


def skip_for_node(diagram: Graph, name: str | None) -> SkipConnection | None:
    """Choose the skip connection that a command on a node acts on.

    Args:
        diagram: the folded graph.
        name: the node.

    Returns:
        The skip connection that ends there, or else the one that goes around it.
    """
    ending = next((skip for skip in diagram.skips if skip.merge == name), None)
    if ending:
        return ending
    targets = {edge.target for edge in diagram.edges if edge.source == name}
    for skip in diagram.skips:
        # A fork feeds its merge too, but the skip does not go around it.
        if skip.merge in targets and skip.source != name:
            return skip
    return None


def block_of(diagram: Graph, name: str | None) -> str | None:
    """Return the block that can be removed at a node.

    Args:
        diagram: the folded graph.
        name: a block, or the addition at its end.

    Returns:
        Name of the block's node; None where no addition takes its output beside a shortcut.
    """
    for skip in diagram.skips:
        if skip.kind != "add":
            continue
        label = short_name(skip.merge)
        # The merge "layer1.0.add" ends the block "layer1.0".
        block = next((n.name for n in diagram.nodes if n.kind == "block" and n.name == label), None)
        if block and name in (skip.merge, block):
            return block
    return None


def default_selection(diagram: Graph) -> str | None:
    """Choose the node to show first.

    Args:
        diagram: the folded graph.

    Returns:
        A gate if there is one, else the second merge of a skip connection, else the first block.
    """
    gate = next((skip.merge for skip in diagram.skips if skip.kind == "gate"), None)
    merges = list(dict.fromkeys(skip.merge for skip in diagram.skips))
    blocks = [node.name for node in diagram.nodes if node.kind == "block"]
    # The first merge often follows a stem, whose maps still look like the image.
    return gate or next(iter(merges[1:2] or merges or blocks), None)


def describe_skip(skip: SkipConnection | None, merge: str) -> str:
    """Describe a skip connection as the title of its menu.

    Args:
        skip: the skip connection, None for another input of the merge.
        merge: the merge, for an input that is not a skip connection.

    Returns:
        Source, merge and projection.
    """
    if skip is None:
        return short_name(merge)
    projection = f" ({skip.projection})" if skip.projection else ""
    return f"{short_name(skip.source)} → {short_name(skip.merge)}{projection}"
