"""Count the layers of a model as papers do: those with weights on the longest path."""

from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.merges import MergeKind


def count_depth(graph: ModelGraph) -> int:
    """Count the convolutions and linear layers on the longest path from input to output.

    Projections of shortcuts lie on shorter paths, and layers that compute the weight of a gate
    multiply a feature map instead of extending it. So ResNet-50 and SE-ResNet-50 both have 50.

    Args:
        graph: the model's unfolded graph.

    Returns:
        The depth.
    """
    nodes = {node.name: node for node in graph.nodes}
    sources: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target, operand in graph.edges:
        # The second operand of a gate is a weight, not a path.
        if nodes[target].kind is not MergeKind.GATE or operand == 0:
            sources[target].append(source)
    depth: dict[str, int] = {}
    for node in graph.nodes:
        # Only layers with weights multiply and add.
        own = int(node.macs > 0)
        depth[node.name] = own + max((depth[name] for name in sources[node.name]), default=0)
    return depth[graph.nodes[-1].name]
