"""Ways through a diagram by keyboard, and which skip a selected block means: pure."""

from gui.graph import Graph, SkipConnection, short_name


def neighbor(diagram: Graph, name: str | None, by: int) -> str | None:
    """The next block in order of execution; from nowhere, the first or the last."""
    names = [node.name for node in diagram.nodes]
    if not names:
        return None
    if name not in names:
        return names[0 if by > 0 else -1]
    return names[min(max(names.index(name) + by, 0), len(names) - 1)]


def skip_source(diagram: Graph, name: str | None) -> str | None:
    """Return the node where the skip connection that ends here (or goes around this block) forks
    off.
    """
    skip = skip_for_node(diagram, name)
    return skip.source if skip else None


def skip_for_node(diagram: Graph, name: str | None) -> SkipConnection | None:
    """The skip that ends at a merge; for a block that runs into a merge, the skip that goes around
    it.
    """
    ending = next((skip for skip in diagram.skips if skip.merge == name), None)
    if ending:
        return ending
    into = [link.target for link in diagram.edges if link.source == name]
    return next(
        (skip for skip in diagram.skips if skip.merge in into and skip.source != name), None
    )


def default_selection(diagram: Graph) -> str | None:
    """The block to show first: a gate if there is one, else the second merge of a skip, else the
    first block.
    """
    gate = next((skip.merge for skip in diagram.skips if skip.kind == "gate"), None)
    merges = list(dict.fromkeys(skip.merge for skip in diagram.skips))
    inner = [node.name for node in diagram.nodes if node.kind == "block"]
    return gate or next(iter(merges[1:2] or merges or inner), None)


def describe_skip(skip: SkipConnection | None, merge: str) -> str:
    """A skip in words: from where to where, and how it is made to fit."""
    if skip is None:
        return short_name(merge)
    fit = f" ({skip.projection})" if skip.projection else ""
    return f"{short_name(skip.source)} → {short_name(skip.merge)}{fit}"
