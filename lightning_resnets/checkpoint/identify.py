"""Which net a file's weights belong to: prefixes off, names into ours, architecture from shapes, then what fits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lightning_resnets import zoo
from lightning_resnets.blank import Blank
from lightning_resnets.checkpoint import structure
from lightning_resnets.checkpoint.card import CheckpointError
from lightning_resnets.checkpoint.dialects import CIFAR10, HALVES, IMAGENET, TORCH, Dialect, renamed, spoken
from lightning_resnets.checkpoint.finding import Finding, Input
from lightning_resnets.checkpoint.prefixes import AUXILIARY, BALLAST, prefix
from lightning_resnets.checkpoint.reshape import applied
from lightning_resnets.checkpoint.structure import Candidate, Shapes, Structure

LEAST = 0.3  # the share of a net's weights that a file must have for the net to be named at all
COUNTER = "num_batches_tracked"  # files before torch 0.4.1 lack it; evaluation does not need it
DATA = {1000: "imagenet", 10: "cifar10", 100: "cifar100"}
UNKNOWN = Dialect(name="unknown")


@dataclass(frozen=True, slots=True)
class Reading:
    """Weights under the names of a net of ours, as far as the dialect knows them."""

    dialect: Dialect
    state: dict[str, Tensor]
    shapes: dict[str, tuple[int, ...]]
    dropped: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    make: Structure | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """How weights lie over a net."""

    name: str
    options: dict[str, Any]
    state: dict[str, Tensor]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    share: float

    @property
    def fits(self) -> bool:
        return not (self.missing or self.unexpected or self.reshaped)


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
    taken = reading if ours else plain
    options = structure.options_for(name, reading.make) if ours and reading.make else {}
    try:
        match = _laid(name, options, taken) or _laid(name, {}, taken)
    except ImportError as error:
        raise CheckpointError(f"The net {name} cannot be built here ({error}): install what it needs.") from error
    if match is None:
        raise CheckpointError(_refusal(name, taken))
    found = _finding(taken, match, name)
    near = next((item for item in _lookup(plain.shapes) if item.arch == name), None)
    if not ours:
        stem = structure.structure(reading.shapes)
        found = replace(
            found,
            input=near.input if near else _guess(plain.shapes, stem),
            dialect=name.partition("/")[0] if "/" in name else UNKNOWN.name,
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
    weights = {name.replace("._orig_mod.", "."): weight for name, weight in weights.items()}
    front = prefix(weights)
    dropped = tuple(
        name for name in weights if not name.startswith(front) or BALLAST.fullmatch(name.removeprefix(front))
    )
    gone = set(dropped)
    plain = {name[len(front) :]: weight for name, weight in weights.items() if name not in gone}
    return plain, dropped, ((f"'{front}' taken off the names",) if front else ())


def read(plain: dict[str, Tensor], dropped: tuple[str, ...] = (), words: tuple[str, ...] = ()) -> Reading:
    """The weights in our names, and the make that their shapes tell."""
    dialect = spoken(plain)
    auxiliary = tuple(name for name in plain if AUXILIARY.match(name)) if dialect.name == "torchvision" else ()
    kept = {name: weight for name, weight in plain.items() if not auxiliary or name not in set(auxiliary)}
    state = {renamed(name, dialect.rules): weight for name, weight in kept.items()} if dialect.rules else kept
    if len(state) < len(kept):  # two names became one: these are not that dialect's
        return _as_is(plain, dropped, words)
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
        match = _laid(name, options, reading)
        if match is not None and match.fits:
            return match
    return None


def _laid(name: str, options: dict[str, Any], reading: Reading) -> Match | None:
    """The weights laid over a net, built blank; None where it cannot be built so."""
    try:
        with torch.random.fork_rng(devices=[]), Blank():
            net = zoo.build(name, classes=max(1, structure.classes(reading.shapes)), **options)
    except (ValueError, RuntimeError):
        return None
    blank = net.state_dict()
    state, missing, reshaped = dict[str, Tensor](), list[str](), list[tuple[str, tuple[int, ...], tuple[int, ...]]]()
    for key, wanted in blank.items():
        weight = reading.state.get(key)
        if key.endswith(COUNTER) and (weight is None or weight.numel() == 1):
            state[key] = torch.zeros_like(wanted) if weight is None else weight.reshape(wanted.shape)
        elif weight is None:
            missing.append(key)
        elif weight.shape != wanted.shape:
            reshaped.append((key, tuple(weight.shape), tuple(wanted.shape)))
        else:
            state[key] = weight
    unexpected = tuple(key for key in reading.state if key not in blank)
    counted = [key for key in blank if not key.endswith(COUNTER)]
    extra = sum(1 for key in unexpected if not key.endswith(COUNTER))
    share = (len(counted) - len(missing) - len(reshaped)) / max(1, len(counted) + extra)
    return Match(name, options, state, tuple(missing), unexpected, tuple(reshaped), share)


def _finding(reading: Reading, match: Match, arch: str = "") -> Finding:
    """What to say of a match with a net of the zoo."""
    dialect, make = reading.dialect, reading.make
    alternatives = _alternatives(match, reading, arch) if match.fits else ()
    match = _settled(match, reading, arch)
    count = structure.classes(reading.shapes)
    view, data = _input(match, dialect, make, count)
    if not match.fits:
        sure, why = "unsure", f"{match.name} comes nearest, but not every weight fits it"
    elif alternatives:
        sure, why = "likely", f"every weight fits {match.name}, and as well {' and '.join(alternatives)}"
    else:
        sure, why = "certain", f"every weight fits {match.name} and no other net known here"
    return Finding(
        arch=match.name, classes=count, options=match.options, dialect=dialect.name, state=match.state,
        missing=match.missing, unexpected=match.unexpected, reshaped=match.reshaped, dropped=reading.dropped,
        changes=reading.changes, sure=sure, why=why, alternatives=alternatives, input=view, epsilon=dialect.epsilon,
        data=data,
    )  # fmt: skip


def _alternatives(match: Match, reading: Reading, arch: str) -> tuple[str, ...]:
    """Nets of the same shapes that do something else, where neither the dialect nor `arch` says which it is."""
    make = reading.make
    if make is None or arch == match.name or _variant(match, arch):
        return ()
    found = [
        f"{match.name} with {option}={value!r}"
        for trait, row in reading.dialect.open.items()
        if make.has(trait)
        for option, value in row.items()
    ]
    if make.has("bare") and "shortcut" not in make.options:
        twin = match.name.replace("resnet", "plain")
        found.append(twin if twin in zoo.NETS and twin != match.name else f"{match.name} with shortcut='none'")
    return tuple(found)


def _settled(match: Match, reading: Reading, arch: str) -> Match:
    """The match; or, where `arch` says so as pytorchcv does, by a b at the name's end, with the other option."""
    if reading.make is None or not match.fits or arch != f"{match.name}b":
        return match
    rows = (row for trait, row in reading.dialect.open.items() if reading.make.has(trait))
    opened = {key: value for row in rows for key, value in row.items()}
    make = replace(reading.make, options={**reading.make.options, **opened})
    return replace(match, options=structure.options_for(match.name, make))


