"""How sure a net is that weights fit: what else the same weights fit, which only names can decide, and why, in words.

Options without weights (where a bottleneck strides, how the stem pools, where SE stands, whether a block without
projections has its shortcut) make other nets of the same names and shapes. Names that only one project uses decide
them, for its nets are built in one way; names that many share do not.
"""

from collections.abc import Iterable
from typing import Any

from lightning_resnets import zoo
from lightning_resnets.checkpoint.origin.dialects import Dialect
from lightning_resnets.checkpoint.origin.finding import Sure
from lightning_resnets.checkpoint.origin.fit import Match, Reading
from lightning_resnets.checkpoint.origin.index import lookup
from lightning_resnets.checkpoint.origin.structure import Shapes, Structure
from lightning_resnets.nets.preact import PreActBottleneck
from lightning_resnets.nets.residual import Bottleneck
from lightning_resnets.nets.resnet import ResNet

Option = tuple[str, Any]
PACKAGES = ("torchvision", "timm")  # dialects in which a net may be another of these packages than ours
VERSIONS = {"1x1": " (v1)", "3x3": " (v1.5)"}  # as the field calls ResNets by where their bottlenecks stride
SHOWN = 3  # alternatives in the sentence; the finding has all


def judged(match: Match, reading: Reading, arch: str = "") -> tuple[Sure, str, tuple[str, ...]]:
    """How sure the match is, why, and what else the weights fit; `arch` is the net's name as the file has it."""
    dialect, fits = reading.dialect, f"every weight fits {match.name}"
    guess = f"; {dialect.guess}" if dialect.guess else ""
    if not match.fits:
        return "unsure", f"{match.name} comes nearest, but not every weight fits it", ()
    if says(arch, match, dialect):
        return "certain", f"the file itself names {arch}, and {fits}{guess}", ()
    alike = _alike(match.name, reading.shapes) if dialect.shared else []
    has = dialect.name in PACKAGES and f"{dialect.name}/{match.name}" in alike
    rivals = [name for name in alike if name.partition("/")[2] != match.name]
    variants = _variants(match.name, reading, has)
    if has and not variants and not any(name.startswith(f"{dialect.name}/") for name in rivals):
        more = f" (as well fits {_listed(rivals)})" if rivals else ""
        return "certain", f"{fits}, and {dialect.name} has no other net of these names and shapes{more}", ()
    if others := (*variants, *rivals):
        taken = f"taken as {dialect.name} has it" if has else "taken to be the first"
        why = f"{fits}, and as well {_listed(others)}; weights cannot tell them apart: {taken}{guess}"
        return "likely", why, others
    if not dialect.shared:
        return "certain", f"{fits}, and the names are those of {dialect.name}, whose nets are built like that", ()
    return "likely" if guess else "certain", f"{fits} and no other net known here{guess}", ()


def says(arch: str, match: Match, dialect: Dialect) -> bool:
    """Whether the name in the file is the net's; pytorchcv's has a b at its end where an option is the other."""
    return arch in (match.name, match.name.partition("/")[2] or match.name) or bool(
        dialect.open and arch == f"{match.name}b"
    )


def opened(make: Structure, dialect: Dialect) -> list[Option]:
    """What names of the dialect leave open, with the values that the net is not taken to have."""
    return [option for trait, row in dialect.open.items() if make.has(trait) for option in row.items()]


def unseen(make: Structure) -> list[Option]:
    """All options without weights that change such a net, with the values that it is not taken to have.

    The shortcut of blocks without projections is not among them (`_twin`).
    """
    found = list[Option]()
    if make.fixed[0] in (Bottleneck, PreActBottleneck):
        found.append(("stride_in", "1x1" if make.family is ResNet else "3x3"))
    found += _excited(make)
    if make.has("preact basic") and make.options["widen"] == 1 and make.options.get("shortcut") != "C":
        found.append(("share_first", False))  # elsewhere a projection shares what is activated anyway
    if make.family is ResNet and make.has("imagenet"):
        found.append(("pool", "ceil"))
    return found


def _excited(make: Structure) -> list[Option]:
    """The places where SE would weigh as many channels, and what else SE does without weights."""
    if not make.gates:
        return []
    place, found = make.options["se_place"], list[Option]()
    if place == "standard":
        found += [("se_place", "post"), ("se_place", "identity")]
        inner = make.options.get("width", 64) * make.options.get("groups", 1)
        if make.has("basic") or (make.family is ResNet and inner == 4 * 64):
            found.append(("se_place", "3x3"))
    found.append(("se_squeeze", "max"))
    return found if place == "pre" else [*found, ("se_relu", True)]  # before the block all is above zero already


def _variants(name: str, reading: Reading, has: bool) -> list[str]:
    """The net's variants in words; `has`: a package has the net under these names.

    A package's nets of basic blocks are taken as it has them: only our own zoo has variants of these. Bottlenecks that
    stride in the 1x1 are met under the packages' names in other places.
    """
    make, shapes = reading.make, reading.shapes
    if make is None:
        gated = reading.dialect.shared and any(weight.endswith(".se.fc1.weight") for weight in shapes)
        return [f"{name} with se_squeeze='max'"] if gated and "/" not in name else []
    if not reading.dialect.shared:
        return [_worded(name, make, option) for option in opened(make, reading.dialect)]
    twin = [_twin(name)] if make.has("bare") and "shortcut" not in make.options else []
    free = [] if has and make.has("basic") else unseen(make)
    return twin + [_worded(name, make, option) for option in free]


def _worded(name: str, make: Structure, option: Option) -> str:
    key, value = option
    version = VERSIONS[value] if key == "stride_in" and make.family is ResNet else ""
    return f"{name} with {key}={value!r}{version}"


def _twin(name: str) -> str:
    """The plain twin of a net with parameter-free shortcuts, or the other way round."""
    plain = name.startswith("plain")
    twin = name.replace("plain", "resnet") if plain else name.replace("resnet", "plain")
    if twin in zoo.NETS and "shortcut" in zoo.NETS[twin].make.keywords:  # type: ignore[attr-defined]
        return twin
    return f"{twin if plain else name} with shortcut={'A' if plain else 'none'!r}"


def _alike(name: str, shapes: Shapes) -> list[str]:
    """Nets of the index with just these names and shapes."""
    return [row.arch for row in lookup(shapes) if row.same and row.arch != name]


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = [f"{len(every) - SHOWN} more"] if len(every) > SHOWN else []
    return " and ".join([*every[:SHOWN], *more])
