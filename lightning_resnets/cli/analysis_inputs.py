"""Collect what the analyses compare: a model, its baseline, both untrained, and images."""

import re
from pathlib import Path

import torch
from torch import nn

from lightning_resnets.analysis.labeled_images import LabeledImages
from lightning_resnets.analysis.registry import AnalysisInputs
from lightning_resnets.checkpoint.bundled import bundled_checkpoints
from lightning_resnets.checkpoint.load import LoadedCheckpoint
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.cli.open_model import (
    CIFAR10_PREPROCESSING,
    IMAGENET_PREPROCESSING,
    open_model,
)
from lightning_resnets.data.datasets import DATASETS, require_data_dir
from lightning_resnets.data.evaluation_sets import subsample
from lightning_resnets.data.image_folder import load_batches
from lightning_resnets.errors import AnalysisError, CheckpointError
from lightning_resnets.models.registry import MODELS, create_model
from lightning_resnets.utils.format import format_shape

# seresnet20, preresnet20 and sepreresnet20 have the depth of plain20.
RESIDUAL_NAME_RE = re.compile(r"(?:se|pre|sepre)?resnet(\d+)")

LOADING_BATCH_SIZE = 64  # images that are preprocessed at once


def make_analysis_inputs(
    loaded: LoadedCheckpoint,
    baseline: LoadedCheckpoint | None,
    images: LabeledImages | None,
    seed: int = 0,
    names: tuple[str, str] = ("", ""),
) -> AnalysisInputs:
    """Combine a model with its baseline, and build both untrained where that is possible.

    Args:
        loaded: the model.
        baseline: a plain model to compare with; None to compare with none.
        images: preprocessed images; None for the analyses that need none.
        seed: seed of the initialization and of everything drawn at random.
        names: names of the two files; they tell two models of one architecture apart.

    Returns:
        The inputs of `run_analysis`, both trained models in channels-last layout.
    """
    card = loaded.card
    baseline_arch = baseline.card.arch if baseline else ""
    # The untrained plain model is compared with even if no trained one exists.
    plain_arch = baseline_arch or plain_baseline_name(card.arch)
    model_name, baseline_name = _display_names(card.arch, baseline_arch, names)
    return AnalysisInputs(
        model=_to_channels_last(loaded.model),
        input_size=card.input_size,
        class_names=card.class_names,
        images=images,
        baseline=_to_channels_last(baseline.model) if baseline else None,
        untrained=build_untrained(card, card.arch, seed),
        untrained_baseline=build_untrained(card, plain_arch, seed) if plain_arch else None,
        seed=seed,
        model_name=model_name,
        baseline_name=baseline_name,
        untrained_baseline_name=plain_arch or "",
        test_error=test_error_from_card(card),
    )


def make_inputs_without_model(dataset: str | None, seed: int) -> AnalysisInputs:
    """Make the inputs of an analysis that compares published models only.

    Args:
        dataset: name of a dataset; CIFAR-10 selects the models for small images.
        seed: seed of everything drawn at random.

    Returns:
        The inputs of `run_analysis`.
    """
    preprocessing = IMAGENET_PREPROCESSING
    # The bundled sample is of CIFAR-10.
    if dataset in ("cifar10", "sample"):
        preprocessing = CIFAR10_PREPROCESSING
    return AnalysisInputs(None, preprocessing.input_size, (), None, seed=seed)


def _display_names(arch: str, baseline_arch: str, names: tuple[str, str]) -> tuple[str, str]:
    """Return the architectures, or the file names if both models have the same architecture."""
    has_two_names = all(names) and names[0] != names[1]
    if arch == baseline_arch and has_two_names:
        return names
    return arch, baseline_arch


def test_error_from_card(card: ModelCard) -> float | None:
    """Return the test error that a model card reports.

    Args:
        card: the model card.

    Returns:
        The error in percent; None if the card reports none, or one on another dataset than the
        published errors (CIFAR-10 for small images, else ImageNet).
    """
    # CIFAR models take 32 pixels a side, ImageNet models 224 or more.
    dataset = "cifar10" if card.input_size[1] < 64 else "imagenet"
    # An error on other images cannot stand beside the published ones.
    if card.dataset != dataset:
        return None
    if "test_accuracy" in card.metrics:
        return 100 * (1 - card.metrics["test_accuracy"])
    if "test_error" in card.metrics:
        return 100 * card.metrics["test_error"]
    return None


