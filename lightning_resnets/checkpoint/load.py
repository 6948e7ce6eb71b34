"""Opening a checkpoint safely: nothing in a file is run or imported; a model of ours or a known one is filled with it.

A file that holds a card says itself which model it is; any other is recognized by its weights' names and shapes
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

from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.data.datasets import class_names
from lightning_resnets.errors import CheckpointError, CheckpointWarning, CustomModelError
from lightning_resnets.formats.read import CheckpointContents, read_checkpoint
from lightning_resnets.models import registry
from lightning_resnets.utils.skip_init import skip_init

MAX_OPTION = 4096  # channels, layers: more is no model of ours


MAX_EXPANSION, EXPANSION_SLACK = (
    4,
    2**26,
)  # a model takes at most so many times the file's bytes, and so many more


MODEL_PREFIX = "model."  # how the LightningModule calls the model


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """A model ready to look through (evaluation, float32, no gradients), its card, and sentences worth showing.

    `finding` says how a file without a card was recognized; `also` are the plain values that lay beside the weights.
    """

    model: nn.Module
    card: ModelCard
    notes: tuple[str, ...] = ()
    identification: Identification | None = None
    metadata: Mapping[str, Any] | None = None


def read_card(path: str | Path, model: str | None = None) -> ModelCard:
    """The card of a checkpoint, its own or the one that its weights' names and shapes give; raises CheckpointError."""
    held = read_checkpoint(Path(path))
    return (
        ModelCard.from_dict(held.card)
        if held.card is not None
        else card_from_identification(identify_contents(held, Path(path).name, model))
    )


def load_model(path: str | Path, model: str | None = None) -> tuple[nn.Module, ModelCard]:
    """The model and the card; raises CheckpointError, warns CheckpointWarning where weights are not finite.

    `model` is a name that you give yourself: of the zoo, `torchvision/NAME`, `timm/NAME`, or `module:function` of your
    own, whose module is then imported and run. A file alone never causes that.
    """
    opened = load_checkpoint(path, model)
    for note in opened.notes:
        warnings.warn(note, CheckpointWarning, stacklevel=2)
    return opened.model, opened.card


def load_checkpoint(path: str | Path, model: str | None = None) -> LoadedCheckpoint:
    """The same with its notes instead of warnings."""
    path = Path(path)
    held = read_checkpoint(path)
    if held.card is None:
        finding = identify_contents(held, path.name, model)
        if not finding.fits:
            raise CheckpointError(mismatch_message(path.name, finding, model))
        card, state = card_from_identification(finding), finding.state_dict
        notes = identification_notes(finding, card)
    else:
        card, finding, notes = ModelCard.from_dict(held.card), None, ()
        state = model_state_dict(held)
        if left := [
            name
            for name in held.state_dict
            if MODEL_PREFIX not in name and len(state) < len(held.state_dict)
        ]:
            notes = (
                f"'{path.name}' holds {len(left)} weights beside the model's, which were left out ({left[0]}).",
            )
    built = build_from_card(card, path.name, model)
    load_weights(built, state, card.arch, path.name)
    notes = (*nonfinite_notes(state, path.name), *held.notes, *notes)
    return LoadedCheckpoint(built.eval().requires_grad_(False), card, notes, finding, held.metadata)


def identify_contents(
    held: CheckpointContents, file: str, model: str | None = None
) -> Identification:
    """Which model the weights of a file without a card are; raises CheckpointError where they are like no known one."""
    from lightning_resnets.checkpoint.identify.identify import identify

    try:
        with preserve_rng():
            return identify(held.state_dict, held.metadata, model)
    except CheckpointError as error:
        raise CheckpointError(
            f"'{file}' does not say which model it holds, and {str(error)[:1].lower()}{str(error)[1:]}"
        ) from error


def card_from_identification(finding: Identification) -> ModelCard:
    """The card of a file that had none, by what was found."""
    names, data = class_names(
        finding.num_classes, finding.dataset, finding.preprocessing.input_size
    )
    seen = finding.preprocessing
    return ModelCard(
        arch=finding.arch,
        model_kwargs=finding.model_kwargs,
        class_names=names,
        dataset=data,
        input_size=seen.input_size,
        mean=seen.mean,
        std=seen.std,
        channel_order=seen.channel_order,
        crop_pct=seen.crop_pct,
        interpolation=seen.interpolation,
        bn_eps=finding.bn_eps,
        dialect=finding.dialect,
    )


def identification_notes(finding: Identification, card: ModelCard) -> tuple[str, ...]:
    """What someone who looks at the model should know of how it was recognized."""
    others = (
        f" (as well: {', '.join(finding.alternatives[:4])}; say which with --model)"
        if finding.alternatives
        else ""
    )
    sentences = [f"Taken to be {finding.arch}{others}."] if finding.confidence != "certain" else []
    if card.dataset and not finding.dataset:
        sentences.append(
            f"Its {finding.num_classes} classes are taken to be those of {card.dataset_title}."
        )
    return tuple(sentences)


def mismatch_message(file: str, finding: Identification, model: str | None) -> str:
    """Why a file that is nearest to some model cannot be opened as that model."""
    parts = [
        f"{len(names):,} {'weight' if len(names) == 1 else 'weights'} {words} ({names[0]})"
        for words, names in (
            ("missing", finding.missing_keys),
            ("too many", finding.unexpected_keys),
            ("of another shape", [name for name, *_ in finding.mismatched_keys]),
        )
        if names
    ]
    nearest = (
        f"is not the {model} that you name"
        if model
        else f"does not say which model it holds and is nearest to {finding.arch}"
    )
    remedy = "rename or take out what does not fit" + (
        "" if model else ", or name the right model with --model"
    )
    return (
        f"'{file}' {nearest}: {', '.join(parts)}; `lightning-resnets inspect` lists them: {remedy}."
    )


