"""Identify the model that weights of unknown origin belong to.

Prefixes are removed, keys turned into ours, and the architecture is inferred from shapes. Then the
model is chosen that every weight fits: one of ours, else one of torchvision or timm.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from torch import Tensor

from lightning_resnets.checkpoint.identify import architecture, candidates
from lightning_resnets.checkpoint.identify.architecture import InferredArchitecture, Shapes
from lightning_resnets.checkpoint.identify.candidates import ModelCandidate
from lightning_resnets.checkpoint.identify.confidence import ambiguous_options, assess_confidence
from lightning_resnets.checkpoint.identify.dialects import UNKNOWN, Dialect
from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.identify.known_preprocessing import (
    CIFAR10,
    IMAGENET,
    IMAGENET_SIZE,
    MEAN_STD_HALF,
    TORCH_PREPROCESSING,
)
from lightning_resnets.checkpoint.identify.matching import (
    Match,
    NormalizedWeights,
    is_counter,
    match_model,
)
from lightning_resnets.checkpoint.identify.normalize import (
    normalize_weights,
    remove_prefix,
    split_auxiliary,
)
from lightning_resnets.errors import CheckpointError
from lightning_resnets.models import registry
from lightning_resnets.models.known.index import Neighbor, lookup
from lightning_resnets.preprocessing import Preprocessing

MIN_MATCH_RATIO = 0.3  # of the weights, for a model to be named at all
DATASET_BY_NUM_CLASSES = {1000: "imagenet", 10: "cifar10", 100: "cifar100"}
NO_METADATA: Mapping[str, Any] = MappingProxyType({})

# torchvision's weights of these convert ImageNet's mean and std to 0.5 before the first layer.
INPUT_TRANSFORMING_MODELS = ("googlenet", "inception_v3")


def identify(
    weights: Mapping[str, Tensor],
    metadata: Mapping[str, Any] = NO_METADATA,
    model: str | None = None,
) -> Identification:
    """Identify the model that weights belong to.

    Args:
        weights: tensors under the file's own keys, prefixes included.
        metadata: values beside the weights; `arch`, as training scripts write it, decides between
            models that fit equally well.
        model: the user's name for the model, which overrules both: one of ours, `timm/NAME`,
            `torchvision/NAME`, or `module:function`, whose module is then imported and run.

    Returns:
        The best match.

    Raises:
        CheckpointError: no known model is close, or there is none of this name.
    """
    original = remove_prefix(weights)
    normalized = normalize_weights(original)
    arch = metadata.get("arch")
    arch = arch.lower() if isinstance(arch, str) else ""
    if model is not None:
        return _identify_as(model, normalized, original)
    match = _match_ours(normalized, arch)
    # Our models come first, unless the file names another.
    if match is not None and arch in ("", match.name):
        return _from_match(normalized, match, arch)
    external = _match_external(original, arch)
    # A file that names an external model overrules ours of the same shapes.
    is_external = match is None or (external and external.arch.partition("/")[2] == arch)
    if external is not None and external.fits and is_external:
        return external
    if match is not None:
        return _from_match(normalized, match, arch)
    return _closest(normalized, external, weights)


def _identify_as(
    name: str, normalized: NormalizedWeights, original: NormalizedWeights
) -> Identification:
    """Match the weights against the model that the user names."""
    is_ours = name in registry.MODELS
    if is_ours and normalized.key_conflict:
        raise CheckpointError(normalized.key_conflict)
    # Only our models have a dialect's keys translated.
    weights = normalized if is_ours else original
    rows = lookup(original.shapes)
    # The index knows preprocessing and classes of external models.
    near = next((row for row in rows if row.arch == name), None)
    match = _match_named(name, normalized, weights, near)
    found = _from_match(weights, match, name)
    if not is_ours:
        inferred = architecture.infer_architecture(normalized.shapes)
        guess = _guess_preprocessing(original.shapes, inferred)
        found = replace(found, preprocessing=near.preprocessing if near else guess)
        if "/" in name:
            found = replace(found, dialect=name.partition("/")[0])
        else:
            # A custom model's classes are its own.
            found = replace(found, dialect=UNKNOWN.name, dataset="")
    if not match.fits:
        return replace(found, reason=f"--model names {name}, but not every weight fits it")
    reason = f"--model names {name}, and every weight fits it"
    return replace(found, confidence="certain", reason=reason, alternatives=())


def _match_named(
    name: str, normalized: NormalizedWeights, weights: NormalizedWeights, near: Neighbor | None
) -> Match:
    """Match the weights against a named model, with inferred arguments or without any."""
    model_kwargs = dict[str, Any]()
    if name in registry.MODELS and normalized.architecture:
        model_kwargs = candidates.model_kwargs_for(name, normalized.architecture)
    num_classes = near.num_classes if near and near.is_exact else 0
    try:
        match = match_model(name, model_kwargs, weights, num_classes)
        # Inferred arguments may be invalid for a damaged file.
        match = match or match_model(name, {}, weights, num_classes)
    except ImportError as error:
        raise CheckpointError(
            f"The model {name} cannot be built here ({error}). Install the missing package."
        ) from error
    if match is None:
        raise CheckpointError(_build_error(name, weights))
    return match


def _build_error(name: str, weights: NormalizedWeights) -> str:
    """Return the message for a named model that cannot be built."""
    num_classes = max(1, architecture.infer_num_classes(weights.shapes))
    try:
        registry.create_model(name, num_classes=num_classes)
    except (ValueError, RuntimeError) as error:
        return str(error)
    return f"The model {name} cannot be built for these weights. Choose another --model."


def _match_ours(weights: NormalizedWeights, arch: str) -> Match | None:
    """Return the model of the registry that every weight fits; `arch` first if several do."""
    found = _candidates(weights)
    for name, model_kwargs in sorted(found, key=lambda candidate: candidate[0] != arch):
        match = match_model(name, model_kwargs, weights)
        if match is not None and match.fits:
            return match
    return None


def _candidates(weights: NormalizedWeights) -> list[ModelCandidate]:
    """Return the models of the registry that the weights may fit."""
    if weights.architecture:
        return candidates.matching_models(weights.architecture)
    return candidates.candidates_by_signature(weights.shapes)


def _from_match(weights: NormalizedWeights, match: Match, arch: str = "") -> Identification:
    """Build the identification of a match."""
    dialect = weights.dialect
    confidence, reason, alternatives = assess_confidence(match, weights, arch)
    match = _resolve_ambiguity(match, weights, arch)
    preprocessing, dataset = _preprocessing_of(match, dialect, weights.architecture)
    return Identification(
        arch=match.name,
        num_classes=match.num_classes,
        model_kwargs=match.model_kwargs,
        dialect=dialect.name,
        state_dict=match.state_dict,
        missing_keys=match.missing_keys,
        unexpected_keys=match.unexpected_keys,
        mismatched_keys=match.mismatched_keys,
        ignored_keys=weights.ignored_keys,
        conversions=weights.conversions,
        confidence=confidence,
        reason=reason,
        alternatives=alternatives,
        preprocessing=preprocessing,
        bn_eps=dialect.bn_eps,
        dataset=dataset,
    )


def _resolve_ambiguity(match: Match, weights: NormalizedWeights, arch: str) -> Match:
    """Return the match with the other argument if the file's name ends in b, as pytorchcv's do."""
    inferred = weights.architecture
    if inferred is None or not match.fits or arch != f"{match.name}b":
        return match
    other = dict(ambiguous_options(inferred, weights.dialect))
    inferred = replace(inferred, model_kwargs={**inferred.model_kwargs, **other})
    model_kwargs = candidates.model_kwargs_for(match.name, inferred)
    return replace(match, model_kwargs=model_kwargs)


def _preprocessing_of(
    match: Match, dialect: Dialect, inferred: InferredArchitecture | None
) -> tuple[Preprocessing, str]:
    """Return the model's preprocessing, and the dataset whose number of classes it has."""
    count = match.num_classes
    registered = registry.MODELS.get(match.name)
    size = registered.input_size if registered else IMAGENET_SIZE
    # Without inferred stem the model's own input size decides.
    is_large = inferred.has("imagenet") if inferred else size[1] > 32
    if is_large:
        key = "imagenet"
    elif count == 100:
        key = "cifar100"
    else:
        key = "cifar10"
    preprocessing = dialect.preprocessing.get(key, TORCH_PREPROCESSING[key])
    if match.name in INPUT_TRANSFORMING_MODELS and count == 1000:
        preprocessing = MEAN_STD_HALF
    if is_large and size[1] > 32:
        preprocessing = replace(preprocessing, input_size=size)
    return preprocessing, key if DATASET_BY_NUM_CLASSES.get(count) == key else ""


