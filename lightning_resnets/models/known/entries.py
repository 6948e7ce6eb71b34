"""Entries of the index of known models, and what a lookup in it returns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_resnets.preprocessing import Preprocessing

Shape = tuple[int, ...]

# Names of the last layer's weights, each with the axis that has one entry per class.
ClassifierKeys = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A model that is equal or similar to weights.

    Attributes:
        arch: name for `create_model`.
        similarity: fraction of names and shapes in common: 1.0 if exact, else an estimate below.
        num_classes: number of classes of the weights; 1,000 if they lack this last layer.
        preprocessing: preprocessing that the package's published weights expect.
        is_exact: names and shapes are equal.
    """

    arch: str
    similarity: float
    num_classes: int
    preprocessing: Preprocessing
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Names and shapes of a model's weights in a few bytes.

    Attributes:
        hash_sum: sum of all hashes, modulo 2**64.
        sketch: uint8 (SKETCH_BYTES,), 0 for an empty bin.
        num_tensors: number of weights.
        numel: number of scalars outside the last layer.
    """

    hash_sum: int
    sketch: NDArray[np.uint8]
    num_tensors: int
    numel: int


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One set of names and shapes, and the models that have it.

    Attributes:
        models: names and their preprocessing, the most likely first.
        classifier_keys: the last layer's weights.
        fingerprint: the sum of all hashes.
        num_tensors: number of weights.
        numel: number of scalars outside the last layer.
    """

    models: tuple[tuple[str, Preprocessing], ...]
    classifier_keys: ClassifierKeys
    fingerprint: int
    num_tensors: int
    numel: int


@dataclass(frozen=True, slots=True)
class Index:
    """The bundled index.

    Attributes:
        entries: all entries.
        sketches: uint8 (len(entries), SKETCH_BYTES).
        rows_by_classifier_keys: numbers of the entries with each last layer.
        versions: releases of the packages that the index was built with.
    """

    entries: tuple[IndexEntry, ...]
    sketches: NDArray[np.uint8]
    rows_by_classifier_keys: dict[ClassifierKeys, NDArray[np.intp]]
    versions: dict[str, str]
