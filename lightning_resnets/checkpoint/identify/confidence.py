"""Assess the confidence of a match: which other models the same weights fit.

Arguments without weights (stride of a bottleneck, stem pool, SE placement, identity shortcuts) give
different models with the same keys and shapes. Keys that only one project uses decide them, because
its models are built in one way. Keys that many projects share do not.
"""

from collections.abc import Sequence
from typing import Any

from lightning_resnets.checkpoint.identify.architecture import InferredArchitecture, Shapes
from lightning_resnets.checkpoint.identify.dialects import Dialect
from lightning_resnets.checkpoint.identify.identification import Confidence
from lightning_resnets.checkpoint.identify.matching import Match, NormalizedWeights
from lightning_resnets.models import registry
from lightning_resnets.models.known.index import lookup
from lightning_resnets.models.preact_resnet import PreActBottleneck
from lightning_resnets.models.residual_blocks import Bottleneck
from lightning_resnets.models.resnet import ResNet
from lightning_resnets.utils.format import join_first

# Name and value of an argument.
Kwarg = tuple[str, Any]

# Confidence, its reason, and other models that fit.
Assessment = tuple[Confidence, str, tuple[str, ...]]

# Dialects of packages whose own models may have these keys.
PACKAGES = ("torchvision", "timm")

# Common names for ResNets by the convolution of a bottleneck that strides.
RESNET_VERSION_NAMES = {"1x1": " (v1)", "3x3": " (v1.5)"}

MAX_ALTERNATIVES_SHOWN = 3  # in the reason; the identification has all


def assess_confidence(match: Match, weights: NormalizedWeights, arch: str = "") -> Assessment:
    """Assess a match.

    Args:
        match: the match.
        weights: the weights.
        arch: the model's name in the file's metadata, or "".

    Returns:
        Confidence, reason and alternatives.
    """
    dialect = weights.dialect
    if not match.fits:
        return "unsure", f"{match.name} is the closest model, but not every weight fits it", ()
    every = f"every weight fits {match.name}"
    caveat = _format_caveat(dialect)
    if file_names_model(arch, match, dialect):
        return "certain", f"the file names {arch}, and {every}{caveat}", ()
    # Keys of one project decide; no search is needed.
    same_shapes = _same_shapes(match.name, weights.shapes) if dialect.is_ambiguous else []
    is_packaged = dialect.name in PACKAGES and f"{dialect.name}/{match.name}" in same_shapes
    rivals = [name for name in same_shapes if name.partition("/")[2] != match.name]
    variants = _variants(match.name, weights, is_packaged)
    if is_packaged and not variants and not _are_in(dialect.name, rivals):
        also = f" (also fits {_join_alternatives(rivals)})" if rivals else ""
        reason = f"{every}, and {dialect.name} has no other model with these keys and shapes{also}"
        return "certain", reason, ()
    return _assess_alternatives(dialect, every, (*variants, *rivals), is_packaged)


def _assess_alternatives(
    dialect: Dialect, every: str, others: tuple[str, ...], is_packaged: bool
) -> Assessment:
    """Assess a match by the number of other models that fit."""
    caveat = _format_caveat(dialect)
    if others:
        choice = f"chose {dialect.name}'s" if is_packaged else "chose the first"
        reason = (
            f"{every}, but also {_join_alternatives(others)}; weights cannot distinguish them: "
            f"{choice}{caveat}"
        )
        return "likely", reason, others
    if not dialect.is_ambiguous:
        return "certain", f"{every}, and only {dialect.name} uses these keys", ()
    confidence: Confidence = "likely" if caveat else "certain"
    return confidence, f"{every} and no other known model{caveat}", ()


def _format_caveat(dialect: Dialect) -> str:
    """Return the dialect's caveat as the end of a sentence, "" if it has none."""
    return f"; {dialect.caveat}" if dialect.caveat else ""


def _are_in(package: str, names: Sequence[str]) -> bool:
    """Return True if a package has one of these models."""
    return any(name.startswith(f"{package}/") for name in names)


def file_names_model(arch: str, match: Match, dialect: Dialect) -> bool:
    """Check the file's own name for the model.

    Args:
        arch: the name in the file's metadata, or "".
        match: the match.
        dialect: the dialect; pytorchcv appends a b for the other value of an argument.

    Returns:
        True if it names the matched model.
    """
    short_name = match.name.partition("/")[2] or match.name
    if arch in (match.name, short_name):
        return True
    return bool(dialect.ambiguous_kwargs) and arch == f"{match.name}b"


def ambiguous_options(inferred: InferredArchitecture, dialect: Dialect) -> list[Kwarg]:
    """List arguments that the dialect leaves open.

    Args:
        inferred: the architecture.
        dialect: the dialect.

    Returns:
        Names with the values that were not chosen.
    """
    kwargs = list[Kwarg]()
    for trait, row in dialect.ambiguous_kwargs.items():
        if inferred.has(trait):
            kwargs += row.items()
    return kwargs