def _variant(match: Match, arch: str) -> bool:
    return arch in (match.name, f"{match.name}b")


def _input(match: Match, dialect: Dialect, make: Structure | None, count: int) -> tuple[Input, str]:
    """How the net wants its pictures and of which data set it knows the classes."""
    size = zoo.NETS[match.name].size if match.name in zoo.NETS else (3, 224, 224)
    large = make.has("imagenet") if make else size[1] > 32
    key = "imagenet" if large else "cifar100" if count == 100 else "cifar10"
    view = dialect.inputs.get(key, TORCH[key])
    if match.name in ("googlenet", "inception_v3") and count == 1000:
        view = HALVES  # torchvision's published weights turn ImageNet's mean and std into these before the first layer
    if large and size[1] > 32:
        view = replace(view, size=size)
    return view, key if DATA.get(count) == key else ""


def _lookup(shapes: Shapes) -> list[Any]:
    """The nets of torchvision and timm that are near, best first."""
    try:
        from lightning_resnets.checkpoint import index
    except ImportError:
        return []
    try:
        return index.lookup(shapes)
    except FileNotFoundError:
        return []


def _foreign(plain: Reading, arch: str) -> Finding | None:
    """The net of torchvision or timm that fits, or the nearest; None where the index knows none."""
    rows = _lookup(plain.shapes)
    gone = {name for name in plain.state if AUXILIARY.match(name)}
    kept = {name: weight for name, weight in plain.state.items() if name not in gone}
    plain = replace(plain, state=kept, dropped=(*plain.dropped, *gone))
    named = [row for row in rows if row.share >= 1 and row.arch.partition("/")[2] == arch]
    for row in (*named, *rows[:1]):
        match = _laid(row.arch, {}, plain)
        if match is not None:
            alike = tuple(other.arch for other in rows if other.share >= 1 and other.arch != row.arch)
            return _of_index(plain, match, row.input, () if named else alike)
    return None


def _of_index(plain: Reading, match: Match, view: Input, alike: tuple[str, ...]) -> Finding:
    found = replace(_finding(plain, match), input=view, dialect=match.name.partition("/")[0], data="")
    found = replace(found, data="imagenet" if found.classes == 1000 else "")
    if not match.fits or not alike:
        return found
    return replace(
        found, sure="likely", alternatives=alike, why=f"every weight fits {match.name}, and as well {alike[0]}"
    )


def _nearest(reading: Reading, foreign: Finding | None, weights: Mapping[str, Tensor]) -> Finding:
    """The net that most weights fit, with what does not; raises where none is near."""
    found: list[Candidate] = structure.others(reading.shapes)
    if reading.make:
        found = structure.candidates(reading.make) or structure.near(reading.make)
    laid = [match for name, options in found if (match := _laid(name, options, reading))]
    best = max(laid, key=lambda match: match.share, default=None)
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
