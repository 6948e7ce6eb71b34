"""Checkpoints that say what they are: the card, the safe way in, and the models that ship.

`read` and `load` stay in `lightning_resnets.checkpoint.load`, so that a card can be written without building models.
"""

from lightning_resnets.checkpoint.bundled import bundled_checkpoints as bundled_checkpoints
from lightning_resnets.checkpoint.bundled import resolve_checkpoint as resolve_checkpoint
from lightning_resnets.checkpoint.model_card import ModelCard as ModelCard
from lightning_resnets.errors import CheckpointError as CheckpointError
