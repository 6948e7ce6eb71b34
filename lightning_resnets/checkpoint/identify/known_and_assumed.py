"""Assess a match: which other models the same weights fit, and what was assumed.

Options without weights (stride of a bottleneck, pool, dilation, SE placement, identity shortcuts)
give different models with the same names and shapes. Keys that only one project uses decide them,
because its models are built in one way. So do the file's own name for the model, the user's, and
the settings of a whole pickled module. Nothing else does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lightning_resnets.checkpoint.identify import candidates
from lightning_resnets.checkpoint.identify.architecture import Shapes
from lightning_resnets.checkpoint.identify.identification import Confidence
from lightning_resnets.checkpoint.identify.matching import Match
from lightning_resnets.checkpoint.identify.open_options import (
    Option,
    dialect_options,
    open_options,
)
from lightning_resnets.checkpoint.identify.translate import NamedWeights
from lightning_resnets.models import registry
from lightning_resnets.models.known.index import lookup, models_with_same_weights
from lightning_resnets.models.model_names import join_options
from lightning_resnets.utils.format import join_first

# Options that models with blocks of a special kind have, too.
SPECIAL_BLOCK_OPTIONS = ("stem_pool", "se_pool")
# In the reason, which is read in a terminal; the identification has all.
MAX_ALTERNATIVES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """Facts that tell a model besides its weights.

    Attributes:
        arch: the model's name in the file's metadata, or "".
        model: the user's name for the model, or None.
        has_options: the user's name has options.
        module: class of a whole pickled module whose settings were compared, or "".
        is_known_code: that module's forward pass is published code, not the user's own.
    """

    arch: str = ""
    model: str | None = None
    has_options: bool = False
    module: str = ""
    is_known_code: bool = False


@dataclass(frozen=True, slots=True)
class Assessment:
    """The confidence of a match.

    Attributes:
        confidence: "certain", "likely" or "unsure".
        reason: explanation.
        alternatives: names of other models with the same names and shapes; each works as --model.
    """

    confidence: Confidence
    reason: str
    alternatives: tuple[str, ...] = ()


def assess_match(match: Match, evidence: Evidence) -> Assessment:
    """Assess a match.

    Args:
        match: the match.
        evidence: what tells the model besides its weights.

    Returns:
        Confidence, reason and alternatives.
    """
    if not match.fits:
        return _assess_misfit(match, evidence)
    every = f"every weight fits {match.name}"
    # Settings decide everything, then the user's options, the user's name, and the file's name.
    if evidence.module and evidence.is_known_code:
        every += ", and so do the strides, dilations and pools of the pickled model"
        return Assessment("certain", f"{every}{_caveat(match)}")
    if evidence.has_options:
        return Assessment("certain", f"--model names {evidence.model}, and {every}")
    others = _other_models(match)
    if evidence.model is not None:
        return _assess_named(match, evidence.model, every, others)
    if _names_model(evidence.arch, match):
        others = _undecided_by_file_name(match, others)
        if not others:
            return _assess_named_by_file(match, evidence.arch, every)
    return _assess_alternatives(match, every, others)


def _assess_misfit(match: Match, evidence: Evidence) -> Assessment:
    """Assess a match that lacks weights."""
    claim = f"{match.name} is the closest model"
    if evidence.model is not None:
        claim = f"--model names {evidence.model}"
    return Assessment("unsure", f"{claim}, but not every weight fits it")


def _caveat(match: Match) -> str:
    """Return what is guessed about the preprocessing, as the end of a sentence."""
    caveat = match.weights.dialect.caveat
    return f"; {caveat}" if caveat else ""


def _assess_named_by_file(match: Match, arch: str, every: str) -> Assessment:
    """Assess a model that the file names, with no other that fits."""
    reason = f"the file names {arch}, and {every}{_caveat(match)}"
    # A name says nothing about what stands between the layers of another head.
    has_hidden = bool(match.model_kwargs.get("head_widths"))
    return Assessment("likely" if has_hidden else "certain", reason)


def _assess_named(match: Match, model: str, every: str, others: Sequence[str]) -> Assessment:
    """Assess a model that the user names without options."""
    undecided = _undecided_by_name(match, others)
    if not undecided:
        return Assessment("certain", f"--model names {model}, and {every}")
    shown = join_first(undecided, MAX_ALTERNATIVES_SHOWN)
    reason = (
        f"--model names {model}, and {every}, but also {shown}; weights cannot distinguish them"
    )
    return Assessment("likely", reason, tuple(undecided))


def _assess_alternatives(match: Match, every: str, others: Sequence[str]) -> Assessment:
    """Assess a match by the number of other models that fit."""
    dialect = match.weights.dialect
    caveat = _caveat(match)
    if others:
        shown = join_first(others, MAX_ALTERNATIVES_SHOWN)
        reason = (
            f"{every}, but also {shown}; weights cannot distinguish them: chose the first{caveat}"
        )
        return Assessment("likely", reason, tuple(others))
    if not dialect.is_ambiguous:
        return Assessment("certain", f"{every}, and only {dialect.name} uses these keys")
    reason = f"{every} and no other known model{caveat}"
    return Assessment("likely" if caveat else "certain", reason)


def _names_model(arch: str, match: Match) -> bool:
    """Return True if the file names the matched model; pytorchcv appends a b for a stride."""
    short_name = match.name.partition("/")[2] or match.name
    if arch in (match.name, short_name):
        return True
    return bool(match.weights.dialect.ambiguous_kwargs) and arch == f"{match.name}b"


def _undecided_by_file_name(match: Match, others: Sequence[str]) -> list[str]:
    """Return the alternatives that the file's name for its model leaves open."""
    # The keys of one project and its name for a model leave nothing open.
    if not match.weights.dialect.is_ambiguous:
        return []
    return _undecided_by_name(match, others)


