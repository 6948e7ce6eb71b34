"""Open a checkpoint: one straight line from bytes to a model, each step called once, in this order.

1. `read_checkpoint`: bytes to tensors and metadata.
2. `find_model_parts`: which parts of the file may be models (prefixes, copies, metric states).
3. `translate_names`: the weights of each part under our names.
4. `choose_model`: candidates by names and shapes, and the one that every weight fits.
5. `assess_match`: what is known of it and what is assumed.
6. `build_from_card`: the model, exact or headless.

A file with a model card says which model it contains, so steps 2 to 5 are not needed. Nothing in a
file is executed or imported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any

from torch import Tensor, nn

from lightning_resnets.checkpoint.build_model import (
    build_from_card,
    check_arch,
    load_weights,
    preserve_rng,
)
from lightning_resnets.checkpoint.card_of_identification import card_from_identification
from lightning_resnets.checkpoint.card_overrides import CardOverrides
from lightning_resnets.checkpoint.identify.choose import (
    Choice,
    PartReading,
    choose_model,
    match_named_model,
    named_arch,
)
from lightning_resnets.checkpoint.identify.compare_settings import check_settings
from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.identify.known_and_assumed import Evidence, assess_match
from lightning_resnets.checkpoint.identify.model_parts import find_model_parts, select_parts
from lightning_resnets.checkpoint.identify.pickled_settings import (
    Settings,
    batch_norm_eps,
    is_known_code,
    options_from_settings,
    root_class,
)
from lightning_resnets.checkpoint.identify.summarize import summarize
from lightning_resnets.checkpoint.identify.translate import keep_names, translate_names
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.errors import CheckpointError
from lightning_resnets.formats.read import CheckpointContents, read_checkpoint
from lightning_resnets.models.model_names import split_options
from lightning_resnets.utils.arguments import check_type

NO_OVERRIDES = CardOverrides()
NO_METADATA: Mapping[str, Any] = MappingProxyType({})
NO_SETTINGS: Settings = MappingProxyType({})

MODEL_PREFIX = "model."  # the model inside our LightningModule


@dataclass(frozen=True, slots=True)
class OpenedCheckpoint:
    """The findings of each step.

    Attributes:
        contents: tensors and metadata.
        readings: the parts that may be models, under their own names and ours; () with a card.
        identification: the match of a file without a card, else None.
        card: the file's own card, or the one that its identification gives.
        state_dict: the weights under the model's own names.
    """

    contents: CheckpointContents
    readings: tuple[PartReading, ...]
    identification: Identification | None
    card: ModelCard
    state_dict: Mapping[str, Tensor]


def open_checkpoint(
    path: Path,
    model: str | None = None,
    select: str | None = None,
    overrides: CardOverrides = NO_OVERRIDES,
) -> OpenedCheckpoint:
    """Take a file through steps 1 to 5.

    Args:
        path: the file.
        model: the user's name for the model, see `load.load_model`.
        select: the user's name for one of several models in the file.
        overrides: entries of the card that the user gives.

    Returns:
        What each step found. The match may lack weights.

    Raises:
        CheckpointError: the file cannot be read, or matches no known model.
    """
    _check_arguments(model, select, overrides)
    contents = read_checkpoint(path, select or "")
    inner = _inner_selection(select, contents.wrapper)
    if contents.card is None:
        return _open_without_card(contents, path.name, model, inner, overrides)
    if inner:
        raise CheckpointError(
            f"There is no model '{inner}' in '{path.name}': it has a card and one model. "
            "Omit --select."
        )
    card = overrides.apply(ModelCard.from_dict(contents.card))
    # Without a name the model is checked when it is built.
    if model is not None:
        check_arch(card, path.name, model)
    return OpenedCheckpoint(contents, (), None, card, model_state_dict(contents))


def _check_arguments(model: str | None, select: str | None, overrides: CardOverrides) -> None:
    """Raise if an argument is of another type, or an empty name."""
    for option, value in (("model", model), ("select", select)):
        check_type(option, value, (str, NoneType), "a name", CheckpointError)
        if value == "":
            raise CheckpointError(f"{option} is empty: give a name, or leave it out.")
    check_type("overrides", overrides, CardOverrides, "CardOverrides", CheckpointError)


def _open_without_card(
    contents: CheckpointContents,
    file: str,
    model: str | None,
    select: str,
    overrides: CardOverrides,
) -> OpenedCheckpoint:
    """Identify the model of a file that does not say which it contains."""
    try:
        # Matching builds models, which draws random numbers.
        with preserve_rng():
            readings = read_parts(contents.state_dict, contents.metadata, select)
            found = identify_parts(readings, contents.metadata, model, contents.settings)
    except CheckpointError as error:
        reason = str(error)
        raise CheckpointError(
            f"'{file}' has no model card, and {reason[:1].lower()}{reason[1:]}"
        ) from error
    card = overrides.apply(card_from_identification(found, contents.metadata))
    return OpenedCheckpoint(contents, readings, found, card, found.state_dict)


def build_opened(opened: OpenedCheckpoint, file: str, model: str | None = None) -> nn.Module:
    """Take an opened file through step 6.

    Args:
        opened: what the other steps found; every weight must match.
        file: file name, for messages.
        model: the user's name for the model.

    Returns:
        The model with the file's weights, in training mode.

    Raises:
        CheckpointError: the weights do not match the card.
    """
    built = build_from_card(opened.card, file, model)
    load_weights(built, opened.state_dict, opened.card.arch, file)
    return built


def identify(
    weights: Mapping[str, Tensor],
    metadata: Mapping[str, Any] = NO_METADATA,
    model: str | None = None,
    select: str = "",
    settings: Settings = NO_SETTINGS,
) -> Identification:
    """Take weights through steps 2 to 5.

    Args:
        weights: tensors under the file's own keys, prefixes included.
        metadata: values beside the weights; `arch` decides between models that fit equally well.
        model: the user's name for the model, which overrules both, see `load.load_model`.
        select: prefix of the model in the file, or a piece of it.
        settings: settings of a whole pickled module, by path.

    Returns:
        The best match.

    Raises:
        CheckpointError: no known model is close, or there is none of this name.
    """
    return identify_parts(read_parts(weights, metadata, select), metadata, model, settings)


def read_parts(
    weights: Mapping[str, Tensor], metadata: Mapping[str, Any], select: str
) -> tuple[PartReading, ...]:
    """Take weights through steps 2 and 3.

    Args:
        weights: tensors under the file's own keys.
        metadata: values beside the weights.
        select: prefix of the model in the file, or a piece of it; "" for all.

    Returns:
        Each part under its own names and under ours.

    Raises:
        CheckpointError: a weight is empty, or no part has the selected prefix.
    """
    parts = find_model_parts(weights)
    if select:
        parts = select_parts(parts, select)
    return tuple(PartReading(keep_names(part), translate_names(part, metadata)) for part in parts)


def identify_parts(
    readings: Sequence[PartReading],
    metadata: Mapping[str, Any],
    model: str | None,
    settings: Settings,
) -> Identification:
    """Take named parts through steps 4 and 5.

    Args:
        readings: each part under its own names and under ours.
        metadata: values beside the weights.
        model: the user's name for the model, or None.
        settings: settings of a whole pickled module, by path.

    Returns:
        The best match.

    Raises:
        CheckpointError: no known model is close, or a pickled module differs from all.
    """
    choice = _choose(readings, metadata, model, settings)
    evidence = _evidence(metadata, model, settings)
    bn_eps = batch_norm_eps(settings)
    check_settings(choice.match, settings, bn_eps)
    return summarize(choice, assess_match(choice.match, evidence), evidence, bn_eps)


def _choose(
    readings: Sequence[PartReading],
    metadata: Mapping[str, Any],
    model: str | None,
    settings: Settings,
) -> Choice:
    """Take named parts through step 4; the user's name for the model overrules all else."""
    if model is not None:
        return match_named_model(readings, model)
    return choose_model(readings, metadata, _known_options(readings, settings))


