"""Trace a model to its graph: nodes, edges and skip connections."""

from lightning_resnets.errors import TraceError as TraceError
from lightning_resnets.graph.data import Node as Node
from lightning_resnets.graph.data import SkipConnection as SkipConnection
from lightning_resnets.graph.model_graph import ModelGraph as ModelGraph
from lightning_resnets.graph.trace import trace as trace
from lightning_resnets.graph.trace import trace_nodes as trace_nodes
from lightning_resnets.graph.traced_model import TracedModel as TracedModel
