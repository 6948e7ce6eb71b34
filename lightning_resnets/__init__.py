"""Models that skip: ResNet, DenseNet and SE networks, exact to the parameter, and the means to look inside them."""

from lightning_resnets.graph import ModelGraph as ModelGraph
from lightning_resnets.graph import SkipConnection as SkipConnection
from lightning_resnets.graph import trace as trace
from lightning_resnets.graph.insert_merges import insert_merges as insert_merges
from lightning_resnets.interventions import BypassBlock as BypassBlock
from lightning_resnets.interventions import KeepChannels as KeepChannels
from lightning_resnets.interventions import RemoveBlock as RemoveBlock
from lightning_resnets.interventions import ScaleInput as ScaleInput
from lightning_resnets.interventions import SetInput as SetInput
from lightning_resnets.interventions import SwapBlocks as SwapBlocks
from lightning_resnets.interventions import ZeroChannels as ZeroChannels
from lightning_resnets.interventions import intervene as intervene
from lightning_resnets.interventions.record import record_activations as record_activations
from lightning_resnets.interventions.sweep import sweep as sweep
from lightning_resnets.merges import Add as Add
from lightning_resnets.merges import Concat as Concat
from lightning_resnets.merges import Gate as Gate
from lightning_resnets.merges import MergeKind as MergeKind
from lightning_resnets.models.registry import create_model as create_model
from lightning_resnets.models.registry import list_models as list_models
