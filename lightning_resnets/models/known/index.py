"""Which models of torchvision and timm have weights of these names and shapes: an index of fingerprints that ships.

`fingerprints` beside it makes it ahead of time; to look something up needs neither package. Every name and shape is
hashed to 64 bits. Their sum is the model's fingerprint. Its sketch is one-permutation min-hashing (Li, Owen, Zhang, NIPS
2012) with one byte a bin (Li, König, WWW 2010): the share of equal bytes of two sketches estimates the share of names
and shapes that two models have in common. The classes of the last layer are left out of both.
"""

import json
import lzma
import math
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightning_resnets.preprocessing import Preprocessing

INDEX_FILE = Path(__file__).with_name("index.json.xz")


SKETCH_BYTES = 128  # bytes of a sketch


MIN_SIMILARITY = 0.3  # a share below this is no likeness


MAX_RESULTS = 20  # models in one answer


MAX_INEXACT_SIMILARITY = 0.99  # the greatest share of models that differ


IGNORED_PREFIXES = (
    "aux1.",
    "aux2.",
    "AuxLogits.",
)  # classifiers beside the last: files have them, models here do not

Shape = tuple[int, ...]


ClassifierKeys = tuple[
    tuple[str, int], ...
]  # names of weights whose shape has the number of classes, and on which axis


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A model near to a file: `arch` for `zoo.build`, and `share`, how much of names and shapes the two have in common.

    The share is 1.0 where `same`, and an estimate below that otherwise. `classes` is how many the file has, 1000 where
    it has no last layer of that name. `input` is how the package's published weights want their images.
    """

    arch: str
    similarity: float
    num_classes: int
    preprocessing: Preprocessing
    is_exact: bool


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One set of names and shapes, and the models that have it with their inputs, the likeliest first."""

    models: tuple[tuple[str, Preprocessing], ...]
    classifier_keys: ClassifierKeys
    fingerprint: int
    num_tensors: int
    numel: int


@dataclass(frozen=True, slots=True)
class Index:
    """All entries, the sketch of each as a row, and the rows that have each head."""

    entries: tuple[IndexEntry, ...]
    sketches: NDArray[np.uint8]
    rows_by_classifier_keys: dict[ClassifierKeys, NDArray[np.intp]]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What names and shapes are reduced to: fingerprint, sketch, how many weights, how many numbers in them."""

    hash_sum: int
    sketch: NDArray[np.uint8]
    num_tensors: int
    numel: int


def lookup(shapes: Mapping[str, Shape]) -> list[Neighbor]:
    """Models of torchvision and timm near to weights of these names and shapes, best first, 20 at most.

    Equal ones come before all others; where several models are built alike, the likeliest first. Empty where no model
    shares 30 %. Batch norm's counters do not count, nor do auxiliary classifiers (`ballast`).
    """
    index, kept = (
        load_index(),
        {name: shape for name, shape in shapes.items() if not is_ignored(name)},
    )
    hashes = {name: _hash(name, shape) for name, shape in kept.items()}
    whole, found = _print(kept, hashes, ()), list[tuple[float, float, int, Neighbor]]()
    for head, rows in index.rows_by_classifier_keys.items():
        classes = _classes(kept, head)
        seen = _print(kept, hashes, head) if classes else whole
        for row, share in zip(rows, _shares(index.sketches[rows], seen.sketch), strict=True):
            entry = index.entries[row]
            same = (
                bool(classes) and entry.fingerprint == seen.hash_sum and entry.num_tensors == seen.num_tensors
            )
            share = (
                1.0
                if same
                else min(
                    float(share), MAX_INEXACT_SIMILARITY, _ratio(entry.num_tensors, seen.num_tensors)
                )
            )
            if share >= MIN_SIMILARITY:
                gap = 1 - _ratio(entry.numel, seen.numel)
                near = (
                    Neighbor(name, share, classes or 1000, wants, same)
                    for name, wants in entry.models
                )
                found += [(-share, gap, place, item) for place, item in enumerate(near)]
    return [
        near
        for *_, near in sorted(found, key=lambda item: (item[:3], len(item[3].arch), item[3].arch))
    ][:MAX_RESULTS]


def is_ignored(name: str) -> bool:
    """Whether a weight of this name is no part of the models as they are built here, though files may have it."""
    return name.startswith(IGNORED_PREFIXES) or name.endswith("num_batches_tracked")


def known_models() -> dict[str, Preprocessing]:
    """Every model that the index knows, as `torchvision/NAME` or `timm/NAME`, and how it wants its images."""
    return _names()


def fingerprint(shapes: Mapping[str, Shape], head: ClassifierKeys) -> Fingerprint:
    """The print of a model's names and shapes, the classes of its last layer left out."""
    kept = {name: shape for name, shape in shapes.items() if not is_ignored(name)}
    return _print(kept, {name: _hash(name, shape) for name, shape in kept.items()}, head)