def model_state_dict(held: CheckpointContents) -> dict[str, Tensor]:
    """Weights under the model's names: of a LightningModule what its `model` holds, without what its metrics keep."""
    if held.wrapper != "state_dict" or not any(
        name.startswith(MODEL_PREFIX) for name in held.state_dict
    ):
        return held.state_dict
    return {
        name[len(MODEL_PREFIX) :]: weight
        for name, weight in held.state_dict.items()
        if name.startswith(MODEL_PREFIX)
    }


def build_from_card(card: ModelCard, file: str, model: str | None = None) -> nn.Module:
    """The model of a card, unfilled; `module:function` only where `model` is that very name."""
    if ":" in card.arch and card.arch != model:
        raise CustomModelError(file, card.arch)
    if model is not None and model != card.arch:
        raise CheckpointError(
            f"'{file}' says of itself that it holds '{card.arch}', not '{model}': leave out --model."
        )
    if ":" not in card.arch and "/" not in card.arch and card.arch not in registry.list_models():
        near = (
            get_close_matches(card.arch, registry.list_models(), n=3, cutoff=0.5)
            or list(registry.list_models())[:5]
        )
        raise CheckpointError(
            f"This checkpoint holds a model called '{card.arch}', which this version does not know (near it are "
            f"{', '.join(near)}): upgrade lightning-resnets or correct the card."
        )
    if any(
        isinstance(value, (int, float)) and abs(value) > MAX_OPTION
        for value in card.model_kwargs.values()
    ):
        raise CheckpointError(
            f"The card's options ask for a model larger than any ({str(card.model_kwargs)[:80]}): save the model again with a "
            "correct card."
        )
    if "pretrained" in card.model_kwargs:  # a file may not cause a download
        raise CheckpointError(
            "The card asks for published weights: save the model again without 'pretrained'."
        )
    try:
        with skip_init(), preserve_rng():
            built = registry.create_model(
                card.arch, num_classes=len(card.class_names), **card.model_kwargs
            )
    except Exception as error:
        raise CheckpointError(
            f"The card's options do not fit {card.arch} ({first_line(error)}): save the model again with a correct card."
        ) from error
    first_conv = next((module for module in built.modules() if isinstance(module, nn.Conv2d)), None)
    if first_conv is not None and first_conv.in_channels != card.input_size[0]:
        raise CheckpointError(
            f"The card in '{file}' speaks of images of {card.input_size[0]} channels and {card.arch} takes "
            f"{first_conv.in_channels}: save the model again with a correct card."
        )
    for module in built.modules():
        if card.bn_eps is not None and isinstance(module, _BatchNorm):
            module.eps = card.bn_eps
    return built


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], arch: str, file: str) -> None:
    """Give the blank model its weights; raises where one lacks, is too many or is not what the model has there."""
    blanks = model.state_dict()
    held = {
        weight.untyped_storage().data_ptr(): weight.untyped_storage().nbytes()
        for weight in weights.values()
    }
    if (
        sum(blank.nbytes for blank in blanks.values())
        > MAX_EXPANSION * sum(held.values()) + EXPANSION_SLACK
    ):
        raise CheckpointError(
            f"'{file}' holds far less than the weights of {arch}: save the whole model again."
        )
    state = {
        name: check_tensor(name, weights.get(name), blank, file) for name, blank in blanks.items()
    }
    if unknown := sorted(weights.keys() - state.keys()):
        raise CheckpointError(
            f"'{file}' holds weights that {arch} does not have ({unknown[0]}): its card names the wrong model "
            "or the wrong options; save it again with the card of the model that was trained."
        )
    model.load_state_dict(state, strict=True, assign=True)


def check_tensor(name: str, weight: Tensor | None, blank: Tensor, file: str) -> Tensor:
    """A weight in the blank's kind of number; raises where it is not what the model has there."""
    if weight is None:
        raise CheckpointError(f"'{file}' lacks the weight '{name}': save the whole model again.")
    if weight.shape != blank.shape:
        raise CheckpointError(
            f"'{name}' in '{file}' has shape {format_shape(weight)} where the model that its card names has "
            f"{format_shape(blank)}: save it again with the card of the model that was trained."
        )
    if weight.is_floating_point() != blank.is_floating_point() or weight.is_complex():
        raise CheckpointError(
            f"'{name}' in '{file}' is no plain tensor: save the model's own weights again."
        )
    return weight.to(blank.dtype).contiguous()


def nonfinite_notes(weights: Mapping[str, Tensor], file: str) -> tuple[str, ...]:
    """A sentence where weights are not finite."""
    bad = next((name for name, weight in weights.items() if not is_finite(weight)), None)
    return (
        ()
        if bad is None
        else (f"'{file}' holds weights that are not finite ({bad}): its training diverged.",)
    )


def is_finite(weight: Tensor) -> bool:
    """Whether every number is; the norm, many times as fast, is looked at first."""
    quick = weight.is_floating_point() and bool(torch.isfinite(torch.linalg.vector_norm(weight)))
    return quick or bool(torch.isfinite(weight).all())


@contextmanager
def preserve_rng() -> Iterator[None]:
    """Opening a file must not change the random numbers of who opens it."""
    with torch.random.fork_rng(devices=[]):
        yield


def format_shape(tensor: Tensor) -> str:
    return "×".join(str(side) for side in tensor.shape) or "one number"


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
