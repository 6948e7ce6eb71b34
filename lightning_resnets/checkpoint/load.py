"""Open a checkpoint safely: nothing in the file is executed or imported.

A file with a model card says which model it contains. Any other is identified by its weights' names
and shapes (`identify`). It is rejected unless every weight matches: untrained weights never pass
for trained ones.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lightning_resnets.checkpoint.build_model import (
    build_from_card,
    load_weights,
    nonfinite_notes,
    preserve_rng,
)
from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.identify.identify import identify
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.data.datasets import class_names
from lightning_resnets.errors import CheckpointError, CheckpointWarning
from lightning_resnets.formats.read import CheckpointContents, read_checkpoint
from lightning_resnets.utils.format import plural

MODEL_PREFIX = "model."  # the model inside the LightningModule
MAX_ALTERNATIVES = 4  # in a note


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


def read_card(path: str | Path, model: str | None = None) -> ModelCard:
    """Read the model card of a checkpoint without building the model.

    Args:
        path: the file.
        model: the user's name for the model, see `load_model`.

    Returns:
        The file's own card, or the one that its identification gives.

    Raises:
        CheckpointError: the file cannot be read, or matches no known model.
    """
    contents = read_checkpoint(Path(path))
    # A card is trusted here, and checked against the weights when they are loaded.
    if contents.card is not None:
        return ModelCard.from_dict(contents.card)
    return card_from_identification(identify_contents(contents, Path(path).name, model))


def load_model(path: str | Path, model: str | None = None) -> tuple[nn.Module, ModelCard]:
    """Load a model and its card; notes are issued as CheckpointWarning.

    Args:
        path: the file.
        model: the user's name for the model: of `list_models`, `torchvision/NAME`, `timm/NAME`, or
            a custom `module:function`, which is then imported and called. A file alone never
            causes that.

    Returns:
        The model in evaluation mode, and its card.

    Raises:
        CheckpointError: the file cannot be read, or its weights do not match the model.
    """
    loaded = load_checkpoint(path, model)
    for note in loaded.notes:
        # stacklevel 2 points to the line that loads the model.
        warnings.warn(note, CheckpointWarning, stacklevel=2)
    return loaded.model, loaded.card


def load_checkpoint(path: str | Path, model: str | None = None) -> LoadedCheckpoint:
    """Load a model with all that is known of it.

    Args:
        path: the file.
        model: the user's name for the model, see `load_model`.

    Returns:
        The model, its card and notes.

    Raises:
        CheckpointError: the file cannot be read, or its weights do not match the model.
    """
    path = Path(path)
    contents = read_checkpoint(path)
    if contents.card is None:
        identification = identify_contents(contents, path.name, model)
        # An incomplete match is never loaded.
        if not identification.fits:
            raise CheckpointError(mismatch_message(path.name, identification, model))
        card = card_from_identification(identification)
        # Already under the model's own keys.
        state = identification.state_dict
        notes = identification_notes(identification, card)
    else:
        identification = None
        card = ModelCard.from_dict(contents.card)
        state = model_state_dict(contents)
        notes = _ignored_notes(contents, state, path.name)
    built = build_from_card(card, path.name, model)
    load_weights(built, state, card.arch, path.name)
    # Loaded models are for inference; training starts from the state dict.
    built = built.eval().requires_grad_(False)
    notes = (*nonfinite_notes(state, path.name), *contents.notes, *notes)
    return LoadedCheckpoint(built, card, notes, identification, contents.metadata)


def _ignored_notes(
    contents: CheckpointContents, state: Mapping[str, Tensor], file: str
) -> tuple[str, ...]:
    """Return a note if a LightningModule has weights beside the model's."""
    if len(state) == len(contents.state_dict):
        return ()
    # Keys of the model contain the prefix, also behind another one.
    ignored = [name for name in contents.state_dict if MODEL_PREFIX not in name]
    if not ignored:
        return ()
    count = plural(len(ignored), "weight")
    return (f"'{file}' has {count} beside the model's, which were ignored ({ignored[0]}).",)


