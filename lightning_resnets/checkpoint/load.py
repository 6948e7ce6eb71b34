"""Load a checkpoint safely: nothing in the file is executed or imported.

A file with a model card says which model it contains. Any other is identified by its weights' names
and shapes. It is rejected unless every weight matches: untrained weights never pass for trained
ones. `open_checkpoint` has the steps in order.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lightning_resnets.checkpoint.build_model import nonfinite_notes
from lightning_resnets.checkpoint.card_of_identification import (
    identification_notes,
    mismatch_message,
)
from lightning_resnets.checkpoint.card_overrides import CardOverrides
from lightning_resnets.checkpoint.custom_outputs import select_logits
from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.checkpoint.open_checkpoint import (
    MODEL_PREFIX,
    NO_OVERRIDES,
    OpenedCheckpoint,
    build_opened,
    open_checkpoint,
)
from lightning_resnets.errors import CheckpointError, CheckpointWarning
from lightning_resnets.formats.read import CheckpointContents
from lightning_resnets.utils.arguments import check_bool, check_path
from lightning_resnets.utils.format import plural, printable_key


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """A loaded model.

    Attributes:
        model: in evaluation mode, float32, without gradients.
        card: the file's own card, or the one that its identification gives.
        notes: sentences that the user should see.
        identification: the match of a file without a card, else None.
        metadata: plain values beside the weights.
    """

    model: nn.Module
    card: ModelCard
    notes: tuple[str, ...] = ()
    identification: Identification | None = None
    metadata: Mapping[str, Any] | None = None


def read_card(path: str | Path, model: str | None = None, select: str | None = None) -> ModelCard:
    """Read the model card of a checkpoint without building the model.

    Args:
        path: the file.
        model: the user's name for the model, see `load_model`.
        select: name of one of several models in the file, see `load_model`.

    Returns:
        The file's own card, or the one that its identification gives.

    Raises:
        CheckpointError: the file cannot be read, or matches no known model.
    """
    # A card is trusted here, and checked against the weights when they are loaded.
    return open_checkpoint(check_path("path", path, CheckpointError), model, select).card


def load_model(
    path: str | Path,
    model: str | None = None,
    select: str | None = None,
    overrides: CardOverrides = NO_OVERRIDES,
    trainable: bool = True,
) -> tuple[nn.Module, ModelCard]:
    """Load a model and its card; notes are issued as CheckpointWarning.

    Args:
        path: the file.
        model: the user's name for the model: of `list_models`, `torchvision/NAME`, `timm/NAME`, or
            a custom `module:function`, which is then imported and called. A file alone never
            causes that. Options may follow: `resnet50,stride_in=1x1`.
        select: name of one of several models in the file: an entry such as `ema`, or the prefix of
            its keys, such as `encoder_k`.
        overrides: entries of the card that the user gives, such as mean and std.
        trainable: let the parameters require gradients.

    Returns:
        The model in evaluation mode, and its card.

    Raises:
        CheckpointError: the file cannot be read, or its weights do not match the model.
    """
    check_bool("trainable", trainable)
    loaded = load_checkpoint(path, model, select, overrides)
    for note in loaded.notes:
        # stacklevel 2 points to the line that loads the model.
        warnings.warn(note, CheckpointWarning, stacklevel=2)
    return loaded.model.requires_grad_(trainable), loaded.card


def load_checkpoint(
    path: str | Path,
    model: str | None = None,
    select: str | None = None,
    overrides: CardOverrides = NO_OVERRIDES,
) -> LoadedCheckpoint:
    """Load a model with all that is known of it, for inference: its parameters are frozen.

    Args:
        path: the file.
        model: the user's name for the model, see `load_model`.
        select: name of one of several models in the file, see `load_model`.
        overrides: entries of the card that the user gives.

    Returns:
        The model, its card and notes.

    Raises:
        CheckpointError: the file cannot be read, or its weights do not match the model.
    """
    path = check_path("path", path, CheckpointError)
    return _load_opened(open_checkpoint(path, model, select, overrides), path.name, model)


def _load_opened(opened: OpenedCheckpoint, file: str, model: str | None) -> LoadedCheckpoint:
    """Build the model of an opened file and collect all notes."""
    contents = opened.contents
    identification = opened.identification
    if identification is None:
        notes = _ignored_notes(contents, opened.state_dict, file)
    elif identification.fits:
        notes = identification_notes(identification, opened.card)
    else:
        # An incomplete match is never loaded.
        raise CheckpointError(mismatch_message(file, identification, model))
    built = build_opened(opened, file, model)
    # Frozen parameters need no memory for gradients; `load_model` makes them trainable.
    built = built.eval().requires_grad_(False)
    # What is wrong comes before what was assumed.
    notes = (
        *nonfinite_notes(opened.state_dict, file),
        *contents.notes,
        *notes,
        *select_logits(built, opened.card, file),
    )
    return LoadedCheckpoint(built, opened.card, notes, identification, contents.metadata)


def _ignored_notes(
    contents: CheckpointContents, state: Mapping[str, Tensor], file: str
) -> tuple[str, ...]:
    """Return a note if a LightningModule has weights beside the model's."""
    # Without a LightningModule both are the same weights.
    if len(state) == len(contents.state_dict):
        return ()
    # Keys of the model contain the prefix, also behind another one.
    ignored = [name for name in contents.state_dict if MODEL_PREFIX not in name]
    if not ignored:
        return ()
    count = plural(len(ignored), "weight")
    shown = printable_key(ignored[0])
    return (f"'{file}' has {count} beside the model's, which were ignored ({shown}).",)
