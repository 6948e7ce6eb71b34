"""Open a model by name or by file, for the commands that take MODEL_OR_CHECKPOINT."""

import contextlib
import re
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import torch
from torch import nn

from lightning_resnets.checkpoint.bundled import bundled_checkpoints, resolve_checkpoint
from lightning_resnets.checkpoint.card_overrides import CardOverrides
from lightning_resnets.checkpoint.load import LoadedCheckpoint, load_checkpoint
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.checkpoint.open_checkpoint import NO_OVERRIDES
from lightning_resnets.data.datasets import class_names
from lightning_resnets.errors import CheckpointError, TraceError
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interactive.model import is_builtin
from lightning_resnets.models.known import index
from lightning_resnets.models.logits import return_logits
from lightning_resnets.models.registry import MODELS, create_model
from lightning_resnets.models.summary import build_uninitialized
from lightning_resnets.preprocessing import Preprocessing

ImageSize = tuple[int, int, int]

MODEL_OR_CHECKPOINT_HELP = (
    "a model's name (from `lightning-resnets models`, torchvision/NAME, timm/NAME, or "
    "module:function for your own), a bundled model's name, or a checkpoint file"
)

CIFAR_CLASSES = 10

EXTERNAL_NUM_CLASSES = 1000  # of ImageNet, for which torchvision and timm have their weights

