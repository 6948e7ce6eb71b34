"""What `analyze` looks at: a model by its file or name, the plain twin beside it, both at initialization, images."""

import re
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from lightning_resnets.analysis.registry import AnalysisInputs
from lightning_resnets.analysis.result import LabeledImages
from lightning_resnets.checkpoint.bundled import bundled_checkpoints, resolve_checkpoint
from lightning_resnets.checkpoint.load import LoadedCheckpoint, load_checkpoint
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.cli.graph import insert_merges_if_possible, raise_unknown_model
from lightning_resnets.data.datasets import class_names
from lightning_resnets.data.image_folder import load_batches
from lightning_resnets.errors import AnalysisError, CheckpointError
from lightning_resnets.evaluation import DATASETS, require_root, subsample
from lightning_resnets.interactive.model import is_builtin
from lightning_resnets.models import registry
from lightning_resnets.models.known import index
from lightning_resnets.preprocessing import Preprocessing

IMAGENET_PREPROCESSING = Preprocessing(
    input_size=(3, 224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)


CIFAR10_PREPROCESSING = Preprocessing(
    input_size=(3, 32, 32), mean=(0.4914, 0.4822, 0.4465), std=(0.247, 0.2435, 0.2616)
)


def open_model(name: str, model: str | None = None, seed: int = 0) -> tuple[LoadedCheckpoint, str]:
    """What is looked at and a word for its files: a shipped model, a file, or an untrained model by its name.

    Names are those that `lightning-resnets graph` takes: of the zoo, torchvision/NAME, timm/NAME, module:function.
    """
    built = name in registry.MODELS or (
        not Path(name).exists() and (":" in name or name.startswith(("torchvision/", "timm/")))
    )
    if model is None and built and not _ships(name):
        return open_untrained(name, seed), re.sub(r"[/:]", "-", name)
    if (
        not _ships(name)
        and not Path(name).expanduser().exists()
        and "/" not in name
        and not Path(name).suffix
    ):
        raise_unknown_model(name)
    path = resolve_checkpoint(name)
    found = load_checkpoint(path, **({"model": model} if model else {}))
    if is_builtin(found.card.arch):
        return found, path.stem
    return replace(
        found, model=insert_merges_if_possible(found.model, found.card.input_size)
    ), path.stem


def _ships(name: str) -> bool:
    return (
        name in bundled_checkpoints()
        or sum(file.startswith(f"{name}-") for file in bundled_checkpoints()) == 1
    )


def open_untrained(name: str, seed: int = 0) -> LoadedCheckpoint:
    """A model as it is before its first step, with a card that says how it wants its images."""
    entry = registry.MODELS.get(name)
    size = (
        entry.input_size
        if entry
        else index.known_models().get(name, IMAGENET_PREPROCESSING).input_size
    )
    seen = index.known_models().get(name) or (
        IMAGENET_PREPROCESSING if size[1] >= 64 else CIFAR10_PREPROCESSING
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = (
            registry.create_model(name, entry.num_classes if entry else 1000)
            .eval()
            .requires_grad_(False)
        )
    classes, data = class_names(entry.num_classes if entry else 1000, "", size)
    card = ModelCard(
        arch=name,
        class_names=classes,
        input_size=size,
        mean=seen.mean,
        std=seen.std,
        channel_order=seen.channel_order,
        crop_pct=seen.crop_pct,
        interpolation=seen.interpolation,
        dataset=data,
    )
    note = f"No file of '{name}' ships, so it is untrained, its weights those of seed {seed}."
    return LoadedCheckpoint(
        model if is_builtin(name) else insert_merges_if_possible(model, size), card, (note,)
    )


def make_analysis_inputs(
    found: LoadedCheckpoint,
    baseline: LoadedCheckpoint | None,
    images: LabeledImages | None,
    seed: int = 0,
    names: tuple[str, str] = ("", ""),
) -> AnalysisInputs:
    """What the analyzes look at: the model, its plain twin, and both at initialization where they can be built.

    `names` are what the files are called, for two models of one kind.
    """
    card = found.card
    plain = baseline.card.arch if baseline else plain_baseline_name(card.arch)
    name, beside = card.arch, baseline.card.arch if baseline else ""
    if name == beside and all(names) and names[0] != names[1]:
        name, beside = names
    return AnalysisInputs(
        model=to_channels_last(found.model),
        input_size=card.input_size,
        class_names=card.class_names,
        images=images,
        baseline=to_channels_last(baseline.model) if baseline else None,
        untrained=build_untrained(card, card.arch, seed),
        untrained_baseline=build_untrained(card, plain, seed) if plain else None,
        seed=seed,
        model_name=name,
        baseline_name=beside,
        untrained_baseline_name=plain or "",
        test_error=test_error_from_card(card),
    )


def test_error_from_card(card: ModelCard) -> float | None:
    """The error in % that a card tells, of the data set that the comparison of models is about."""
    if card.dataset != ("cifar10" if card.input_size[1] < 64 else "imagenet"):
        return None
    if (accuracy := card.metrics.get("test_accuracy")) is not None:
        return 100 * (1 - accuracy)
    wrong = card.metrics.get("test_error")
    return None if wrong is None else 100 * wrong


def build_untrained(card: ModelCard, arch: str, seed: int) -> nn.Module | None:
    """A model of that name as it is before its first step; None for one that is not the zoo's."""
    if arch not in registry.list_models():
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = registry.create_model(
            arch, len(card.class_names), **(card.model_kwargs if arch == card.arch else {})
        )
    return model.eval().requires_grad_(False)


def plain_baseline_name(arch: str) -> str | None:
    """The plain model of the same depth, as plain20 is seresnet20's; None where there is none."""
    depth = re.fullmatch(r"(?:se|pre|sepre)?resnet(\d+)", arch)
    name = f"plain{depth[1]}" if depth else ""
    return name if name in registry.list_models() else None


def open_baseline(card: ModelCard, asked: str | None) -> LoadedCheckpoint | None:
    """The model to see beside this one: the file asked for, else the plain twin that ships for the same data."""
    if asked == "none":
        return None
    if asked is None:
        name = plain_baseline_name(card.arch)
        path = bundled_checkpoints().get(f"{name}-{card.dataset}") if name else None
        if path is None:
            return None
        asked = str(path)
    baseline = open_model(asked)[0]
    if (len(baseline.card.class_names), baseline.card.input_size) != (
        len(card.class_names),
        card.input_size,
    ):
        raise CheckpointError(
            f"'{asked}' tells {len(baseline.card.class_names)} classes apart in images of {format_shape(baseline.card)} and this model "
            f"{len(card.class_names)} in {format_shape(card)}: a twin sees the same images (--twin FILE, or --twin none)."
        )
    return baseline


def to_channels_last(model: nn.Module) -> nn.Module:
    """The model with its weights in the layout of `looked_at`'s images."""
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload] - its stubs know tensors alone


def format_shape(card: ModelCard) -> str:
    return "×".join(map(str, card.input_size))


def load_analysis_images(
    card: ModelCard, data: str | None, root: Path | None, limit: int
) -> LabeledImages:
    """Images as the model takes them; of themselves those of the CIFAR-10 sample that ships."""
    if data is None and card.dataset != "cifar10":
        raise AnalysisError(
            f"The images that ship are CIFAR-10's and this model was made for {card.dataset or 'others'}: say which to "
            "look at, with --data imagenet|folder --root DIR."
        )
    name = data or "sample"
    images, places = subsample(DATASETS[name](require_root(name, root), card), limit)
    batch = torch.cat(list(load_batches(images, card, 64)))
    return LabeledImages(
        batch.contiguous(memory_format=torch.channels_last), torch.tensor(places)
    )  # the faster layout
