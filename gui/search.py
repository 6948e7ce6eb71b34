"""Find nodes of the graph by what a user types."""

from gui.descriptions import typeset_op
from gui.graph import Graph, Node, short_name

MAX_FOUND = 50  # a longer list is narrowed by typing on


def find_nodes(diagram: Graph, query: str) -> tuple[Node, ...]:
    """Find nodes by name, operation or shape.

    Args:
        diagram: the folded graph.
        query: words in any order; "x" finds "×".

    Returns:
        Nodes with all of the words: those of that very name first, then those whose name starts
        with the query, then the others in order of execution. Nothing for an empty query.
    """
    # "3×3" is shown with a sign that no keyboard has.
    words = query.lower().replace("×", "x").split()
    if not words:
        return ()
    found = [node for node in diagram.nodes if _has_all_words(node, words)]
    first = words[0]

    def rank(node: Node) -> int:
        """Return 0 for the very name, 1 for a name that starts with it, 2 for the others."""
        names = (node.name.lower(), short_name(node.name).lower())
        if first in names:
            return 0
        if any(name.startswith(first) for name in names):
            return 1
        return 2

    # Stable, so equally good matches stay in execution order.
    return tuple(sorted(found, key=rank)[:MAX_FOUND])


def describe_found(node: Node) -> str:
    """Return a node's name, operation and shape in one line.

    Args:
        node: the node.
    """
    shape = "×".join(str(side) for side in node.shape)
    return f"{short_name(node.name)} · {typeset_op(node.op)} · {shape}"


def _has_all_words(node: Node, words: list[str]) -> bool:
    shape = "x".join(str(side) for side in node.shape)
    text = f"{node.name} {node.op} {node.kind} {shape}".lower().replace("×", "x")
    return all(word in text for word in words)