def _known_options(readings: Sequence[PartReading], settings: Settings) -> dict[str, Any]:
    """Return the options that the settings of a pickled module tell."""
    for reading in readings:
        if options := options_from_settings(settings, reading.named):
            return options
    return {}


def _evidence(metadata: Mapping[str, Any], model: str | None, settings: Settings) -> Evidence:
    """Collect what tells the model besides its weights."""
    return Evidence(
        arch=named_arch(metadata),
        model=model,
        has_options=model is not None and bool(split_options(model)[1]),
        module=root_class(settings),
        is_known_code=is_known_code(settings),
    )


def _inner_selection(select: str | None, wrapper: str) -> str:
    """Return what a selection says about the keys inside of the wrapper."""
    if not select or select == wrapper or select == wrapper.partition(".")[0]:
        return ""
    return select.removeprefix(f"{wrapper}.") if wrapper else select


def model_state_dict(contents: CheckpointContents) -> dict[str, Tensor]:
    """Return the weights under the model's names.

    Args:
        contents: a file with a card.

    Returns:
        Of a LightningModule the weights of its `model`, without those of its metrics; of any other
        file all weights.
    """
    state = contents.state_dict
    # Lightning's own files have this wrapper.
    if contents.wrapper != "state_dict":
        return state
    model_state = dict[str, Tensor]()
    for name, weight in state.items():
        if name.startswith(MODEL_PREFIX):
            model_state[name.removeprefix(MODEL_PREFIX)] = weight
    return model_state or state
