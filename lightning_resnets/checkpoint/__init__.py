"""Checkpoints: model cards, safe loading, bundled models.

Import `load_model` from `lightning_resnets.checkpoint.load`.
"""

from lightning_resnets.checkpoint.bundled import bundled_checkpoints as bundled_checkpoints
from lightning_resnets.checkpoint.bundled import resolve_checkpoint as resolve_checkpoint
from lightning_resnets.checkpoint.model_card import ModelCard as ModelCard
from lightning_resnets.errors import CheckpointError as CheckpointError