def _undecided_by_name(match: Match, others: Sequence[str]) -> list[str]:
    """Return the alternatives that a name without options leaves open.

    A name stands for its registered model. It says nothing where the file has another stem, and
    nothing about an option that was chosen against the registered model.
    """
    # The keys of one project decide its models.
    if not match.weights.dialect.is_ambiguous:
        return list(others)
    defaults = _registered_options(match.name)
    undecided = list[str]()
    for other in others:
        base, _, option = other.partition(",")
        key = option.partition("=")[0]
        is_changed = match.model_kwargs.get(key, defaults.get(key)) != defaults.get(key)
        is_other_stem = key == "stem_pool" and "stem" in match.model_kwargs
        if base == match.name and (is_changed or is_other_stem):
            undecided.append(other)
    return undecided


def _registered_options(name: str) -> dict[str, Any]:
    """Return the options of a registered model; {} for any other."""
    entry = registry.MODELS.get(name)
    if entry is None:
        return {}
    # The factory of a family's model is a `partial`, any other has no keywords.
    return dict(getattr(entry.factory, "keywords", {}))


def _other_models(match: Match) -> list[str]:
    """Return names of other models with the same names and shapes."""
    weights = match.weights
    inferred = weights.architecture
    if not weights.dialect.is_ambiguous:
        if inferred is None:
            return []
        options = dialect_options(inferred, weights.dialect)
        # Only what the chosen model does otherwise makes another model.
        options = [item for item in options if match.model_kwargs.get(item[0]) != item[1]]
        return [join_options(match.name, dict([option])) for option in options]
    names = _variants(match)
    own = {match.name, *own_names(match.name.rpartition("/")[2])}
    names += [name for name in _same_shapes(match, weights.shapes) if name not in own]
    return list(dict.fromkeys(names))


def own_names(name: str) -> tuple[str, str]:
    """Return the names that the packages have for the same model.

    Args:
        name: a name without a package.

    Returns:
        The name in torchvision and in timm.
    """
    return f"torchvision/{name}", f"timm/{name}"


def _variants(match: Match) -> list[str]:
    """Return names of the matched model with other options."""
    inferred = match.weights.architecture
    if "/" in match.name or ":" in match.name:
        return []
    if inferred is None:
        # Of the other families only those with SE have options without weights.
        if not any(key.endswith(".se.fc1.weight") for key in match.weights.shapes):
            return []
        return [join_options(match.name, {"se_pool": "max"})]
    chosen = {**candidates.default_options(match.name, inferred), **match.model_kwargs}
    options = open_options(inferred.model_class, inferred, chosen)
    if candidates.has_own_block(match.name, inferred):
        options = [option for option in options if option[0] in SPECIAL_BLOCK_OPTIONS]
    return [_variant_name(match.name, option) for option in options]


def _variant_name(name: str, option: Option) -> str:
    """Return the name of a model with an option: of a plain model, its own name."""
    swapped = {
        ("shortcut_type", "none"): name.replace("resnet", "plain"),
        ("shortcut_type", "A"): name.replace("plain", "resnet"),
    }.get(option, name)
    if swapped != name and swapped in registry.MODELS:
        return swapped
    return join_options(name, dict([option]))


def _same_shapes(match: Match, shapes: Shapes) -> list[str]:
    """Return models of the index with exactly these keys and shapes."""
    if not match.weights.is_headless:
        return [row.arch for row in lookup(shapes) if row.is_exact]
    # Without a last layer shapes are never exact, but the body is that of the matched model.
    names = (match.name,) if "/" in match.name else own_names(match.name)
    found = dict[str, None]()
    for name in names:
        found |= dict.fromkeys(models_with_same_weights(name))
    return list(found)


def _describe_head(weights: NamedWeights) -> str:
    """Describe what the file has in place of a last layer."""
    if weights.dropped_head:
        return f"a head that is not a chain of linear layers ({weights.dropped_head})"
    if weights.part.beside:
        first = next(iter(weights.part.beside))
        return f"no last layer that fits, but other weights beside the body ({first})"
    return "no last layer"


def describe_assumptions(match: Match, evidence: Evidence) -> tuple[str, ...]:
    """List what was assumed about a match, as sentences.

    Args:
        match: the match.
        evidence: what tells the model besides its weights.

    Returns:
        Sentences on a head that was not used, hidden layers, and unknown code.
    """
    weights = match.weights
    sentences = list[str]()
    if match.num_classes == 0:
        sentences.append(
            f"The file has {_describe_head(weights)}: it is opened as a feature extractor, which "
            "makes no predictions."
        )
    if match.model_kwargs.get("head_widths"):
        sentences.append("ReLU is assumed between the linear layers of the head.")
    if evidence.module and not evidence.is_known_code:
        sentences.append(
            f"The code of {evidence.module} was not run: its forward pass is assumed to be "
            f"that of {match.name}."
        )
    return tuple(sentences)
