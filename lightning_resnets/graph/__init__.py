"""From a net to its graph, and the net with its joins named (`reveal.py`)."""

from lightning_resnets.blocks import Block as Block
from lightning_resnets.blocks import BlockGraph as BlockGraph
from lightning_resnets.blocks import Skip as Skip
from lightning_resnets.graph.tracing import Followed as Followed
from lightning_resnets.graph.tracing import TraceError as TraceError
from lightning_resnets.graph.tracing import follow as follow
from lightning_resnets.graph.tracing import trace as trace
