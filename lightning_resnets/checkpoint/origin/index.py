"""Which nets of torchvision and timm have weights of these names and shapes: an index of fingerprints that ships.

`fingerprints` beside it makes it ahead of time; to look something up needs neither package. Every name and shape is
hashed to 64 bits. Their sum is the net's fingerprint. Its sketch is one-permutation min-hashing (Li, Owen, Zhang, NIPS
2012) with one byte a bin (Li, König, WWW 2010): the share of equal bytes of two sketches estimates the share of names
and shapes that two nets have in common. The classes of the last layer are left out of both.
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

from lightning_resnets.checkpoint.origin.finding import Input

FILE = Path(__file__).with_name("index.json.xz")
BINS = 128  # bytes of a sketch
LEAST = 0.3  # a share below this is no likeness
MOST = 20  # nets in one answer
ALMOST = 0.99  # the greatest share of nets that differ
BALLAST = ("aux1.", "aux2.", "AuxLogits.")  # classifiers beside the last: files have them, nets here do not

Shape = tuple[int, ...]
Head = tuple[tuple[str, int], ...]  # names of weights whose shape has the number of classes, and on which axis


@dataclass(frozen=True, slots=True)
class Near:
    """A net near to a file: `arch` for `zoo.build`, and `share`, how much of names and shapes the two have in common.

    The share is 1.0 where `same`, and an estimate below that otherwise. `classes` is how many the file has, 1000 where
    it has no last layer of that name. `input` is how the package's published weights want their pictures.
    """

    arch: str
    share: float
    classes: int
    input: Input
    same: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One set of names and shapes, and the nets that have it with their inputs, the likeliest first."""

    nets: tuple[tuple[str, Input], ...]
    head: Head
    mark: int
    weights: int
    numbers: int


@dataclass(frozen=True, slots=True)
class Index:
    """All entries, the sketch of each as a row, and the rows that have each head."""

    entries: tuple[Entry, ...]
    sketches: NDArray[np.uint8]
    heads: dict[Head, NDArray[np.intp]]
    made: dict[str, str]


@dataclass(frozen=True, slots=True)
class Print:
    """What names and shapes are reduced to: fingerprint, sketch, how many weights, how many numbers in them."""

    mark: int
    sketch: NDArray[np.uint8]
    weights: int
    numbers: int


def lookup(shapes: Mapping[str, Shape]) -> list[Near]:
    """Nets of torchvision and timm near to weights of these names and shapes, best first, 20 at most.

    Equal ones come before all others; where several nets are built alike, the likeliest first. Empty where no net
    shares 30 %. Batch norm's counters do not count, nor do auxiliary classifiers (`ballast`).
    """
    index, kept = load(), {name: shape for name, shape in shapes.items() if not ballast(name)}
    hashes = {name: _hash(name, shape) for name, shape in kept.items()}
    whole, found = _print(kept, hashes, ()), list[tuple[float, float, int, Near]]()
    for head, rows in index.heads.items():
        classes = _classes(kept, head)
        seen = _print(kept, hashes, head) if classes else whole
        for row, share in zip(rows, _shares(index.sketches[rows], seen.sketch), strict=True):
            entry = index.entries[row]
            same = bool(classes) and entry.mark == seen.mark and entry.weights == seen.weights
            share = 1.0 if same else min(float(share), ALMOST, _ratio(entry.weights, seen.weights))
            if share >= LEAST:
                gap = 1 - _ratio(entry.numbers, seen.numbers)
                near = (Near(name, share, classes or 1000, wants, same) for name, wants in entry.nets)
                found += [(-share, gap, place, item) for place, item in enumerate(near)]
    return [near for *_, near in sorted(found, key=lambda item: (item[:3], len(item[3].arch), item[3].arch))][:MOST]


def ballast(name: str) -> bool:
    """Whether a weight of this name is no part of the nets as they are built here, though files may have it."""
    return name.startswith(BALLAST) or name.endswith("num_batches_tracked")


def names() -> dict[str, Input]:
    """Every net that the index knows, as `torchvision/NAME` or `timm/NAME`, and how it wants its pictures."""
    return _names()


def reduce(shapes: Mapping[str, Shape], head: Head) -> Print:
    """The print of a net's names and shapes, the classes of its last layer left out."""
    kept = {name: shape for name, shape in shapes.items() if not ballast(name)}
    return _print(kept, {name: _hash(name, shape) for name, shape in kept.items()}, head)


@lru_cache(maxsize=1)
def load() -> Index:
    """The index that ships, unpacked."""
    data = json.loads(lzma.decompress(FILE.read_bytes()))
    inputs = [
        Input(size=tuple(size), mean=tuple(mean), std=tuple(std), crop=crop, resample=resample)
        for size, mean, std, crop, resample in data["inputs"]
    ]
    heads = [tuple((name, axis) for name, axis in head) for head in data["heads"]]
    entries = tuple(
        Entry(tuple((name, inputs[place]) for name, place in nets), heads[head], int(mark, 16), weights, numbers)
        for nets, head, mark, weights, numbers in data["entries"]
    )
    sketches = np.frombuffer(b64decode(data["sketches"]), np.uint8).reshape(len(entries), BINS)
    rows = {head: np.array([row for row, entry in enumerate(entries) if entry.head == head]) for head in heads}
    return Index(entries, sketches, rows, data["made"])


@lru_cache(maxsize=1)
def _names() -> dict[str, Input]:
    return dict(sorted(net for entry in load().entries for net in entry.nets))


def _hash(name: str, shape: Iterable[int]) -> int:
    text = f"{name} {' '.join(map(str, shape))}"
    return int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=8).digest(), "little")


def _classes(shapes: Mapping[str, Shape], head: Head) -> int:
    """How many classes the last layer has; 0 where there is none of this name, or its parts disagree."""
    counts = {shapes[name][axis] if axis < len(shapes[name]) else 0 for name, axis in head if name in shapes}
    whole = len(counts) == 1 and all(name in shapes for name, _ in head)
    return counts.pop() if whole else 0


def _print(shapes: Mapping[str, Shape], hashes: Mapping[str, int], head: Head) -> Print:
    open_ended = {name: without(shapes[name], axis) for name, axis in head}
    changed = {**hashes, **{name: _hash(name, shape) for name, shape in open_ended.items()}}
    values = np.fromiter(changed.values(), np.uint64, len(changed))
    numbers = sum(math.prod(shape) for name, shape in shapes.items() if name not in open_ended)
    return Print(sum(changed.values()) % 2**64, _sketch(values), len(changed), numbers)


def without(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], 0, *shape[axis + 1 :])


def _sketch(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The least hash of each bin, its last byte kept; 0 for a bin that is empty."""
    least = np.full(BINS, 2**64 - 1, np.uint64)
    np.minimum.at(least, (values >> np.uint64(57)).astype(np.intp), values)
    return np.where(least == 2**64 - 1, 0, 1 + least % np.uint64(255)).astype(np.uint8)


def _shares(rows: NDArray[np.uint8], sketch: NDArray[np.uint8]) -> NDArray[np.float64]:
    filled = (rows != 0) | (sketch != 0)
    return ((rows == sketch) & filled).sum(1) / np.maximum(filled.sum(1), 1)


def _ratio(one: int, other: int) -> float:
    return min(one, other) / max(one, other, 1)
