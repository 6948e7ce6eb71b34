"""Which model a file's weights belong to: prefixes off, names into ours, architecture from shapes, then what fits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from lightning_resnets.checkpoint.identify import architecture
from lightning_resnets.checkpoint.identify.architecture import (
    InferredArchitecture,
    ModelCandidate,
    Shapes,
)
from lightning_resnets.checkpoint.identify.confidence import ambiguous_options, assess_confidence
from lightning_resnets.checkpoint.identify.conversions import apply_conversions
from lightning_resnets.checkpoint.identify.dialects import (
    CIFAR10,
    IMAGENET,
    MEAN_STD_HALF,
    TORCH_PREPROCESSING,
    UNKNOWN,
    Dialect,
    detect_dialect,
)
from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.identify.matching import (
    NUM_BATCHES_TRACKED,
    Match,
    NormalizedWeights,
    match_model,
)
from lightning_resnets.checkpoint.identify.prefixes import (
    IGNORED_KEYS,
    common_prefix,
    rename_keys,
)
from lightning_resnets.errors import CheckpointError
from lightning_resnets.models import registry
from lightning_resnets.models.key_rules import AUX_CLASSIFIER_KEYS, rename_key
from lightning_resnets.models.known.index import lookup
from lightning_resnets.preprocessing import Preprocessing

MIN_MATCH_RATIO = (
    0.3  # the share of a model's weights that a file must have for the model to be named at all
)


DATASET_BY_NUM_CLASSES = {1000: "imagenet", 10: "cifar10", 100: "cifar100"}


def identify(
    weights: Mapping[str, Tensor], also: Mapping[str, Any] = {}, model: str | None = None
) -> Identification:
    """The model that weights of unknown origin belong to.

    `weights` are under the file's own names, prefixes and all, `also` is what else the file holds (`arch`, as training
    scripts write it, decides between models that fit alike), `model` the name that the user gives, which overrules both:
    a model of the zoo, `timm/NAME`, `torchvision/NAME` or `module:function`, whose module is then imported. Raises
    CheckpointError where no model is near, or where there is none of the name.
    """
    plain, dropped, words = _bare(weights)
    reading = normalize_weights(plain, dropped, words)
    arch = str(also.get("arch", "")).lower() if isinstance(also.get("arch"), str) else ""
    untouched = _as_is(plain, dropped, words)
    if model is not None:
        return _named(model, reading, untouched)
    match = _exact(reading, arch)
    if match is not None and arch in ("", match.name):
        return _finding(reading, match, arch)
    foreign = _foreign(untouched, arch)
    if (
        foreign is not None
        and foreign.fits
        and (match is None or foreign.arch.partition("/")[2] == arch)
    ):
        return foreign
    return (
        _finding(reading, match, arch) if match is not None else _nearest(reading, foreign, weights)
    )


def _named(name: str, reading: NormalizedWeights, plain: NormalizedWeights) -> Identification:
    """The weights laid over the model that the user names; names of a dialect are read for models of the zoo alone."""
    ours = name in registry.MODELS
    if ours and reading.key_conflict:
        raise CheckpointError(reading.key_conflict)
    taken = reading if ours else plain
    options = (
        architecture.model_kwargs_for(name, reading.architecture)
        if ours and reading.architecture
        else {}
    )
    near = next((item for item in lookup(plain.shapes) if item.arch == name), None)
    count = near.num_classes if near and near.is_exact else 0
    try:
        match = match_model(name, options, taken, count) or match_model(name, {}, taken, count)
    except ImportError as error:
        raise CheckpointError(
            f"The model {name} cannot be built here ({error}): install what it needs."
        ) from error
    if match is None:
        raise CheckpointError(_refusal(name, taken))
    found = _finding(taken, match, name)
    if not ours:
        stem = architecture.infer_architecture(reading.shapes)
        found = replace(
            found,
            preprocessing=near.preprocessing if near else _guess(plain.shapes, stem),
            dialect=name.partition("/")[0] if "/" in name else UNKNOWN.name,
            dataset=found.dataset if "/" in name else "",
        )
    if not match.fits:
        return replace(found, reason=f"you named {name}, but not every weight fits it")
    return replace(
        found,
        confidence="certain",
        reason=f"you named {name}, and every weight fits it",
        alternatives=(),
    )


def _refusal(name: str, reading: NormalizedWeights) -> str:
    try:
        registry.create_model(
            name, num_classes=max(1, architecture.infer_num_classes(reading.shapes))
        )
    except (ValueError, RuntimeError) as error:
        return str(error)
    return f"The model {name} cannot be built for these weights: name another."


def _bare(
    weights: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], tuple[str, ...], tuple[str, ...]]:
    """Weights without prefixes and ballast; the ballast; what was done, in words."""
    weights = rename_keys(weights, lambda name: name.replace("._orig_mod.", "."))
    front = common_prefix(weights)
    dropped = tuple(
        name
        for name in weights
        if not name.startswith(front) or IGNORED_KEYS.fullmatch(name.removeprefix(front))
    )
    gone = set(dropped)
    plain = {name[len(front) :]: weight for name, weight in weights.items() if name not in gone}
    for name, weight in plain.items():
        if 0 in weight.shape:
            sides = " x ".join(map(str, weight.shape))
            raise CheckpointError(
                f"The weight '{name}' is empty ({sides}): save the whole model again."
            )
    return plain, dropped, ((f"'{front}' taken off the names",) if front else ())


def normalize_weights(
    plain: dict[str, Tensor], dropped: tuple[str, ...] = (), words: tuple[str, ...] = ()
) -> NormalizedWeights:
    """The weights in our names, and the make that their shapes tell."""
    dialect = detect_dialect(plain)
    auxiliary = (
        tuple(name for name in plain if AUX_CLASSIFIER_KEYS.match(name))
        if dialect.name == "torchvision"
        else ()
    )
    kept = {
        name: weight
        for name, weight in plain.items()
        if not auxiliary or not AUX_CLASSIFIER_KEYS.match(name)
    }
    try:
        state = rename_keys(kept, lambda name: rename_key(name, dialect.key_rules))
    except CheckpointError as clash:  # the names may still be those of a model that is not ours
        return replace(_as_is(plain, dropped, words), key_conflict=str(clash))
    if auxiliary:
        words = (*words, "auxiliary classifiers, which only training needs, left out")
    words = (*words, *apply_conversions(state, dialect.conversions))
    shapes = {name: tuple(weight.shape) for name, weight in state.items()}
    make = architecture.infer_architecture(shapes)
    if make is not None:
        fixed = {
            key: value
            for trait, row in dialect.model_kwargs.items()
            if make.has(trait)
            for key, value in row.items()
        }
        make = replace(make, model_kwargs={**make.model_kwargs, **fixed})
    return NormalizedWeights(dialect, state, shapes, (*dropped, *auxiliary), words, make)


def _as_is(
    plain: dict[str, Tensor], dropped: tuple[str, ...], words: tuple[str, ...]
) -> NormalizedWeights:
    """The weights under their own names, for models that are not ours."""
    return NormalizedWeights(
        UNKNOWN,
        plain,
        {name: tuple(weight.shape) for name, weight in plain.items()},
        dropped,
        words,
    )


def _exact(reading: NormalizedWeights, arch: str) -> Match | None:
    """The model of the zoo that every weight fits; that which `arch` names, where several fit."""
    found = (
        architecture.matching_models(reading.architecture)
        if reading.architecture
        else architecture.candidates_by_signature(reading.shapes)
    )
    for name, options in sorted(found, key=lambda candidate: candidate[0] != arch):
        match = match_model(name, options, reading)
        if match is not None and match.fits:
            return match
    return None


def _finding(reading: NormalizedWeights, match: Match, arch: str = "") -> Identification:
    """What to say of a match with a model of the zoo."""
    dialect, make = reading.dialect, reading.architecture
    sure, why, alternatives = assess_confidence(match, reading, arch)
    match = _settled(match, reading, arch)
    view, data = _input(match, dialect, make)
    return Identification(
        arch=match.name,
        num_classes=match.num_classes,
        model_kwargs=match.model_kwargs,
        dialect=dialect.name,
        state_dict=match.state_dict,
        missing_keys=match.missing_keys,
        unexpected_keys=match.unexpected_keys,
        mismatched_keys=match.mismatched_keys,
        ignored_keys=reading.ignored_keys,
        conversions=reading.conversions,
        confidence=sure,
        reason=why,
        alternatives=alternatives,
        preprocessing=view,
        bn_eps=dialect.bn_eps,
        dataset=data,
    )


def _settled(match: Match, reading: NormalizedWeights, arch: str) -> Match:
    """The match; or, where `arch` says so as pytorchcv does, by a b at the name's end, with the other option."""
    if reading.architecture is None or not match.fits or arch != f"{match.name}b":
        return match
    make = replace(
        reading.architecture,
        model_kwargs={
            **reading.architecture.model_kwargs,
            **dict(ambiguous_options(reading.architecture, reading.dialect)),
        },
    )
    return replace(match, model_kwargs=architecture.model_kwargs_for(match.name, make))


