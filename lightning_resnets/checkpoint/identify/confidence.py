"""How sure a model is that weights fit: what else the same weights fit, which only names can decide, and why, in words.

Options without weights (where a bottleneck strides, how the stem pools, where SE stands, whether a block without
projections has its shortcut) make other models of the same names and shapes. Names that only one project uses decide
them, for its models are built in one way; names that many share do not.
"""

from collections.abc import Iterable
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

Option = tuple[str, Any]


PACKAGES = (
    "torchvision",
    "timm",
)  # dialects in which a model may be another of these packages than ours


RESNET_VERSION_NAMES = {
    "1x1": " (v1)",
    "3x3": " (v1.5)",
}  # as the field calls ResNets by where their bottlenecks stride


MAX_ALTERNATIVES_SHOWN = 3  # alternatives in the sentence; the finding has all


def assess_confidence(
    match: Match, reading: NormalizedWeights, arch: str = ""
) -> tuple[Confidence, str, tuple[str, ...]]:
    """How sure the match is, why, and what else the weights fit; `arch` is the model's name as the file has it."""
    dialect, fits = reading.dialect, f"every weight fits {match.name}"
    guess = f"; {dialect.caveat}" if dialect.caveat else ""
    if not match.fits:
        return "unsure", f"{match.name} comes nearest, but not every weight fits it", ()
    if file_names_model(arch, match, dialect):
        return "certain", f"the file itself names {arch}, and {fits}{guess}", ()
    alike = _alike(match.name, reading.shapes) if dialect.is_ambiguous else []
    has = dialect.name in PACKAGES and f"{dialect.name}/{match.name}" in alike
    rivals = [name for name in alike if name.partition("/")[2] != match.name]
    variants = _variants(match.name, reading, has)
    if has and not variants and not any(name.startswith(f"{dialect.name}/") for name in rivals):
        more = f" (as well fits {_listed(rivals)})" if rivals else ""
        return (
            "certain",
            f"{fits}, and {dialect.name} has no other model of these names and shapes{more}",
            (),
        )
    if others := (*variants, *rivals):
        taken = f"taken as {dialect.name} has it" if has else "taken to be the first"
        why = (
            f"{fits}, and as well {_listed(others)}; weights cannot tell them apart: {taken}{guess}"
        )
        return "likely", why, others
    if not dialect.is_ambiguous:
        return (
            "certain",
            f"{fits}, and the names are those of {dialect.name}, whose models are built like that",
            (),
        )
    return "likely" if guess else "certain", f"{fits} and no other model known here{guess}", ()


def file_names_model(arch: str, match: Match, dialect: Dialect) -> bool:
    """Whether the name in the file is the model's; pytorchcv's has a b at its end where an option is the other."""
    return arch in (match.name, match.name.partition("/")[2] or match.name) or bool(
        dialect.ambiguous_kwargs and arch == f"{match.name}b"
    )


def ambiguous_options(make: InferredArchitecture, dialect: Dialect) -> list[Option]:
    """What names of the dialect leave open, with the values that the model is not taken to have."""
    return [
        option
        for trait, row in dialect.ambiguous_kwargs.items()
        if make.has(trait)
        for option in row.items()
    ]


def options_without_weights(make: InferredArchitecture) -> list[Option]:
    """All options without weights that change such a model, with the values that it is not taken to have.

    The shortcut of blocks without projections is not among them (`_twin`).
    """
    found = list[Option]()
    if make.positional_args[0] in (Bottleneck, PreActBottleneck):
        found.append(("stride_in", "1x1" if make.model_class is ResNet else "3x3"))
    found += _excited(make)
    if (
        make.has("preact basic")
        and make.model_kwargs["widen_factor"] == 1
        and make.model_kwargs.get("shortcut_type") != "C"
    ):
        found.append(
            ("share_first", False)
        )  # elsewhere a projection shares what is activated anyway
    if make.model_class is ResNet and make.has("imagenet"):
        found.append(("stem_pool", "ceil"))
    return found


def _excited(make: InferredArchitecture) -> list[Option]:
    """The places where SE would weigh as many channels, and what else SE does without weights."""
    if not make.se_shapes:
        return []
    place, found = make.model_kwargs["se_placement"], list[Option]()
    if place == "standard":
        found += [("se_placement", "post"), ("se_placement", "identity")]
        inner = make.model_kwargs.get("base_width", 64) * make.model_kwargs.get("groups", 1)
        if make.has("basic") or (make.model_class is ResNet and inner == 4 * 64):
            found.append(("se_placement", "3x3"))
    found.append(("se_pool", "max"))
    return (
        found if place == "pre" else [*found, ("se_pre_relu", True)]
    )  # before the block all is above zero already


def _variants(name: str, reading: NormalizedWeights, has: bool) -> list[str]:
    """The model's variants in words; `has`: a package has the model under these names.

    A package's models of basic blocks are taken as it has them: only our own zoo has variants of these. Bottlenecks that
    stride in the 1x1 are met under the packages' names in other places.
    """
    make, shapes = reading.architecture, reading.shapes
    if make is None:
        gated = reading.dialect.is_ambiguous and any(
            weight.endswith(".se.fc1.weight") for weight in shapes
        )
        return [f"{name} with se_pool='max'"] if gated and "/" not in name else []
    if not reading.dialect.is_ambiguous:
        return [_worded(name, make, option) for option in ambiguous_options(make, reading.dialect)]
    twin = [_twin(name)] if make.has("bare") and "shortcut_type" not in make.model_kwargs else []
    free = [] if has and make.has("basic") else options_without_weights(make)
    return twin + [_worded(name, make, option) for option in free]


def _worded(name: str, make: InferredArchitecture, option: Option) -> str:
    key, value = option
    version = (
        RESNET_VERSION_NAMES[value] if key == "stride_in" and make.model_class is ResNet else ""
    )
    return f"{name} with {key}={value!r}{version}"


def _twin(name: str) -> str:
    """The plain twin of a model with parameter-free shortcuts, or the other way round."""
    plain = name.startswith("plain")
    twin = name.replace("plain", "resnet") if plain else name.replace("resnet", "plain")
    if twin in registry.MODELS and "shortcut_type" in registry.MODELS[twin].factory.keywords:  # type: ignore[attr-defined]
        return twin
    return f"{twin if plain else name} with shortcut_type={'A' if plain else 'none'!r}"


def _alike(name: str, shapes: Shapes) -> list[str]:
    """Models of the index with just these names and shapes."""
    return [row.arch for row in lookup(shapes) if row.is_exact and row.arch != name]


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = (
        [f"{len(every) - MAX_ALTERNATIVES_SHOWN} more"]
        if len(every) > MAX_ALTERNATIVES_SHOWN
        else []
    )
    return " and ".join([*every[:MAX_ALTERNATIVES_SHOWN], *more])