def _match_external(original: NormalizedWeights, arch: str) -> Identification | None:
    """Return the closest model of torchvision or timm, or None if the index has none."""
    rows = lookup(original.shapes)
    state, auxiliary = split_auxiliary(original.state_dict)
    ignored = (*original.ignored_keys, *auxiliary)
    weights = replace(original, state_dict=state, ignored_keys=ignored)
    # An exact row that the file names comes before the closest one.
    named = [row for row in rows if row.is_exact and row.arch.partition("/")[2] == arch]
    for row in (*named, *rows[:1]):
        match = match_model(row.arch, {}, weights, row.num_classes)
        if match is not None:
            found = _from_match(weights, match, arch)
            return replace(
                found,
                preprocessing=row.preprocessing,
                dialect=row.arch.partition("/")[0],
                dataset="imagenet" if found.num_classes == 1000 else "",
            )
    return None


def _closest(
    normalized: NormalizedWeights, external: Identification | None, weights: Mapping[str, Tensor]
) -> Identification:
    """Return the model that most weights fit; raise if none is close."""
    if normalized.key_conflict:
        raise CheckpointError(normalized.key_conflict)
    best = _best_of_ours(normalized)
    # Of equal ratios the external model wins, whose keys need no translation.
    our_ratio = best.match_ratio if best else 0.0
    if external is not None:
        ratio = _match_ratio(external)
        if ratio >= our_ratio and ratio >= MIN_MATCH_RATIO:
            return external
    if best is None or our_ratio < MIN_MATCH_RATIO:
        # A key from the file, cut to a readable length.
        first = next(iter(weights), "")[:40]
        raise CheckpointError(
            f"No known model has weights like these ({len(weights):,}, the first is '{first}'). "
            "Choose a model with --model, or save the file with a model card."
        )
    return _from_match(normalized, best)


def _best_of_ours(weights: NormalizedWeights) -> Match | None:
    """Return the model of the registry that most weights fit."""
    # Without models of these depths the closest ones are tried.
    found = _candidates(weights)
    if weights.architecture and not found:
        found = candidates.closest_models(weights.architecture)
    matches = [match_model(name, model_kwargs, weights) for name, model_kwargs in found]
    fitting = [match for match in matches if match is not None]
    return max(fitting, key=lambda match: match.match_ratio, default=None)


def _match_ratio(found: Identification) -> float:
    """Return the fraction of keys that match, of all keys of the file or the model."""
    matched = sum(1 for name in found.state_dict if not is_counter(name))
    others = len(found.missing_keys) + len(found.mismatched_keys) + len(found.unexpected_keys)
    return matched / max(1, matched + others)


def _guess_preprocessing(shapes: Shapes, inferred: InferredArchitecture | None) -> Preprocessing:
    """Guess the input of a custom model: CIFAR's for a small first convolution, else ImageNet's."""
    if inferred:
        return CIFAR10 if inferred.has("cifar") else IMAGENET
    first = next((shape for shape in shapes.values() if len(shape) == 4), (0, 3, 7, 7))
    return CIFAR10 if first[-1] <= 3 else IMAGENET
