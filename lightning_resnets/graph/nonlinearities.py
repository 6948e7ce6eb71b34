"""Count the activation functions on the paths through a model."""

from collections.abc import Iterable

from lightning_resnets.graph.data import Edge, Node, NonlinearityCounts, inputs_by_node

# Endings of the last word of an operation: "leaky relu", "memory efficient swish".
ACTIVATION_ENDINGS = (
    "elu",
    "relu6",
    "silu",
    "glu",
    "mish",
    "swish",
    "sigmoid",
    "tanh",
    "softmax",
    "softplus",
    "softsign",
    "shrink",
    "threshold",
    "clamp",
)


def count_nonlinearities(nodes: Iterable[Node], edges: Iterable[Edge]) -> NonlinearityCounts:
    """Count the activation functions on the longest and on the shortest path.

    Paths through shortcuts and through the weights of gates count too: a ResNet-18 has 17 on the
    longest path and 9 on the shortest. Max pooling and the gates' own products do not count.

    Args:
        nodes: the unfolded nodes in order of execution.
        edges: (source, target, operand index) each.

    Returns:
        Both numbers.
    """
    nodes = list(nodes)
    inputs = inputs_by_node(nodes, edges)
    longest: dict[str, int] = {}
    shortest: dict[str, int] = {}
    for node in nodes:
        own = int(is_nonlinearity(node))
        sources = inputs[node.name]
        longest[node.name] = own + max((longest[name] for name in sources), default=0)
        shortest[node.name] = own + _fewest(node, [shortest[name] for name in sources])
    # The output is the last node in order of execution.
    last = nodes[-1].name if nodes else ""
    return NonlinearityCounts(longest.get(last, 0), shortest.get(last, 0))


def _fewest(node: Node, counts: list[int]) -> int:
    """Return the number on the shortest path into a node, from those of its inputs."""
    # A product without a gate, x * sigmoid(x), is one function: no path goes around a factor.
    if node.op == "product":
        return max(counts, default=0)
    return min(counts, default=0)


def is_nonlinearity(node: Node) -> bool:
    """Return True for an activation function, also for a norm that applies one.

    Args:
        node: an unfolded node.
    """
    return node.op.rpartition(" ")[2].endswith(ACTIVATION_ENDINGS)