def _input(
    match: Match, dialect: Dialect, make: InferredArchitecture | None
) -> tuple[Preprocessing, str]:
    """How the model wants its images and of which data set it knows the classes."""
    count, size = (
        match.num_classes,
        registry.MODELS[match.name].input_size if match.name in registry.MODELS else (3, 224, 224),
    )
    large = make.has("imagenet") if make else size[1] > 32
    key = "imagenet" if large else "cifar100" if count == 100 else "cifar10"
    view = dialect.preprocessing.get(key, TORCH_PREPROCESSING[key])
    if match.name in ("googlenet", "inception_v3") and count == 1000:
        view = MEAN_STD_HALF  # torchvision's published weights turn ImageNet's mean and std into these before the first layer
    if large and size[1] > 32:
        view = replace(view, input_size=size)
    return view, key if DATASET_BY_NUM_CLASSES.get(count) == key else ""


def _foreign(plain: NormalizedWeights, arch: str) -> Identification | None:
    """The model of torchvision or timm that fits, or the nearest; None where the index knows none."""
    rows = lookup(plain.shapes)
    gone = {name for name in plain.state_dict if AUX_CLASSIFIER_KEYS.match(name)}
    kept = {name: weight for name, weight in plain.state_dict.items() if name not in gone}
    plain = replace(plain, state_dict=kept, ignored_keys=(*plain.ignored_keys, *gone))
    named = [row for row in rows if row.is_exact and row.arch.partition("/")[2] == arch]
    for row in (*named, *rows[:1]):
        match = match_model(row.arch, {}, plain, row.num_classes)
        if match is not None:
            found = replace(
                _finding(plain, match, arch),
                preprocessing=row.preprocessing,
                dialect=row.arch.partition("/")[0],
            )
            return replace(found, dataset="imagenet" if found.num_classes == 1000 else "")
    return None


