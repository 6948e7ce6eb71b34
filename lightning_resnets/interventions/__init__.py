"""Changing what a model computes while it runs (`operation.py`), by operations that are plain data (`edits.py`)."""

from lightning_resnets.errors import InterventionError as InterventionError
from lightning_resnets.interventions.edits import BypassBlock as BypassBlock
from lightning_resnets.interventions.edits import Intervention as Intervention
from lightning_resnets.interventions.edits import KeepChannels as KeepChannels
from lightning_resnets.interventions.edits import RemoveBlock as RemoveBlock
from lightning_resnets.interventions.edits import ScaleInput as ScaleInput
from lightning_resnets.interventions.edits import SetInput as SetInput
from lightning_resnets.interventions.edits import SwapBlocks as SwapBlocks
from lightning_resnets.interventions.edits import ZeroChannels as ZeroChannels
from lightning_resnets.interventions.intervene import intervene as intervene
from lightning_resnets.interventions.intervene import plan_interventions as plan_interventions
