"""Opening a checkpoint safely: nothing in a file is run or imported; a net of ours or a known one is filled with it.

A file that holds a card says itself which net it is; any other is recognised by its weights' names and shapes
(`identify`), and one that does not fit to the last weight is refused: fresh weights never pass for trained ones.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_resnets import zoo
from lightning_resnets.blank import Blank
from lightning_resnets.checkpoint.card import Card, CheckpointError
from lightning_resnets.checkpoint.forms.contents import Contents, contents
from lightning_resnets.checkpoint.labels import labels
from lightning_resnets.checkpoint.origin.finding import Finding

LARGEST_OPTION = 4096  # channels, layers: more is no net of ours
SWELL, SLACK = 4, 2**26  # a net takes at most so many times the file's bytes, and so many more
PREFIX = "net."  # how the LightningModule calls the net


class CheckpointWarning(UserWarning):
    """Something about an opened checkpoint that its reader should know."""


class OwnNetError(CheckpointError):
    """A checkpoint of somebody's own net, `module:function`, whose code is run only where the user names it himself."""

    def __init__(self, file: str, net: str) -> None:
        super().__init__(
            f"'{file}' holds a net that somebody wrote himself, '{net}', and a file never makes us run code: to import "
            f"that module and run it, give the same name yourself (--net {net})."
        )
        self.net = net


@dataclass(frozen=True, slots=True)
class Opened:
    """A net ready to look through (evaluation, float32, no gradients), its card, and sentences worth showing.

    `finding` says how a file without a card was recognised; `also` are the plain values that lay beside the weights.
    """

    net: nn.Module
    card: Card
    notes: tuple[str, ...] = ()
    finding: Finding | None = None
    also: Mapping[str, Any] | None = None


def read(path: str | Path, net: str | None = None) -> Card:
    """The card of a checkpoint, its own or the one that its weights' names and shapes give; raises CheckpointError."""
    held = contents(Path(path))
    return Card.from_dict(held.card) if held.card is not None else card_of(recognised(held, Path(path).name, net))


def load(path: str | Path, net: str | None = None) -> tuple[nn.Module, Card]:
    """The net and the card; raises CheckpointError, warns CheckpointWarning where weights are not finite.

    `net` is a name that you give yourself: of the zoo, `torchvision/NAME`, `timm/NAME`, or `module:function` of your
    own, whose module is then imported and run. A file alone never causes that.
    """
    opened = open_checkpoint(path, net)
    for note in opened.notes:
        warnings.warn(note, CheckpointWarning, stacklevel=2)
    return opened.net, opened.card


def open_checkpoint(path: str | Path, net: str | None = None) -> Opened:
    """The same with its notes instead of warnings."""
    path = Path(path)
    held = contents(path)
    if held.card is None:
        finding = recognised(held, path.name, net)
        if not finding.fits:
            raise CheckpointError(misfit(path.name, finding, net))
        card, state = card_of(finding), finding.state
        notes = doubts(finding, card)
    else:
        card, finding, notes = Card.from_dict(held.card), None, ()
        state = ours(held)
        if left := [name for name in held.weights if PREFIX not in name and len(state) < len(held.weights)]:
            notes = (f"'{path.name}' holds {len(left)} weights beside the net's, which were left out ({left[0]}).",)
    built = blank(card, path.name, net)
    fill(built, state, card.arch, path.name)
    notes = (*unfinished(state, path.name), *held.notes, *notes)
    return Opened(built.eval().requires_grad_(False), card, notes, finding, held.also)


def recognised(held: Contents, file: str, net: str | None = None) -> Finding:
    """Which net the weights of a file without a card are; raises CheckpointError where they are like no known one."""
    from lightning_resnets.checkpoint.origin.identify import identify

    try:
        with same_chance():
            return identify(held.weights, held.also, net)
    except CheckpointError as error:
        raise CheckpointError(
            f"'{file}' does not say which net it holds, and {str(error)[:1].lower()}{str(error)[1:]}"
        ) from error


def card_of(finding: Finding) -> Card:
    """The card of a file that had none, by what was found."""
    names, data = labels(finding.classes, finding.data, finding.input.size)
    seen = finding.input
    return Card(
        arch=finding.arch, options=finding.options, classes=names, data=data, size=seen.size, mean=seen.mean,
        std=seen.std, channels=seen.channels, crop=seen.crop, resample=seen.resample, epsilon=finding.epsilon,
        dialect=finding.dialect,
    )  # fmt: skip


def doubts(finding: Finding, card: Card) -> tuple[str, ...]:
    """What someone who looks at the net should know of how it was recognised."""
    others = f" (as well: {', '.join(finding.alternatives[:4])}; say which with --net)" if finding.alternatives else ""
    sentences = [f"Taken to be {finding.arch}{others}."] if finding.sure != "certain" else []
    if card.data and not finding.data:
        sentences.append(f"Its {finding.classes} classes are taken to be those of {card.data_name}.")
    return tuple(sentences)


def misfit(file: str, finding: Finding, net: str | None) -> str:
    """Why a file that is nearest to some net cannot be opened as that net."""
    parts = [
        f"{len(names):,} {'weight' if len(names) == 1 else 'weights'} {words} ({names[0]})"
        for words, names in (
            ("missing", finding.missing),
            ("too many", finding.unexpected),
            ("of another shape", [name for name, *_ in finding.reshaped]),
        )
        if names
    ]
    nearest = (
        f"is not the {net} that you name"
        if net
        else f"does not say which net it holds and is nearest to {finding.arch}"
    )
    remedy = "rename or take out what does not fit" + ("" if net else ", or name the right net with --net")
    return f"'{file}' {nearest}: {', '.join(parts)}; `lightning-resnets inspect` lists them: {remedy}."


