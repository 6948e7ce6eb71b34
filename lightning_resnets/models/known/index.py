"""Find the models of torchvision and timm whose weights have given names and shapes.

The bundled index holds a fingerprint of every model; `build_index` beside it writes the file. A
lookup needs neither package.

The name and shape of every weight are hashed to 64 bits. The sum of all hashes identifies a model.
Its sketch (`sketches`) estimates how much two models have in common. Both leave out the number of
classes of the last layer.
"""

import json
import lzma
import math
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from lightning_resnets.models.known.entries import (
    ClassifierKeys,
    Fingerprint,
    Index,
    IndexEntry,
    Neighbor,
    Shape,
)
from lightning_resnets.models.known.sketches import SKETCH_BYTES, compare_sketches, make_sketch
from lightning_resnets.models.rename_keys import AUX_CLASSIFIER_KEYS
from lightning_resnets.preprocessing import Preprocessing

INDEX_FILE = Path(__file__).with_name("index.json.xz")
MAX_RESULTS = 20

# Models that have less in common are not similar; those that differ at all are below 1.
MIN_SIMILARITY = 0.3
MAX_INEXACT_SIMILARITY = 0.99

# Sorts neighbors, which have no order of their own: most similar first, then closest in size, then
# by rank within an entry.
_SortKey = tuple[float, float, int, int, str]


def lookup(shapes: Mapping[str, Shape]) -> list[Neighbor]:
    """Find the models of torchvision and timm that are equal or similar to weights.

    Batch norm's counters and auxiliary classifiers are ignored (`is_ignored`).

    Args:
        shapes: shape of every weight by name.

    Returns:
        At most `MAX_RESULTS` models, exact matches first, then by similarity; empty if nothing is
        at least `MIN_SIMILARITY` similar.
    """
    index = load_index()
    kept, hashes = _hash_all(shapes)
    with_classifier = _make_fingerprint(kept, hashes, ())
    found: list[tuple[_SortKey, Neighbor]] = []
    # Without the last layer each kind of it leaves another fingerprint.
    for keys, rows in index.rows_by_classifier_keys.items():
        num_classes = _count_classes(kept, keys)  # 0 without this last layer
        query = _make_fingerprint(kept, hashes, keys) if num_classes else with_classifier
        estimates = compare_sketches(index.sketches[rows], query.sketch)
        for row, estimate in zip(rows, estimates, strict=True):
            found += _neighbors(index.entries[row], query, num_classes, float(estimate))
    found.sort(key=lambda item: item[0])
    return [neighbor for _, neighbor in found[:MAX_RESULTS]]


def is_ignored(name: str) -> bool:
    """Return whether files may have a weight of this name although our models do not.

    Args:
        name: name of a weight.

    Returns:
        True for auxiliary classifiers and the counters of batch norm.
    """
    return bool(AUX_CLASSIFIER_KEYS.match(name)) or name.endswith("num_batches_tracked")


def known_models() -> dict[str, Preprocessing]:
    """Return the preprocessing of every model of the index by `torchvision/NAME` or `timm/NAME`."""
    return _known_models()


def classifier_keys(name: str) -> tuple[str, ...]:
    """Return the names of the last layer's weights.

    Args:
        name: `torchvision/NAME` or `timm/NAME`, one of `known_models`.

    Returns:
        Names of weights, such as `fc.weight` and `fc.bias`.
    """
    return tuple(key for key, _ in _find_entry(name).classifier_keys)


def models_with_same_weights(name: str) -> tuple[str, ...]:
    """Return the models whose weights have the same names and shapes as a model's.

    Args:
        name: `torchvision/NAME` or `timm/NAME`.

    Returns:
        Names, the model's own included; () if the index does not have it.
    """
    if name not in known_models():
        return ()
    return tuple(model for model, _ in _find_entry(name).models)


def _find_entry(name: str) -> IndexEntry:
    """Return the entry of a model that the index has."""
    return next(entry for entry in load_index().entries if name in dict(entry.models))


def fingerprint(shapes: Mapping[str, Shape], classifier_keys: ClassifierKeys) -> Fingerprint:
    """Compute the fingerprint of names and shapes without the number of classes.

    Args:
        shapes: shape of every weight by name.
        classifier_keys: the last layer's weights.

    Returns:
        The fingerprint.
    """
    kept, hashes = _hash_all(shapes)
    return _make_fingerprint(kept, hashes, classifier_keys)


def drop_axis(shape: Shape, axis: int) -> Shape:
    """Return the shape with 0 on one axis, so that it does not depend on the number of classes.

    Args:
        shape: shape of a weight.
        axis: the axis.

    Returns:
        The shape.
    """
    return (*shape[:axis], 0, *shape[axis + 1 :])


