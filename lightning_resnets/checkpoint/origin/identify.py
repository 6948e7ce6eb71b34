"""Which net a file's weights belong to: prefixes off, names into ours, architecture from shapes, then what fits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from lightning_resnets import zoo
from lightning_resnets.checkpoint.card import CheckpointError
from lightning_resnets.checkpoint.origin import structure
from lightning_resnets.checkpoint.origin.dialects import CIFAR10, HALVES, IMAGENET, TORCH, UNKNOWN, Dialect, spoken
from lightning_resnets.checkpoint.origin.finding import Finding, Input
from lightning_resnets.checkpoint.origin.fit import COUNTER, Match, Reading, laid
from lightning_resnets.checkpoint.origin.index import lookup
from lightning_resnets.checkpoint.origin.prefixes import AUXILIARY, BALLAST, merged, prefix
from lightning_resnets.checkpoint.origin.reshape import applied
from lightning_resnets.checkpoint.origin.rules import renamed
from lightning_resnets.checkpoint.origin.structure import Candidate, Shapes, Structure
from lightning_resnets.checkpoint.origin.sureness import judged, opened

LEAST = 0.3  # the share of a net's weights that a file must have for the net to be named at all
DATA = {1000: "imagenet", 10: "cifar10", 100: "cifar100"}


def identify(weights: Mapping[str, Tensor], also: Mapping[str, Any] = {}, net: str | None = None) -> Finding:
    """The net that weights of unknown origin belong to.

    `weights` are under the file's own names, prefixes and all, `also` is what else the file holds (`arch`, as training
    scripts write it, decides between nets that fit alike), `net` the name that the user gives, which overrules both:
    a net of the zoo, `timm/NAME`, `torchvision/NAME` or `module:function`, whose module is then imported. Raises
    CheckpointError where no net is near, or where there is none of the name.
    """
    plain, dropped, words = _bare(weights)
    reading = read(plain, dropped, words)
    arch = str(also.get("arch", "")).lower() if isinstance(also.get("arch"), str) else ""
    untouched = _as_is(plain, dropped, words)
    if net is not None:
        return _named(net, reading, untouched)
    match = _exact(reading, arch)
    if match is not None and arch in ("", match.name):
        return _finding(reading, match, arch)
    foreign = _foreign(untouched, arch)
    if foreign is not None and foreign.fits and (match is None or foreign.arch.partition("/")[2] == arch):
        return foreign
    return _finding(reading, match, arch) if match is not None else _nearest(reading, foreign, weights)


def _named(name: str, reading: Reading, plain: Reading) -> Finding:
    """The weights laid over the net that the user names; names of a dialect are read for nets of the zoo alone."""
    ours = name in zoo.NETS
    if ours and reading.clash:
        raise CheckpointError(reading.clash)
    taken = reading if ours else plain
    options = structure.options_for(name, reading.make) if ours and reading.make else {}
    near = next((item for item in lookup(plain.shapes) if item.arch == name), None)
    count = near.classes if near and near.same else 0
    try:
        match = laid(name, options, taken, count) or laid(name, {}, taken, count)
    except ImportError as error:
        raise CheckpointError(f"The net {name} cannot be built here ({error}): install what it needs.") from error
    if match is None:
        raise CheckpointError(_refusal(name, taken))
    found = _finding(taken, match, name)
    if not ours:
        stem = structure.structure(reading.shapes)
        found = replace(
            found,
            input=near.input if near else _guess(plain.shapes, stem),
            dialect=name.partition("/")[0] if "/" in name else UNKNOWN.name,
            data=found.data if "/" in name else "",
        )
    if not match.fits:
        return replace(found, why=f"you named {name}, but not every weight fits it")
    return replace(found, sure="certain", why=f"you named {name}, and every weight fits it", alternatives=())


def _refusal(name: str, reading: Reading) -> str:
    try:
        zoo.build(name, classes=max(1, structure.classes(reading.shapes)))
    except (ValueError, RuntimeError) as error:
        return str(error)
    return f"The net {name} cannot be built for these weights: name another."


def _bare(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...], tuple[str, ...]]:
    """Weights without prefixes and ballast; the ballast; what was done, in words."""
    weights = merged(weights, lambda name: name.replace("._orig_mod.", "."))
    front = prefix(weights)
    dropped = tuple(
        name for name in weights if not name.startswith(front) or BALLAST.fullmatch(name.removeprefix(front))
    )
    gone = set(dropped)
    plain = {name[len(front) :]: weight for name, weight in weights.items() if name not in gone}
    for name, weight in plain.items():
        if 0 in weight.shape:
            sides = " x ".join(map(str, weight.shape))
            raise CheckpointError(f"The weight '{name}' is empty ({sides}): save the whole net again.")
    return plain, dropped, ((f"'{front}' taken off the names",) if front else ())


def read(plain: dict[str, Tensor], dropped: tuple[str, ...] = (), words: tuple[str, ...] = ()) -> Reading:
    """The weights in our names, and the make that their shapes tell."""
    dialect = spoken(plain)
    auxiliary = tuple(name for name in plain if AUXILIARY.match(name)) if dialect.name == "torchvision" else ()
    kept = {name: weight for name, weight in plain.items() if not auxiliary or not AUXILIARY.match(name)}
    try:
        state = merged(kept, lambda name: renamed(name, dialect.rules))
    except CheckpointError as clash:  # the names may still be those of a net that is not ours
        return replace(_as_is(plain, dropped, words), clash=str(clash))
    if auxiliary:
        words = (*words, "auxiliary classifiers, which only training needs, left out")
    words = (*words, *applied(state, dialect.steps))
    shapes = {name: tuple(weight.shape) for name, weight in state.items()}
    make = structure.structure(shapes)
    if make is not None:
        fixed = {key: value for trait, row in dialect.options.items() if make.has(trait) for key, value in row.items()}
        make = replace(make, options={**make.options, **fixed})
    return Reading(dialect, state, shapes, (*dropped, *auxiliary), words, make)


def _as_is(plain: dict[str, Tensor], dropped: tuple[str, ...], words: tuple[str, ...]) -> Reading:
    """The weights under their own names, for nets that are not ours."""
    return Reading(UNKNOWN, plain, {name: tuple(weight.shape) for name, weight in plain.items()}, dropped, words)


def _exact(reading: Reading, arch: str) -> Match | None:
    """The net of the zoo that every weight fits; that which `arch` names, where several fit."""
    found = structure.candidates(reading.make) if reading.make else structure.others(reading.shapes)
    for name, options in sorted(found, key=lambda candidate: candidate[0] != arch):
        match = laid(name, options, reading)
        if match is not None and match.fits:
            return match
    return None


def _finding(reading: Reading, match: Match, arch: str = "") -> Finding:
    """What to say of a match with a net of the zoo."""
    dialect, make = reading.dialect, reading.make
    sure, why, alternatives = judged(match, reading, arch)
    match = _settled(match, reading, arch)
    view, data = _input(match, dialect, make)
    return Finding(
        arch=match.name, classes=match.classes, options=match.options, dialect=dialect.name, state=match.state,
        missing=match.missing, unexpected=match.unexpected, reshaped=match.reshaped, dropped=reading.dropped,
        changes=reading.changes, sure=sure, why=why, alternatives=alternatives, input=view, epsilon=dialect.epsilon,
        data=data,
    )  # fmt: skip


def _settled(match: Match, reading: Reading, arch: str) -> Match:
    """The match; or, where `arch` says so as pytorchcv does, by a b at the name's end, with the other option."""
    if reading.make is None or not match.fits or arch != f"{match.name}b":
        return match
    make = replace(reading.make, options={**reading.make.options, **dict(opened(reading.make, reading.dialect))})
    return replace(match, options=structure.options_for(match.name, make))