# For a model that neither a checkpoint nor the index of known models describes
IMAGENET_PREPROCESSING = Preprocessing(
    input_size=(3, 224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)


CIFAR10_PREPROCESSING = Preprocessing(
    input_size=(3, 32, 32), mean=(0.4914, 0.4822, 0.4465), std=(0.247, 0.2435, 0.2616)
)


@dataclass(frozen=True, slots=True)
class OpenedStructure:
    """A model whose weights do not matter.

    Attributes:
        model: the model with its merges inserted where they could be found.
        input_size: (C, H, W).
        is_size_assumed: nothing says for which size the model was made.
    """

    model: nn.Module
    input_size: ImageSize
    is_size_assumed: bool = False


def open_structure(
    name: str, model: str | None = None, select: str | None = None, image_size: int | None = None
) -> OpenedStructure:
    """Open a model whose weights do not matter; a name alone is built without them, fast.

    Args:
        name: model name, bundled model's name, or checkpoint file.
        model: architecture of the checkpoint; None to detect it.
        select: one of several models in the file, or None.
        image_size: height and width in pixels, instead of the model's own.

    Returns:
        The model and its input size: that of its card, of the registry, or 224 pixels.

    Raises:
        CheckpointError: there is neither such a model nor such a file.
    """
    if model is None and _is_model_name(name):
        structure, size = _build_structure(name)
        # Nobody says for which size a custom model was made.
        is_assumed = ":" in name and image_size is None
    else:
        loaded = _load_file(name, model, select=select)[0]
        structure, size = loaded.model, loaded.card.input_size
        name = loaded.card.arch
        is_assumed = False
    if image_size is not None:
        # Only square images: all models were trained on them.
        size = (size[0], image_size, image_size)
    return OpenedStructure(_with_merges(structure, name, size), size, is_assumed)


def _build_structure(name: str) -> tuple[nn.Module, ImageSize]:
    """Build a named model without its weights, and return it with its input size."""
    # Initializing a large model takes seconds, and a graph needs no weights.
    structure = build_uninitialized(name, _num_classes(name))
    size = _input_size(name)
    if ":" in name:
        size = (_input_channels(structure), *size[1:])
    return structure, size


def _input_channels(model: nn.Module) -> int:
    """Return the input channels of the first convolution, 3 without one."""
    convolutions = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    first = next(convolutions, None)
    if first is None:
        return 3
    return first.in_channels


def open_model(
    name: str,
    model: str | None = None,
    seed: int = 0,
    overrides: CardOverrides = NO_OVERRIDES,
    select: str | None = None,
) -> tuple[LoadedCheckpoint, str]:
    """Open a model with its weights; one that has no checkpoint is left untrained.

    Args:
        name: model name, bundled model's name, or checkpoint file.
        model: architecture of the checkpoint; None to detect it.
        seed: seed of the initialization of an untrained model.
        overrides: entries of the model card that the user gives.
        select: one of several models in the file, or None.

    Returns:
        The model with its merges inserted where they could be found, and a name for output files.

    Raises:
        CheckpointError: there is neither such a model nor such a file.
    """
    if model is None and _is_model_name(name) and not _is_bundled(name):
        untrained = open_untrained(name, seed)
        card = overrides.apply(untrained.card)
        return replace(untrained, card=card), _to_file_name(name)
    loaded, path = _load_file(name, model, overrides, select)
    merged = _with_merges(loaded.model, loaded.card.arch, loaded.card.input_size)
    return replace(loaded, model=merged), path.stem


def _to_file_name(name: str) -> str:
    """Replace the separators in a model's name, which becomes the name of a folder."""
    return re.sub(r"[/:]", "-", name)


def open_untrained(name: str, seed: int = 0) -> LoadedCheckpoint:
    """Build a model as it is before its first training step.

    Args:
        name: model name.
        seed: seed of the initialization; torch's random state is restored afterwards.

    Returns:
        The model in evaluation mode, with a model card that holds its preprocessing.

    Raises:
        ValueError: there is no such model.
    """
    size = _input_size(name)
    # An analysis must not change the caller's random numbers.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = create_model(name, _num_classes(name))
    model.eval().requires_grad_(False)
    notes = [f"There is no checkpoint of '{name}': the model is untrained (seed {seed})."]
    # Only custom models return anything but one tensor.
    if ":" in name and (note := return_logits(model, size, _num_classes(name))):
        notes.append(note)
    model = _with_merges(model, name, size)
    return LoadedCheckpoint(model, _untrained_card(name, size), notes=tuple(notes))


def _untrained_card(name: str, size: ImageSize) -> ModelCard:
    """Make the model card of a model that no file describes."""
    preprocessing = index.known_models().get(name)
    if preprocessing is None:
        # CIFAR models take 32 pixels a side, ImageNet models 224 or more.
        is_large = size[1] >= 64
        preprocessing = IMAGENET_PREPROCESSING if is_large else CIFAR10_PREPROCESSING
    # Ours with ten classes are made for CIFAR-10; of other models only the number is known.
    is_cifar = name in MODELS and MODELS[name].num_classes == CIFAR_CLASSES
    guess = "cifar10" if is_cifar else ""
    names, dataset = class_names(_num_classes(name), guess, size)
    preprocessing = replace(preprocessing, input_size=size)
    return ModelCard(arch=name, class_names=names, dataset=dataset, **asdict(preprocessing))


def _is_model_name(name: str) -> bool:
    """Return True for a built-in, external or custom model's name; an existing file goes first."""
    if name in MODELS:
        return True
    has_prefix = ":" in name or name.startswith(("torchvision/", "timm/"))
    return has_prefix and not Path(name).exists()


def _input_size(name: str) -> ImageSize:
    """Return the (C, H, W) that a named model was made for."""
    if name in MODELS:
        return MODELS[name].input_size
    return index.known_models().get(name, IMAGENET_PREPROCESSING).input_size


def _num_classes(name: str) -> int:
    """Return the number of classes that a named model was made for."""
    if name in MODELS:
        return MODELS[name].num_classes
    return EXTERNAL_NUM_CLASSES


def _is_bundled(name: str) -> bool:
    """Return True for a bundled model's name, or the beginning of exactly one."""
    bundled = bundled_checkpoints()
    # Of two that begin with the name, neither may be chosen silently.
    return name in bundled or sum(stem.startswith(f"{name}-") for stem in bundled) == 1


def _load_file(
    name: str,
    model: str | None,
    overrides: CardOverrides = NO_OVERRIDES,
    select: str | None = None,
) -> tuple[LoadedCheckpoint, Path]:
    """Load a bundled model or a checkpoint file; raise CheckpointError if there is neither."""
    path = Path(name)
    looks_like_name = "/" not in name and not path.suffix
    # For a path, resolve_checkpoint says that the file is missing.
    if looks_like_name and not path.expanduser().exists():
        _raise_if_unknown(name)
    path = resolve_checkpoint(name)
    return load_checkpoint(path, model or None, select or None, overrides=overrides), path


def _raise_if_unknown(name: str) -> None:
    """Raise CheckpointError with similar names, unless a bundled model has this name."""
    bundled = bundled_checkpoints()
    if name in bundled or any(stem.startswith(f"{name}-") for stem in bundled):
        return
    similar = get_close_matches(name, (*MODELS, *bundled), 3, 0.6)
    if similar:
        hint = f"Similar names: {', '.join(similar)}."
    else:
        hint = "`lightning-resnets models` lists the models."
    raise CheckpointError(f"There is no model or file named '{name}'. {hint}")


def _with_merges(model: nn.Module, arch: str, size: ImageSize) -> nn.Module:
    """Insert merges into an external or custom model; leave it unchanged if it cannot be traced."""
    if is_builtin(arch):
        return model
    # A model that torch.fx cannot trace is still recorded as it is.
    with contextlib.suppress(TraceError):
        return insert_merges(model, size)
    return model
