"""Make the custom model of a checkpoint return its logits alone."""

from torch import nn

from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.errors import CheckpointError, ModelError
from lightning_resnets.models.logits import return_logits


def select_logits(model: nn.Module, card: ModelCard, file: str) -> tuple[str, ...]:
    """Make a custom model return its logits alone; all other models do.

    Args:
        model: the model in evaluation mode, with its weights; changed in place.
        card: its card.
        file: file name, for messages.

    Returns:
        A note on the output that is used, or nothing.

    Raises:
        CheckpointError: none of the model's outputs is clearly the logits.
    """
    # Only the user's own code may return anything but one tensor.
    if ":" not in card.arch:
        return ()
    try:
        note = return_logits(model, card.input_size, len(card.class_names))
    except ModelError as error:
        raise CheckpointError(f"'{file}': {error}") from error
    if not note:
        return ()
    return (note,)