@lru_cache(maxsize=1)
def load_index() -> Index:
    """Read the bundled index; later calls return the same object."""
    data = json.loads(lzma.decompress(INDEX_FILE.read_bytes()))
    preprocessings = [_parse_preprocessing(row) for row in data["preprocessings"]]
    classifiers = [tuple((name, axis) for name, axis in row) for row in data["classifiers"]]
    entries = tuple(_parse_entry(row, preprocessings, classifiers) for row in data["entries"])
    sketches = np.frombuffer(b64decode(data["sketches"]), np.uint8)
    rows = {
        keys: np.array([row for row, entry in enumerate(entries) if entry.classifier_keys == keys])
        for keys in classifiers
    }
    return Index(entries, sketches.reshape(len(entries), SKETCH_BYTES), rows, data["versions"])


def _parse_preprocessing(row: list[Any]) -> Preprocessing:
    """Read one row of the file's list of preprocessings."""
    size, mean, std, crop_pct, interpolation = row
    return Preprocessing(
        input_size=tuple(size),
        mean=tuple(mean),
        std=tuple(std),
        crop_pct=crop_pct,
        interpolation=interpolation,
    )


def _parse_entry(
    row: list[Any], preprocessings: list[Preprocessing], classifiers: list[ClassifierKeys]
) -> IndexEntry:
    """Read one row of the file's list of entries."""
    models, classifier, hash_sum, num_tensors, numel = row
    return IndexEntry(
        tuple((name, preprocessings[number]) for name, number in models),
        classifiers[classifier],
        int(hash_sum, 16),
        num_tensors,
        numel,
    )


@lru_cache(maxsize=1)
def _known_models() -> dict[str, Preprocessing]:
    """Collect the models of all entries, sorted by name."""
    models: dict[str, Preprocessing] = {}
    for entry in load_index().entries:
        models.update(entry.models)
    return dict(sorted(models.items()))


def _neighbors(
    entry: IndexEntry, query: Fingerprint, num_classes: int, estimate: float
) -> Iterator[tuple[_SortKey, Neighbor]]:
    """Yield the models of an entry that is similar enough, each with its sort key."""
    is_equal = (entry.fingerprint, entry.num_tensors) == (query.hash_sum, query.num_tensors)
    is_exact = num_classes > 0 and is_equal
    similarity = 1.0
    if not is_exact:
        # Two models cannot have more in common than the ratio of their numbers of weights.
        bound = _ratio(entry.num_tensors, query.num_tensors)
        similarity = min(estimate, MAX_INEXACT_SIMILARITY, bound)
    if similarity < MIN_SIMILARITY:
        return
    size_gap = 1 - _ratio(entry.numel, query.numel)
    for rank, (name, preprocessing) in enumerate(entry.models):
        neighbor = Neighbor(name, similarity, num_classes or 1000, preprocessing, is_exact)
        yield (-similarity, size_gap, rank, len(name), name), neighbor


def _hash_all(shapes: Mapping[str, Shape]) -> tuple[dict[str, Shape], dict[str, int]]:
    """Return the shapes that tell a model, and their hashes."""
    kept = {name: shape for name, shape in shapes.items() if not is_ignored(name)}
    hashes = {name: _hash(name, shape) for name, shape in kept.items()}
    return kept, hashes


def _hash(name: str, shape: Iterable[int]) -> int:
    """Hash a name and a shape to 64 bits."""
    # Keys from a file may have surrogates, which UTF-8 cannot encode.
    text = f"{name} {' '.join(map(str, shape))}"
    return int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=8).digest(), "little")


def _count_classes(shapes: Mapping[str, Shape], classifier_keys: ClassifierKeys) -> int:
    """Return the classes of the last layer; 0 if it is missing or its weights disagree."""
    counts: set[int] = set()
    for name, axis in classifier_keys:
        shape = shapes.get(name)
        # A file may have a weight of any shape under this name.
        if shape is None or axis >= len(shape):
            return 0
        counts.add(shape[axis])
    return counts.pop() if len(counts) == 1 else 0


def _make_fingerprint(
    shapes: Mapping[str, Shape], hashes: Mapping[str, int], classifier_keys: ClassifierKeys
) -> Fingerprint:
    """Compute a fingerprint from the hashes of all weights but those of the last layer."""
    classifier = {name: drop_axis(shapes[name], axis) for name, axis in classifier_keys}
    changed = {name: _hash(name, shape) for name, shape in classifier.items()}
    all_hashes = {**hashes, **changed}
    values = np.fromiter(all_hashes.values(), np.uint64, len(all_hashes))
    numel = sum(math.prod(shape) for name, shape in shapes.items() if name not in classifier)
    # A sum does not depend on the order of the weights.
    hash_sum = sum(all_hashes.values()) % 2**64
    return Fingerprint(hash_sum, make_sketch(values), len(all_hashes), numel)


def _ratio(one: int, other: int) -> float:
    """Return the smaller number divided by the larger one; 0 if both are 0."""
    return min(one, other) / max(one, other, 1)
