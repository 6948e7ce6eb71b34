"""Choose the model that weights fit: candidates by names and shapes, then the best match."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lightning_resnets.checkpoint.identify import architecture, candidates
from lightning_resnets.checkpoint.identify.candidates import ModelCandidate
from lightning_resnets.checkpoint.identify.external_match import match_external
from lightning_resnets.checkpoint.identify.matching import Match, match_model
from lightning_resnets.checkpoint.identify.open_options import dialect_options
from lightning_resnets.checkpoint.identify.translate import NamedWeights
from lightning_resnets.errors import CheckpointError
from lightning_resnets.models import registry
from lightning_resnets.models.generic import GENERIC_MODELS
from lightning_resnets.models.known.index import Neighbor, lookup
from lightning_resnets.models.model_names import split_options

MIN_MATCH_RATIO = 0.3  # of the weights, for a model to be named at all

# Names of copies that are not the model that is trained or published.
COPY_WORDS = ("encoder_k", "key", "momentum", "target", "ema", "student", "old")


@dataclass(frozen=True, slots=True)
class PartReading:
    """One part of a file, under its own names and under ours."""

    original: NamedWeights
    named: NamedWeights

    @property
    def prefix(self) -> str:
        """Return the part's prefix."""
        return self.original.part.prefix


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen model and the other models of the file.

    Attributes:
        match: the match of the chosen part, which may not fit.
        others: prefixes of other parts that are whole models.
    """

    match: Match
    others: tuple[str, ...] = ()


def choose_model(
    readings: Sequence[PartReading], metadata: Mapping[str, Any], options: Mapping[str, Any]
) -> Choice:
    """Choose the part of a file that is a model, and the model that it is.

    Args:
        readings: parts, those with the shorter prefix first.
        metadata: values beside the weights; `arch` decides between models that fit equally well.
        options: model kwargs that are known otherwise, from the settings of a pickled module.

    Returns:
        The model that every weight of a part fits, else the closest one.

    Raises:
        CheckpointError: no known model is close.
    """
    fitting, failed = _match_parts(readings, named_arch(metadata), options)
    if not fitting:
        return Choice(_closest(readings, failed))
    # The sort is stable: of several originals the one with the shorter prefix stays first.
    fitting.sort(key=_copy_rank)
    others = tuple(match.weights.part.prefix.rstrip(".") for match in fitting[1:])
    return Choice(fitting[0], others)


def named_arch(metadata: Mapping[str, Any]) -> str:
    """Return the model's name in the metadata, as training scripts write it.

    Args:
        metadata: values beside the weights.

    Returns:
        The name in lower case, "" if there is none.
    """
    arch = metadata.get("arch")
    if not isinstance(arch, str):
        return ""
    return arch.lower()


def _match_parts(
    readings: Sequence[PartReading], arch: str, options: Mapping[str, Any]
) -> tuple[list[Match], list[Match]]:
    """Return the best match of each part that has any: those that fit, and the others."""
    fitting = list[Match]()
    failed = list[Match]()
    for reading in readings:
        # A part inside of a whole model is none itself.
        if any(reading.prefix.startswith(match.weights.part.prefix) for match in fitting):
            continue
        found = _match_part(reading, arch, options)
        if found is not None:
            matches = fitting if found.fits else failed
            matches.append(found)
    return fitting, failed


def _copy_rank(match: Match) -> int:
    """Return 1 for a copy of the model, such as a momentum encoder."""
    words = match.weights.part.prefix.split(".")
    return int(any(word in COPY_WORDS for word in words))


def _match_part(reading: PartReading, arch: str, options: Mapping[str, Any]) -> Match | None:
    """Return the best match of one part; a model of ours comes first, unless the file names one."""
    match = _match_ours(reading.named, arch, options)
    if match is not None and match.fits and arch in ("", match.name):
        return match
    external = match_external(reading.original, arch)
    is_ours = match is not None and match.fits
    # A file that names an external model overrules ours of the same shapes.
    is_named = external is not None and external.name.partition("/")[2] == arch
    if external is not None and external.fits and (is_named or not is_ours):
        return external
    if match is None or is_ours or external is None:
        return match or external
    # Of equal ratios the external model wins, whose keys need no translation.
    if external.match_ratio >= match.match_ratio:
        return external
    return match


def _match_ours(weights: NamedWeights, arch: str, options: Mapping[str, Any]) -> Match | None:
    """Return the model of the registry that every weight fits, else the one that most fit."""
    found = _find_candidates(weights, arch, options)
    best: Match | None = None
    # False sorts before True: the file's own name for its model is tried first.
    for name, model_kwargs in sorted(found, key=lambda candidate: candidate[0] != arch):
        match = match_model(name, model_kwargs, weights)
        if match is None:
            continue
        if match.fits:
            return match
        if best is None or match.match_ratio > best.match_ratio:
            best = match
    return best


def _find_candidates(
    weights: NamedWeights, arch: str, options: Mapping[str, Any]
) -> list[ModelCandidate]:
    """Return the models of the registry that the weights may fit."""
    inferred = weights.architecture
    if inferred is None:
        return candidates.candidates_by_signature(weights.shapes)
    inferred = replace(inferred, model_kwargs={**inferred.model_kwargs, **options})
    found = candidates.matching_models(inferred)
    # pytorchcv appends a b to a name for the other value of an option.
    other = dict(dialect_options(inferred, weights.dialect))
    flipped = replace(inferred, model_kwargs={**inferred.model_kwargs, **other})
    return [
        (name, candidates.model_kwargs_for(name, flipped) if arch == f"{name}b" else model_kwargs)
        for name, model_kwargs in found
    ]


def _closest(readings: Sequence[PartReading], failed: Sequence[Match]) -> Match:
    """Return the model that most weights fit; raise if none is close."""
    for reading in readings:
        if reading.named.key_conflict:
            raise CheckpointError(reading.named.key_conflict)
    best = max(failed, key=lambda match: match.match_ratio, default=None)
    if best is None or best.match_ratio < MIN_MATCH_RATIO:
        weights = readings[0].original.state_dict
        # A key from the file, cut to a readable length.
        first = next(iter(weights), "")[:40]
        raise CheckpointError(
            f"No known model has weights like these ({len(weights):,}, the first is '{first}'). "
            "Choose a model with --model, or save the file with a model card."
        )
    return best


def match_named_model(readings: Sequence[PartReading], model: str) -> Choice:
    """Match the weights against the model that the user names.

    Args:
        readings: parts, those with the shorter prefix first.
        model: the name, options included: `resnet50,stride_in=1x1`.

    Returns:
        The first part that fits, else the closest one.

    Raises:
        CheckpointError: there is no such model, or it cannot be built.
    """
    name, options = split_options(model)
    matches = list[Match]()
    for reading in readings:
        match = _match_named(name, options, _weights_for(name, reading))
        if match is None:
            continue
        if match.fits:
            return Choice(match)
        matches.append(match)
    if not matches:
        raise CheckpointError(_describe_build_error(model, readings[0].original))
    return Choice(max(matches, key=lambda match: match.match_ratio))


def _is_ours(name: str) -> bool:
    """Return True for a model of this package."""
    return name in registry.MODELS or name in GENERIC_MODELS


def _weights_for(name: str, reading: PartReading) -> NamedWeights:
    """Return the weights as a named model has them; raise if two of them would get one key."""
    # Only our models have a dialect's keys translated.
    if not _is_ours(name):
        return reading.original
    if reading.named.key_conflict:
        raise CheckpointError(reading.named.key_conflict)
    return reading.named


def _inferred_kwargs(name: str, given: Mapping[str, Any], weights: NamedWeights) -> dict[str, Any]:
    """Return a named model's arguments: those that the user gives and those that shapes tell."""
    if not _is_ours(name) or not weights.architecture:
        return dict(given)
    known = {**weights.architecture.model_kwargs, **given}
    inferred = replace(weights.architecture, model_kwargs=known)
    # Options that equal the model's own are kept, so that the card has what the user said.
    return {**candidates.model_kwargs_for(name, inferred), **given}


