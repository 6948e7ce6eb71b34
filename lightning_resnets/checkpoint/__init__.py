"""Checkpoints that say what they are: the card, the safe way in, and the nets that ship.

`read` and `load` stay in `lightning_resnets.checkpoint.read`, so that a card can be written without building nets.
"""

from lightning_resnets.checkpoint.card import Card as Card
from lightning_resnets.checkpoint.card import CheckpointError as CheckpointError
from lightning_resnets.checkpoint.shipped import find as find
from lightning_resnets.checkpoint.shipped import shipped as shipped