def _input(match: Match, dialect: Dialect, make: Structure | None) -> tuple[Input, str]:
    """How the net wants its pictures and of which data set it knows the classes."""
    count, size = match.classes, zoo.NETS[match.name].size if match.name in zoo.NETS else (3, 224, 224)
    large = make.has("imagenet") if make else size[1] > 32
    key = "imagenet" if large else "cifar100" if count == 100 else "cifar10"
    view = dialect.inputs.get(key, TORCH[key])
    if match.name in ("googlenet", "inception_v3") and count == 1000:
        view = HALVES  # torchvision's published weights turn ImageNet's mean and std into these before the first layer
    if large and size[1] > 32:
        view = replace(view, size=size)
    return view, key if DATA.get(count) == key else ""


def _foreign(plain: Reading, arch: str) -> Finding | None:
    """The net of torchvision or timm that fits, or the nearest; None where the index knows none."""
    rows = lookup(plain.shapes)
    gone = {name for name in plain.state if AUXILIARY.match(name)}
    kept = {name: weight for name, weight in plain.state.items() if name not in gone}
    plain = replace(plain, state=kept, dropped=(*plain.dropped, *gone))
    named = [row for row in rows if row.same and row.arch.partition("/")[2] == arch]
    for row in (*named, *rows[:1]):
        match = laid(row.arch, {}, plain, row.classes)
        if match is not None:
            found = replace(_finding(plain, match, arch), input=row.input, dialect=row.arch.partition("/")[0])
            return replace(found, data="imagenet" if found.classes == 1000 else "")
    return None


def _nearest(reading: Reading, foreign: Finding | None, weights: Mapping[str, Tensor]) -> Finding:
    """The net that most weights fit, with what does not; raises where none is near."""
    if reading.clash:
        raise CheckpointError(reading.clash)
    found: list[Candidate] = structure.others(reading.shapes)
    if reading.make:
        found = structure.candidates(reading.make) or structure.near(reading.make)
    tried = [match for name, options in found if (match := laid(name, options, reading))]
    best = max(tried, key=lambda match: match.share, default=None)
    if foreign is not None and (best is None or _share(foreign) >= best.share):
        best_share = _share(foreign)
        if best_share >= LEAST:
            return foreign
    if best is None or best.share < LEAST:
        shown = next(iter(weights), "")[:40]
        raise CheckpointError(
            f"No net known here has weights like these ({len(weights)}, the first is '{shown}'): name the net with "
            "--net, or save it with its card."
        )
    return _finding(reading, best)


def _share(found: Finding) -> float:
    fit = sum(1 for name in found.state if not name.endswith(COUNTER))
    return fit / max(1, fit + len(found.missing) + len(found.reshaped) + len(found.unexpected))


def _guess(shapes: Shapes, make: Structure | None) -> Input:
    """An input for a net that nobody told us about: by its first convolution, CIFAR's small windows or ImageNet's."""
    first = next((shape for shape in shapes.values() if len(shape) == 4), (0, 3, 7, 7))
    small = make.has("cifar") if make else first[-1] <= 3
    return CIFAR10 if small else IMAGENET
