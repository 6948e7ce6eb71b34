"""Sketches of sets of hashes, which estimate how much two sets have in common.

One-permutation min-hashing (Li, Owen, Zhang, NIPS 2012) with one byte per bin (Li, König, WWW
2010): the fraction of equal bytes of two sketches estimates the similarity of the sets.
"""

import numpy as np
from numpy.typing import NDArray

SKETCH_BYTES = 128


def make_sketch(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the last byte of the smallest hash in each bin, 1 to 255; 0 for an empty bin.

    Args:
        values: hashes, uint64 (N,).

    Returns:
        uint8 (SKETCH_BYTES,).
    """
    empty = 2**64 - 1
    smallest = np.full(SKETCH_BYTES, empty, np.uint64)
    # The upper seven bits of a hash choose its bin.
    np.minimum.at(smallest, (values >> np.uint64(57)).astype(np.intp), values)
    return np.where(smallest == empty, 0, 1 + smallest % np.uint64(255)).astype(np.uint8)


def compare_sketches(rows: NDArray[np.uint8], sketch: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Estimate the similarity of each row: the fraction of equal bytes among filled bins.

    Args:
        rows: sketches, uint8 (N, SKETCH_BYTES).
        sketch: one sketch, uint8 (SKETCH_BYTES,).

    Returns:
        Similarities, float64 (N,).
    """
    filled = (rows != 0) | (sketch != 0)
    return ((rows == sketch) & filled).sum(1) / np.maximum(filled.sum(1), 1)
