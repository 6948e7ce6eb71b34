"""Estimate how the gradient is distributed over path lengths, from samples of some lengths."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import nan, sqrt
from statistics import fmean, stdev

Samples = Mapping[int, Sequence[float]]  # gradient norms of the draws, by path length


def interpolate_norms(means: Mapping[int, float], num_lengths: int) -> tuple[float, ...]:
    """Interpolate mean gradient norms between the measured path lengths.

    Norms change exponentially with the length, so their logarithm is interpolated; where one of
    two neighbors is 0 the norm itself.

    Args:
        means: mean norm by measured length.
        num_lengths: number of lengths, from 0.

    Returns:
        One norm per length; () unless the first and the last length are measured.
    """
    if not {0, num_lengths - 1} <= means.keys():
        return ()
    norms: dict[int, float] = dict(means)
    for low, high in pairwise(sorted(means)):
        for k in range(low + 1, high):
            norms[k] = _interpolate(means[low], means[high], (k - low) / (high - low))
    return tuple(norms[k] for k in range(num_lengths))


def _interpolate(low: float, high: float, fraction: float) -> float:
    """Interpolate the logarithm of two norms, or the norms if one is 0."""
    if min(low, high) > 0:
        return low ** (1 - fraction) * high**fraction
    return (1 - fraction) * low + fraction * high


def gradient_shares(counts: Sequence[int], samples: Samples) -> tuple[float, ...]:
    """Estimate the share of the gradient that the paths of each length carry.

    Args:
        counts: number of paths by length.
        samples: gradient norms by measured length.

    Returns:
        Number of paths times their mean norm, as a fraction of the sum over all lengths; () unless
        the first and the last length are measured.
    """
    return _shares(counts, {k: fmean(norms) for k, norms in samples.items()})


def _shares(counts: Sequence[int], means: Mapping[int, float]) -> tuple[float, ...]:
    """Return the shares for given mean norms."""
    norms = interpolate_norms(means, len(counts))
    # There are no norms where they cannot be interpolated.
    parts = [count * norm for count, norm in zip(counts, norms, strict=False)]
    total = sum(parts)
    # The gradient may be 0 along every path.
    return tuple(part / total if total else 0.0 for part in parts)


def share_errors(counts: Sequence[int], samples: Samples) -> tuple[float, ...]:
    """Estimate the standard error of each share, from the spread of the draws.

    The error of each measured mean is propagated to all shares, because they have one sum.

    Args:
        counts: number of paths by length.
        samples: gradient norms by measured length.

    Returns:
        One standard error per length, () where `gradient_shares` returns ().
    """
    means = {k: fmean(norms) for k, norms in samples.items()}
    shares = _shares(counts, means)
    variances = [0.0] * len(shares)
    for k, norms in samples.items():
        # One mean moved by its error: the change of every share is that share's error from it.
        shifted = _shares(counts, {**means, k: means[k] + standard_error(norms, counts[k])})
        for i, (one, other) in enumerate(zip(shifted, shares, strict=True)):
            variances[i] += (one - other) ** 2
    return tuple(sqrt(variance) for variance in variances)


def standard_error(norms: Sequence[float], count: int) -> float:
    """Return the standard error of a mean over draws.

    Args:
        norms: norms of the draws.
        count: number of all paths; with as many draws the mean is exact.

    Returns:
        The error; 0 if the mean is exact, NaN if there is only one draw.
    """
    # All paths were measured, so nothing was left to chance.
    if len(norms) >= count:
        return 0.0
    if len(norms) < 2:
        return nan
    return stdev(norms) / sqrt(len(norms))
