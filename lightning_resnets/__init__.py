"""ResNets, DenseNets and SE networks: build, train and look inside models with skip connections."""

from lightning_resnets.errors import UserError
from lightning_resnets.graph import ModelGraph, SkipConnection, trace
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interactive.model import InteractiveModel
from lightning_resnets.interventions import (
    BypassBlock,
    KeepChannels,
    RemoveBlock,
    ScaleInput,
    SetInput,
    SwapBlocks,
    ZeroChannels,
    intervene,
)
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.interventions.sweep import sweep
from lightning_resnets.merges import Add, Concat, Gate, MergeKind
from lightning_resnets.models.registry import create_model, list_models
from lightning_resnets.utils.package_version import package_version

__version__ = package_version("lightning-resnets")

__all__ = [
    "Add",
    "BypassBlock",
    "Concat",
    "Gate",
    "InteractiveModel",
    "KeepChannels",
    "MergeKind",
    "ModelGraph",
    "RemoveBlock",
    "ScaleInput",
    "SetInput",
    "SkipConnection",
    "SwapBlocks",
    "UserError",
    "ZeroChannels",
    "__version__",
    "create_model",
    "insert_merges",
    "intervene",
    "list_models",
    "record_activations",
    "sweep",
    "trace",
]
