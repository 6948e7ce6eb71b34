"""What tracing a model returns: its graph together with the torch.fx nodes that compute it."""

from dataclasses import dataclass

from torch import fx

from lightning_resnets.graph.macs import WeightProduct
from lightning_resnets.graph.model_graph import ModelGraph


@dataclass(frozen=True, slots=True)
class TracedModel:
    """A traced model: its graph, the steps that compute it, and which step makes what a module or a block gives.

    `products` are what steps multiply with weights, of those that the graph counts, in order of execution.
    """

    graph: ModelGraph
    fx_graph: fx.Graph
    node_by_name: dict[str, fx.Node]
    weight_products: dict[fx.Node, tuple[WeightProduct, ...]]
