"""Measure the usual normalizations on a few images, to find the one that a model was trained with.

No weight tells how images were normalized. Published CIFAR models use at least five ways.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint.load import LoadedCheckpoint
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.data import image_folder
from lightning_resnets.data.datasets import DATASETS
from lightning_resnets.data.evaluation_sets import LabeledImages, subsample
from lightning_resnets.evaluation.accuracy import default_batch_size, label_rank, require_classes

Numbers = tuple[float, ...]

# Mean, standard deviation and channel order that training scripts use.
USUAL: dict[str, tuple[Numbers, Numbers, str]] = {
    "ImageNet's": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "RGB"),
    "CIFAR-10's": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), "RGB"),
    # Means of each image's deviation, which are smaller: a widespread mistake.
    "CIFAR-10's, std of single images": (
        (0.4914, 0.4822, 0.4465),
        (0.2023, 0.1994, 0.2010),
        "RGB",
    ),
    "CIFAR-100's": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762), "RGB"),
    "SVHN's": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970), "RGB"),
    "-1 to 1": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "RGB"),
    "none, 0 to 1": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "RGB"),
    "none, 0 to 255": ((0.0, 0.0, 0.0), (1 / 255,) * 3, "RGB"),
    "Caffe's": ((0.4076, 0.4579, 0.4850), (1 / 255,) * 3, "BGR"),
}
CURRENT = "in use"

LARGE_SIDE = 64  # pixels, from which on fewer images are used
MAX_IMAGES = 1000
MAX_LARGE_IMAGES = 200

MIN_DEVIATIONS = 2.0  # by which one normalization must be better

# Trials done, and all.
TrialProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class PreprocessingTrial:
    """Accuracy under one normalization.

    Attributes:
        name: name of the normalization.
        card: the model card with it.
        hits: whether each image got its correct class, (N,) bool.
    """

    name: str
    card: ModelCard
    hits: Tensor

    @property
    def top1(self) -> float:
        """Return the top-1 accuracy, 0 to 1."""
        return float(self.hits.float().mean())

    @property
    def options(self) -> str:
        """Return the command-line options that select this normalization."""
        mean = ",".join(f"{value:.5g}" for value in self.card.mean)
        std = ",".join(f"{value:.5g}" for value in self.card.std)
        text = f"--mean {mean} --std {std}"
        if self.card.channel_order != "RGB":
            text += f" --channel-order {self.card.channel_order}"
        return text

    def is_clearly_better(self, other: "PreprocessingTrial") -> bool:
        """Return whether the images that only one of the two gets right decide between them.

        Args:
            other: a trial on the same images.

        Returns:
            True if the difference is more than two standard deviations (McNemar's test).
        """
        only_self = int((self.hits & ~other.hits).sum())
        only_other = int((~self.hits & other.hits).sum())
        # Images that both get right, or wrong, say nothing about the difference.
        difference = only_self - only_other
        return difference > MIN_DEVIATIONS * math.sqrt(only_self + only_other)


def ignore_progress(done: int, total: int) -> None:
    """Ignore progress.

    Args:
        done: number of trials done.
        total: number of all trials.
    """


def try_preprocessings(
    loaded: LoadedCheckpoint,
    dataset: str,
    data_dir: Path,
    num_images: int | None = None,
    num_workers: int = 1,
    progress: TrialProgress = ignore_progress,
) -> tuple[PreprocessingTrial, ...]:
    """Measure the accuracy of a model under the usual normalizations.

    The best one is tried with the other channel order too.

    Args:
        loaded: the model with its model card.
        dataset: a key of `DATASETS`.
        data_dir: folder of the dataset.
        num_images: number of images, evenly spaced; None for 1,000, or 200 large ones.
        num_workers: threads that decode images.
        progress: called after each trial.

    Returns:
        Trials, the best first; of equal ones the normalization in use first.

    Raises:
        DataError: the dataset is missing or has other classes.
        ImageError: a file cannot be read as an image.
    """
    card = loaded.card
    require_classes(card)
    if num_images is None:
        num_images = _default_num_images(card)
    labeled = subsample(DATASETS[dataset].load_eval_set(data_dir, card.class_names), num_images)
    cards = candidate_cards(card)
    trials = list[PreprocessingTrial]()
    for name, candidate in cards.items():
        hits = _measure(loaded.model, candidate, labeled, num_workers)
        trials.append(PreprocessingTrial(name, candidate, hits))
        progress(len(trials), len(cards) + 1)
    # max and sorted are stable, and the one in use comes first.
    best = max(trials, key=_top1)
    swapped = replace(best.card, channel_order=_other_order(best.card))
    hits = _measure(loaded.model, swapped, labeled, num_workers)
    trials.append(PreprocessingTrial(f"{best.name}, {swapped.channel_order}", swapped, hits))
    progress(len(trials), len(trials))
    return tuple(sorted(trials, key=_top1, reverse=True))


def _top1(trial: PreprocessingTrial) -> float:
    """Return a trial's accuracy, to sort by."""
    return trial.top1


def _default_num_images(card: ModelCard) -> int:
    """Return enough images to tell a few per cent apart, within seconds."""
    if card.input_size[1] < LARGE_SIDE:
        return MAX_IMAGES
    return MAX_LARGE_IMAGES


def _other_order(card: ModelCard) -> str:
    """Return the channel order that a card does not have."""
    if card.channel_order == "BGR":
        return "RGB"
    return "BGR"


def candidate_cards(card: ModelCard) -> dict[str, ModelCard]:
    """Return the card with each of the usual normalizations.

    Args:
        card: the model card.

    Returns:
        Cards by name, the one in use first; equal ones are left out.
    """
    cards = {CURRENT: card}
    known = {_normalization(card)}
    for name, (mean, std, order) in USUAL.items():
        candidate = _with_normalization(card, mean, std, order)
        if _normalization(candidate) not in known:
            known.add(_normalization(candidate))
            cards[name] = candidate
    return cards


def _normalization(card: ModelCard) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Return what distinguishes two normalizations, rounded as people write it."""
    mean = tuple(round(value, 3) for value in card.mean)
    std = tuple(round(value, 3) for value in card.std)
    return mean, std, card.channel_order


def _with_normalization(card: ModelCard, mean: Numbers, std: Numbers, order: str) -> ModelCard:
    """Return the card with another normalization; gray images take the mean of three numbers."""
    channels = card.input_size[0]
    if channels == 3:
        # Only images of three channels have an order.
        return replace(card, mean=mean, std=std, channel_order=order)
    return replace(card, mean=(sum(mean) / 3,) * channels, std=(sum(std) / 3,) * channels)


@torch.inference_mode()
def _measure(model: nn.Module, card: ModelCard, labeled: LabeledImages, num_workers: int) -> Tensor:
    """Return whether each image gets its correct class, (N,) bool."""
    images, labels = labeled
    # Loaded again for each trial, so that every model gets exactly what `evaluate` gives it.
    expected = torch.tensor(labels)
    batches = image_folder.load_batches(
        images, card.preprocessing, default_batch_size(card), num_workers
    )
    hits = list[Tensor]()
    done = 0
    for batch in batches:
        ranks = label_rank(model(batch), expected[done : done + len(batch)])
        hits.append(ranks == 0)
        done += len(batch)
    return torch.cat(hits)


def format_trials(trials: tuple[PreprocessingTrial, ...]) -> str:
    """Format trials as a table with a verdict.

    Args:
        trials: as `try_preprocessings` returns them.

    Returns:
        One line per trial, and one sentence.
    """
    lines = [f"{trial.top1:7.2%}  {trial.name:<34}{trial.options}" for trial in trials]
    return "\n".join((*lines, verdict(trials)))


def verdict(trials: tuple[PreprocessingTrial, ...]) -> str:
    """Name the best normalization, and say whether it is clearly better than the one in use.

    Args:
        trials: as `try_preprocessings` returns them.

    Returns:
        One sentence.
    """
    best = trials[0]
    current = next(trial for trial in trials if trial.name == CURRENT)
    count = len(best.hits)
    if best is current:
        return f"Best on {count:,} images: the normalization in use."
    gain = f"{best.top1:.2%} instead of {current.top1:.2%} on {count:,} images"
    if best.is_clearly_better(current):
        return f"Best: {best.name} ({gain}). Use {best.options}."
    return f"Best: {best.name} ({gain}), but not clearly better than the normalization in use."