def _nearest(
    reading: NormalizedWeights, foreign: Identification | None, weights: Mapping[str, Tensor]
) -> Identification:
    """The model that most weights fit, with what does not; raises where none is near."""
    if reading.key_conflict:
        raise CheckpointError(reading.key_conflict)
    found: list[ModelCandidate] = architecture.candidates_by_signature(reading.shapes)
    if reading.architecture:
        found = architecture.matching_models(reading.architecture) or architecture.closest_models(
            reading.architecture
        )
    tried = [match for name, options in found if (match := match_model(name, options, reading))]
    best = max(tried, key=lambda match: match.match_ratio, default=None)
    if foreign is not None and (best is None or _share(foreign) >= best.match_ratio):
        best_share = _share(foreign)
        if best_share >= MIN_MATCH_RATIO:
            return foreign
    if best is None or best.match_ratio < MIN_MATCH_RATIO:
        shown = next(iter(weights), "")[:40]
        raise CheckpointError(
            f"No model known here has weights like these ({len(weights)}, the first is '{shown}'): name the model with "
            "--model, or save it with its card."
        )
    return _finding(reading, best)


def _share(found: Identification) -> float:
    fit = sum(1 for name in found.state_dict if not name.endswith(NUM_BATCHES_TRACKED))
    return fit / max(
        1, fit + len(found.missing_keys) + len(found.mismatched_keys) + len(found.unexpected_keys)
    )


def _guess(shapes: Shapes, make: InferredArchitecture | None) -> Preprocessing:
    """An input for a model that nobody told us about: by its first convolution, CIFAR's small windows or ImageNet's."""
    first = next((shape for shape in shapes.values() if len(shape) == 4), (0, 3, 7, 7))
    small = make.has("cifar") if make else first[-1] <= 3
    return CIFAR10 if small else IMAGENET
