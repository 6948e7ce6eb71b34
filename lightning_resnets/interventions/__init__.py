"""Record and change what a model computes while it runs.

Interventions are plain data (`edits.py`); `intervene` applies them with hooks, `sweep` and the
app's `IncrementalRunner` node by node.
"""

from lightning_resnets.errors import InterventionError
from lightning_resnets.interventions.edits import (
    BypassBlock,
    Intervention,
    KeepChannels,
    RemoveBlock,
    ScaleInput,
    SetInput,
    SwapBlocks,
    ZeroChannels,
)
from lightning_resnets.interventions.intervene import intervene, plan_interventions

__all__ = [
    "BypassBlock",
    "Intervention",
    "InterventionError",
    "KeepChannels",
    "RemoveBlock",
    "ScaleInput",
    "SetInput",
    "SwapBlocks",
    "ZeroChannels",
    "intervene",
    "plan_interventions",
]