@lru_cache(maxsize=1)
def load_index() -> Index:
    """The index that ships, unpacked."""
    data = json.loads(lzma.decompress(INDEX_FILE.read_bytes()))
    inputs = [
        Preprocessing(
            input_size=tuple(size),
            mean=tuple(mean),
            std=tuple(std),
            crop_pct=crop,
            interpolation=resample,
        )
        for size, mean, std, crop, resample in data["inputs"]
    ]
    heads = [tuple((name, axis) for name, axis in head) for head in data["heads"]]
    entries = tuple(
        IndexEntry(
            tuple((name, inputs[place]) for name, place in models),
            heads[head],
            int(mark, 16),
            weights,
            numbers,
        )
        for models, head, mark, weights, numbers in data["entries"]
    )
    sketches = np.frombuffer(b64decode(data["sketches"]), np.uint8).reshape(
        len(entries), SKETCH_BYTES
    )
    rows = {
        head: np.array([row for row, entry in enumerate(entries) if entry.classifier_keys == head])
        for head in heads
    }
    return Index(entries, sketches, rows, data["made"])


@lru_cache(maxsize=1)
def _names() -> dict[str, Preprocessing]:
    return dict(sorted(model for entry in load_index().entries for model in entry.models))


def _hash(name: str, shape: Iterable[int]) -> int:
    text = f"{name} {' '.join(map(str, shape))}"
    return int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=8).digest(), "little")


def _classes(shapes: Mapping[str, Shape], head: ClassifierKeys) -> int:
    """How many classes the last layer has; 0 where there is none of this name, or its parts disagree."""
    counts = {
        shapes[name][axis] if axis < len(shapes[name]) else 0
        for name, axis in head
        if name in shapes
    }
    whole = len(counts) == 1 and all(name in shapes for name, _ in head)
    return counts.pop() if whole else 0


def _print(
    shapes: Mapping[str, Shape], hashes: Mapping[str, int], head: ClassifierKeys
) -> Fingerprint:
    open_ended = {name: drop_axis(shapes[name], axis) for name, axis in head}
    changed = {**hashes, **{name: _hash(name, shape) for name, shape in open_ended.items()}}
    values = np.fromiter(changed.values(), np.uint64, len(changed))
    numbers = sum(math.prod(shape) for name, shape in shapes.items() if name not in open_ended)
    return Fingerprint(sum(changed.values()) % 2**64, _sketch(values), len(changed), numbers)


def drop_axis(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], 0, *shape[axis + 1 :])


def _sketch(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The least hash of each bin, its last byte kept; 0 for a bin that is empty."""
    least = np.full(SKETCH_BYTES, 2**64 - 1, np.uint64)
    np.minimum.at(least, (values >> np.uint64(57)).astype(np.intp), values)
    return np.where(least == 2**64 - 1, 0, 1 + least % np.uint64(255)).astype(np.uint8)


def _shares(rows: NDArray[np.uint8], sketch: NDArray[np.uint8]) -> NDArray[np.float64]:
    filled = (rows != 0) | (sketch != 0)
    return ((rows == sketch) & filled).sum(1) / np.maximum(filled.sum(1), 1)


def _ratio(one: int, other: int) -> float:
    return min(one, other) / max(one, other, 1)