def build_untrained(card: ModelCard, arch: str, seed: int) -> nn.Module | None:
    """Build a built-in model as it is before its first training step.

    Args:
        card: model card with the classes and, for the same architecture, the model kwargs.
        arch: name of the architecture.
        seed: seed of the initialization; torch's random state is restored afterwards.

    Returns:
        The model in evaluation mode; None for an external or custom architecture.
    """
    if arch not in MODELS:
        return None
    # The kwargs of the card are for its own architecture only.
    model_kwargs = card.model_kwargs if arch == card.arch else {}
    # The seed is for the initialization only.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = create_model(arch, len(card.class_names), **model_kwargs)
    return model.eval().requires_grad_(False)


def plain_baseline_name(arch: str) -> str | None:
    """Find the plain model (without skip connections) of the same depth.

    Args:
        arch: name of an architecture, such as seresnet20.

    Returns:
        The plain model's name, such as plain20; None if there is none.
    """
    match = RESIDUAL_NAME_RE.fullmatch(arch)
    if match is None:
        return None
    name = f"plain{match[1]}"
    # Not every depth has a plain model.
    return name if name in MODELS else None


def open_baseline(card: ModelCard, name: str | None) -> LoadedCheckpoint | None:
    """Open the model to compare with.

    Args:
        card: model card of the model under analysis.
        name: `--baseline`; "none" for no baseline, None for the bundled plain model of the same
            depth and dataset.

    Returns:
        The baseline; None if there is none.

    Raises:
        CheckpointError: the baseline has other classes or another input size.
    """
    if name == "none":
        return None
    if name is None:
        name = _bundled_baseline(card)
    if name is None:
        return None
    baseline = open_model(name)[0]
    _check_baseline(name, baseline.card, card)
    return baseline


def _bundled_baseline(card: ModelCard) -> str | None:
    """Return the file of the bundled plain model of the same depth and dataset, or None."""
    plain = plain_baseline_name(card.arch)
    if plain is None:
        return None
    path = bundled_checkpoints().get(f"{plain}-{card.dataset}")
    if path is None:
        return None
    return str(path)


def _check_baseline(name: str, baseline: ModelCard, card: ModelCard) -> None:
    """Raise CheckpointError unless both models take the same images."""
    num_classes, num_baseline_classes = len(card.class_names), len(baseline.class_names)
    # Both models get the same images and labels.
    if num_classes == num_baseline_classes and card.input_size == baseline.input_size:
        return
    raise CheckpointError(
        f"--baseline '{name}' has {num_baseline_classes} classes and input size "
        f"{format_shape(baseline.input_size)}, but the model has {num_classes} and "
        f"{format_shape(card.input_size)}. Give a baseline for the same images, or --baseline none."
    )


def _to_channels_last(model: nn.Module) -> nn.Module:
    """Convert the weights to the memory layout of `load_analysis_images`."""
    # torch's type stubs know memory_format for tensors only.
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _check_dataset(card: ModelCard, dataset: str | None) -> None:
    """Raise AnalysisError if no dataset is given and the bundled images do not fit the model."""
    if dataset is not None or card.dataset == "cifar10":
        return
    trained_on = f"the model is for {card.dataset}"
    if not card.dataset:
        trained_on = "the file does not say what its classes are"
    raise AnalysisError(
        f"Missing --dataset: the bundled images are from CIFAR-10, but {trained_on}. Give "
        "--dataset imagenet or folder with --data-dir DIR, or --dataset sample for CIFAR-10."
    )


def load_analysis_images(
    card: ModelCard, dataset: str | None, data_dir: Path | None, num_images: int
) -> LabeledImages:
    """Load and preprocess images for a model.

    Args:
        card: model card with the preprocessing and the classes.
        dataset: name of a dataset; None for the bundled CIFAR-10 sample.
        data_dir: folder of the dataset; None for the bundled sample.
        num_images: largest number of images, evenly spaced over the dataset.

    Returns:
        Images (N, C, H, W) in channels-last layout, the faster one, and their labels (N,).

    Raises:
        AnalysisError: no dataset is given and the model was not trained on CIFAR-10.
        DataError: the dataset is missing or has other classes.
    """
    _check_dataset(card, dataset)
    name = dataset or "sample"
    found = DATASETS[name].load_eval_set(require_data_dir(name, data_dir), card.class_names)
    images, labels = subsample(found, num_images)
    # All images stay in memory: analyses pass over them many times.
    batch = torch.cat(list(load_batches(images, card.preprocessing, LOADING_BATCH_SIZE)))
    return LabeledImages(batch.contiguous(memory_format=torch.channels_last), torch.tensor(labels))