def _find_row(name: str, weights: NamedWeights) -> Neighbor | None:
    """Return an external model's row of the index, which has its preprocessing and classes."""
    if "/" not in name:
        return None
    return next((row for row in lookup(weights.shapes) if row.arch == name), None)


def _match_named(name: str, options: Mapping[str, Any], weights: NamedWeights) -> Match | None:
    """Match one part against a named model, with inferred arguments or without any."""
    given = dict(options)
    model_kwargs = _inferred_kwargs(name, given, weights)
    near = _find_row(name, weights)
    num_classes: int | None = None
    if near is not None and near.is_exact:
        num_classes = near.num_classes
    try:
        match = match_model(name, model_kwargs, weights, num_classes)
        # Inferred arguments may be invalid for a damaged file.
        match = match or match_model(name, given, weights, num_classes)
    except ImportError as error:
        raise CheckpointError(
            f"The model {name} cannot be built here ({error}). Install the missing package."
        ) from error
    if match is None or near is None:
        return match
    return replace(match, preprocessing=near.preprocessing)


def _describe_build_error(name: str, weights: NamedWeights) -> str:
    """Return the message for a named model that cannot be built."""
    num_classes = max(1, architecture.infer_num_classes(weights.shapes))
    try:
        registry.create_model(name, num_classes=num_classes)
    except (ValueError, RuntimeError) as error:
        return str(error)
    return f"The model {name} cannot be built for these weights. Choose another --model."