def identify_contents(
    contents: CheckpointContents, file: str, model: str | None = None
) -> Identification:
    """Identify the model of a file without a card.

    Args:
        contents: the file's contents.
        file: file name, for messages.
        model: the user's name for the model, see `load_model`.

    Returns:
        The best match, which may not fit.

    Raises:
        CheckpointError: no known model is close.
    """
    try:
        # Matching builds models, which draws random numbers.
        with preserve_rng():
            return identify(contents.state_dict, contents.metadata, model)
    except CheckpointError as error:
        reason = str(error)
        raise CheckpointError(
            f"'{file}' has no model card, and {reason[:1].lower()}{reason[1:]}"
        ) from error


def card_from_identification(identification: Identification) -> ModelCard:
    """Build the card of a file that has none.

    Args:
        identification: the match.

    Returns:
        A card with the match's preprocessing and the dataset's class names, where known.
    """
    preprocessing = identification.preprocessing
    # Files of unknown origin do not name their classes.
    names, dataset = class_names(
        identification.num_classes, identification.dataset, preprocessing.input_size
    )
    return ModelCard(
        arch=identification.arch,
        model_kwargs=identification.model_kwargs,
        class_names=names,
        dataset=dataset,
        input_size=preprocessing.input_size,
        mean=preprocessing.mean,
        std=preprocessing.std,
        channel_order=preprocessing.channel_order,
        crop_pct=preprocessing.crop_pct,
        interpolation=preprocessing.interpolation,
        bn_eps=identification.bn_eps,
        dialect=identification.dialect,
    )


def identification_notes(identification: Identification, card: ModelCard) -> tuple[str, ...]:
    """Return notes on what was assumed.

    Args:
        identification: the match.
        card: its card.

    Returns:
        Sentences; none for a match that is certain.
    """
    notes = list[str]()
    if identification.confidence != "certain":
        others = ", ".join(identification.alternatives[:MAX_ALTERNATIVES])
        hint = f" (also matches {others}; choose with --model)" if others else ""
        notes.append(f"Identified as {identification.arch}{hint}.")
    if card.dataset and not identification.dataset:
        notes.append(
            f"Its {identification.num_classes:,} classes are assumed to be those of "
            f"{card.dataset_title}."
        )
    return tuple(notes)


def mismatch_message(file: str, identification: Identification, model: str | None) -> str:
    """Explain why a file does not match the closest model.

    Args:
        file: file name.
        identification: the match, with missing, unexpected or mismatched keys.
        model: the user's name for the model, or None.

    Returns:
        Sentences with the first key of each kind.
    """
    reasons = (
        ("missing", identification.missing_keys),
        ("unexpected", identification.unexpected_keys),
        ("of another shape", [name for name, *_ in identification.mismatched_keys]),
    )
    parts = [
        f"{plural(len(names), 'weight')} {reason} ({names[0]})"
        for reason, names in reasons
        if names
    ]
    # With --model there is nothing else to name.
    problem = f"does not match --model {model}"
    remedy = "Rename or remove what does not match."
    if model is None:
        problem = f"has no model card and is closest to {identification.arch}"
        remedy = "Rename or remove what does not match, or choose the right model with --model."
    return (
        f"'{file}' {problem}: {', '.join(parts)}. `lightning-resnets inspect` lists all of them. "
        f"{remedy}"
    )


def model_state_dict(contents: CheckpointContents) -> dict[str, Tensor]:
    """Return the weights under the model's names.

    Args:
        contents: a file with a card.

    Returns:
        Of a LightningModule the weights of its `model`, without those of its metrics; of any other
        file all weights.
    """
    state = contents.state_dict
    if contents.wrapper != "state_dict":
        return state
    model_state = dict[str, Tensor]()
    for name, weight in state.items():
        if name.startswith(MODEL_PREFIX):
            model_state[name.removeprefix(MODEL_PREFIX)] = weight
    return model_state or state
