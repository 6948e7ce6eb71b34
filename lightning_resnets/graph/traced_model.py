"""Result of tracing a model: its graph together with the torch.fx nodes that compute it."""

from dataclasses import dataclass

from torch import fx

from lightning_resnets.graph.macs import WeightProduct
from lightning_resnets.graph.model_graph import ModelGraph


@dataclass(frozen=True, slots=True)
class TracedModel:
    """A traced model.

    Attributes:
        graph: the model graph, unfolded.
        fx_graph: the torch.fx nodes that compute it.
        node_by_name: the torch.fx node whose value a module or a graph node returns.
        weight_products: products with weights that the graph counts, in order of execution.
    """

    graph: ModelGraph
    fx_graph: fx.Graph
    node_by_name: dict[str, fx.Node]
    weight_products: dict[fx.Node, tuple[WeightProduct, ...]]