def ours(held: Contents) -> dict[str, Tensor]:
    """Weights under the net's names: of a LightningModule what its `net` holds, without what its metrics keep."""
    if held.wrapper != "state_dict" or not any(name.startswith(PREFIX) for name in held.weights):
        return held.weights
    return {name[len(PREFIX) :]: weight for name, weight in held.weights.items() if name.startswith(PREFIX)}


def blank(card: Card, file: str, net: str | None = None) -> nn.Module:
    """The net of a card, unfilled; `module:function` only where `net` is that very name."""
    if ":" in card.arch and card.arch != net:
        raise OwnNetError(file, card.arch)
    if net is not None and net != card.arch:
        raise CheckpointError(f"'{file}' says of itself that it holds '{card.arch}', not '{net}': leave out --net.")
    if ":" not in card.arch and "/" not in card.arch and card.arch not in zoo.names():
        near = get_close_matches(card.arch, zoo.names(), n=3, cutoff=0.5) or list(zoo.names())[:5]
        raise CheckpointError(
            f"This checkpoint holds a net called '{card.arch}', which this version does not know (near it are "
            f"{', '.join(near)}): upgrade lightning-resnets or correct the card."
        )
    if any(isinstance(value, (int, float)) and abs(value) > LARGEST_OPTION for value in card.options.values()):
        raise CheckpointError(
            f"The card's options ask for a net larger than any ({str(card.options)[:80]}): save the net again with a "
            "correct card."
        )
    if "pretrained" in card.options:  # a file may not cause a download
        raise CheckpointError("The card asks for published weights: save the net again without 'pretrained'.")
    try:
        with Blank(), same_chance():
            built = zoo.build(card.arch, classes=len(card.classes), **card.options)
    except Exception as error:
        raise CheckpointError(
            f"The card's options do not fit {card.arch} ({first(error)}): save the net again with a correct card."
        ) from error
    first_conv = next((module for module in built.modules() if isinstance(module, nn.Conv2d)), None)
    if first_conv is not None and first_conv.in_channels != card.size[0]:
        raise CheckpointError(
            f"The card in '{file}' speaks of pictures of {card.size[0]} channels and {card.arch} takes "
            f"{first_conv.in_channels}: save the net again with a correct card."
        )
    for module in built.modules():
        if card.epsilon is not None and isinstance(module, _BatchNorm):
            module.eps = card.epsilon
    return built


def fill(net: nn.Module, weights: Mapping[str, Tensor], arch: str, file: str) -> None:
    """Give the blank net its weights; raises where one lacks, is too many or is not what the net has there."""
    blanks = net.state_dict()
    held = {weight.untyped_storage().data_ptr(): weight.untyped_storage().nbytes() for weight in weights.values()}
    if sum(blank.nbytes for blank in blanks.values()) > SWELL * sum(held.values()) + SLACK:
        raise CheckpointError(f"'{file}' holds far less than the weights of {arch}: save the whole net again.")
    state = {name: checked(name, weights.get(name), blank, file) for name, blank in blanks.items()}
    if unknown := sorted(weights.keys() - state.keys()):
        raise CheckpointError(
            f"'{file}' holds weights that {arch} does not have ({unknown[0]}): its card names the wrong net "
            "or the wrong options; save it again with the card of the net that was trained."
        )
    net.load_state_dict(state, strict=True, assign=True)


def checked(name: str, weight: Tensor | None, blank: Tensor, file: str) -> Tensor:
    """A weight in the blank's kind of number; raises where it is not what the net has there."""
    if weight is None:
        raise CheckpointError(f"'{file}' lacks the weight '{name}': save the whole net again.")
    if weight.shape != blank.shape:
        raise CheckpointError(
            f"'{name}' in '{file}' has shape {shape(weight)} where the net that its card names has "
            f"{shape(blank)}: save it again with the card of the net that was trained."
        )
    if weight.is_floating_point() != blank.is_floating_point() or weight.is_complex():
        raise CheckpointError(f"'{name}' in '{file}' is no plain tensor: save the net's own weights again.")
    return weight.to(blank.dtype).contiguous()


def unfinished(weights: Mapping[str, Tensor], file: str) -> tuple[str, ...]:
    """A sentence where weights are not finite."""
    bad = next((name for name, weight in weights.items() if not finite(weight)), None)
    return () if bad is None else (f"'{file}' holds weights that are not finite ({bad}): its training diverged.",)


def finite(weight: Tensor) -> bool:
    """Whether every number is; the norm, many times as fast, is looked at first."""
    quick = weight.is_floating_point() and bool(torch.isfinite(torch.linalg.vector_norm(weight)))
    return quick or bool(torch.isfinite(weight).all())


@contextmanager
def same_chance() -> Iterator[None]:
    """Opening a file must not change the random numbers of who opens it."""
    with torch.random.fork_rng(devices=[]):
        yield


def shape(tensor: Tensor) -> str:
    return "×".join(str(side) for side in tensor.shape) or "one number"


def first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