def options_without_weights(inferred: InferredArchitecture) -> list[Kwarg]:
    """List arguments without weights that change a model.

    The shortcut of blocks without projections is not among them, see `_plain_or_residual`.

    Args:
        inferred: the architecture.

    Returns:
        Names with the values that were not chosen.
    """
    is_resnet = inferred.model_class is ResNet
    kwargs = list[Kwarg]()
    if inferred.positional_args[0] in (Bottleneck, PreActBottleneck):
        kwargs.append(("stride_in", "1x1" if is_resnet else "3x3"))
    kwargs += _se_options(inferred)
    # Elsewhere a projection shares what is activated anyway.
    is_narrow = inferred.model_kwargs.get("widen_factor") == 1
    has_identity = inferred.model_kwargs.get("shortcut_type") != "C"
    if inferred.has("preact basic") and is_narrow and has_identity:
        kwargs.append(("share_first", False))
    if is_resnet and inferred.has("imagenet"):
        kwargs.append(("stem_pool", "ceil"))
    return kwargs


def _se_options(inferred: InferredArchitecture) -> list[Kwarg]:
    """Return SE placements with as many channels, and SE's other arguments without weights."""
    if not inferred.se_shapes:
        return []
    placement = inferred.model_kwargs["se_placement"]
    kwargs = list[Kwarg]()
    if placement == "standard":
        kwargs += [("se_placement", "post"), ("se_placement", "identity")]
        if _has_equal_widths(inferred):
            kwargs.append(("se_placement", "3x3"))
    kwargs.append(("se_pool", "max"))
    if placement != "pre":  # before a block all values are positive already
        kwargs.append(("se_pre_relu", True))
    return kwargs


def _has_equal_widths(inferred: InferredArchitecture) -> bool:
    """Return True if the 3x3 convolution is as wide as the block's output."""
    kwargs = inferred.model_kwargs
    inner = kwargs.get("base_width", 64) * kwargs.get("groups", 1)
    return inferred.has("basic") or (inferred.model_class is ResNet and inner == 4 * 64)


def _variants(name: str, weights: NormalizedWeights, is_packaged: bool) -> list[str]:
    """Return descriptions of the model with other arguments that fit the same weights.

    A package's models of basic blocks are taken as the package has them, because only our registry
    has variants of these. Bottlenecks that stride in the 1x1 exist under the packages' keys.
    """
    inferred = weights.architecture
    if inferred is None:
        return _variants_of_unknown(name, weights)
    if not weights.dialect.is_ambiguous:
        kwargs = ambiguous_options(inferred, weights.dialect)
        return [_describe_variant(name, inferred, kwarg) for kwarg in kwargs]
    variants = list[str]()
    if inferred.has("bare") and "shortcut_type" not in inferred.model_kwargs:
        variants.append(_plain_or_residual(name))
    if not (is_packaged and inferred.has("basic")):
        for kwarg in options_without_weights(inferred):
            variants.append(_describe_variant(name, inferred, kwarg))
    return variants


def _variants_of_unknown(name: str, weights: NormalizedWeights) -> list[str]:
    """Return the variant of a model with SE whose architecture is not inferred."""
    has_se = any(key.endswith(".se.fc1.weight") for key in weights.shapes)
    if weights.dialect.is_ambiguous and has_se and "/" not in name:
        return [f"{name} with se_pool='max'"]
    return []


def _describe_variant(name: str, inferred: InferredArchitecture, kwarg: Kwarg) -> str:
    """Return "resnet50 with stride_in='1x1' (v1)"."""
    key, value = kwarg
    version = ""
    if key == "stride_in" and inferred.model_class is ResNet:
        version = RESNET_VERSION_NAMES[value]
    return f"{name} with {key}={value!r}{version}"


def _plain_or_residual(name: str) -> str:
    """Return the plain model for a ResNet with parameter-free shortcuts, or the reverse."""
    if name.startswith("plain"):
        other = name.replace("plain", "resnet")
        variant = f"{other} with shortcut_type='A'"
    else:
        other = name.replace("resnet", "plain")
        variant = f"{name} with shortcut_type='none'"
    registered = registry.MODELS.get(other)
    if registered and "shortcut_type" in registered.factory.keywords:  # type: ignore[attr-defined]
        return other
    return variant


def _same_shapes(name: str, shapes: Shapes) -> list[str]:
    """Return models of the index with exactly these keys and shapes."""
    return [row.arch for row in lookup(shapes) if row.is_exact and row.arch != name]


def _join_alternatives(names: Sequence[str]) -> str:
    """Join the first alternatives."""
    return join_first(names, MAX_ALTERNATIVES_SHOWN)
