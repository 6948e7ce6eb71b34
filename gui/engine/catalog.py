"""Bundled models and sample images for the start page."""

from pathlib import Path

import numpy as np

from gui.state import Catalog, CatalogEntry, ImageInput
from lightning_resnets.checkpoint import ModelCard, bundled_checkpoints
from lightning_resnets.checkpoint.load import read_card
from lightning_resnets.data import cifar10_sample
from lightning_resnets.data.photographs import NAMES, load_photograph

SAMPLES_PER_CLASS = 4
NO_MODELS_NOTE = "No trained models are in the folder checkpoints/ yet: train one with ./run demo."


def load_catalog() -> Catalog:
    """Load the bundled models and a few sample images of each class."""
    models = tuple(catalog_entry(name, path) for name, path in bundled_checkpoints().items())
    note = "" if models else NO_MODELS_NOTE
    photographs = tuple(ImageInput(name, pixels=load_photograph(name)) for name in NAMES)
    return Catalog(models, _load_samples(), note, photographs)


def _load_samples() -> tuple[ImageInput, ...]:
    """Load the sample images, one of each class after another."""
    images, labels = cifar10_sample.load_sample("test")
    names = cifar10_sample.CLASSES
    by_class = [np.flatnonzero(labels == k)[:SAMPLES_PER_CLASS] for k in range(len(names))]
    # Columns are classes, so row by row gives one image of each class in turn.
    order = np.stack(by_class, 1).ravel()
    return tuple(ImageInput(names[labels[i]], pixels=images[i]) for i in order)


def catalog_entry(name: str, path: Path) -> CatalogEntry:
    """Describe a bundled model by its card.

    Args:
        name: its name.
        path: its file.

    Returns:
        The entry; it shows the error if the card cannot be read.
    """
    try:
        card = read_card(path)
    # A damaged file keeps its card on the start page, which says what is wrong.
    except ValueError as error:
        return CatalogEntry(str(path), name, str(error))
    facts = [fact for fact in (card.dataset_title, format_accuracy(card)) if fact]
    return CatalogEntry(str(path), card.arch, " · ".join(facts))


def format_accuracy(card: ModelCard) -> str:
    """Format the accuracy of a card.

    Args:
        card: the card.

    Returns:
        "91.24 % test accuracy", "" if it is unknown.
    """
    # The title of a card ends with its accuracy.
    if "accuracy" in card.title:
        return card.title.split(" · ")[-1]
    return ""
