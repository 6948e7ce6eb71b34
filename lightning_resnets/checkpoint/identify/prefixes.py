"""Remove what training code adds to a model's keys: prefixes, and weights of metrics and losses."""

import re
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from lightning_resnets.errors import CheckpointError

PREFIXES = ("module.", "model.", "net.", "_orig_mod.", "backbone.", "encoder.")

# Metrics and losses of a LightningModule, and the counter of torch's AveragedModel.
IGNORED_KEYS = re.compile(
    r"(?:n_averaged|(?:\w+_)?(?:metrics?|acc(?:uracy)?|criterion|loss|loss_fn)(?:\.\w+)*"
    r"|current_model_state\b.*)"
)


def common_prefix(names: Iterable[str]) -> str:
    """Return the known prefixes that all keys share.

    Args:
        names: keys; ignored ones do not count.

    Returns:
        PREFIXES in any order and number, joined; "" if there is none.
    """
    rest = _without_ignored(names)
    prefix = ""
    while rest:
        first = next((item for item in PREFIXES if rest[0].startswith(item)), "")
        if not first or not all(name.startswith(first) for name in rest):
            break
        prefix += first
        # A key may be recognized as ignored only without its prefix.
        rest = _without_ignored(name.removeprefix(first) for name in rest)
    return prefix


def _without_ignored(names: Iterable[str]) -> list[str]:
    """Return the keys that do not belong to metrics or losses."""
    return [name for name in names if not IGNORED_KEYS.fullmatch(name)]


def rename_keys(weights: Mapping[str, Tensor], rename: Callable[[str], str]) -> dict[str, Tensor]:
    """Rename weights.

    Args:
        weights: tensors by name.
        rename: returns the new name.

    Returns:
        Tensors by new name.

    Raises:
        CheckpointError: two different weights would get one name.
    """
    renamed = dict[str, Tensor]()
    old_names = dict[str, str]()
    for old, weight in weights.items():
        new = rename(old)
        if new in renamed and not _are_equal(renamed[new], weight):
            raise CheckpointError(
                f"Two different weights, '{old_names[new]}' and '{old}', would both be '{new}'. "
                "Remove the wrong one from the file."
            )
        # Equal weights under two names, as DataParallel may leave them, are one.
        renamed.setdefault(new, weight)
        old_names.setdefault(new, old)
    return renamed


def _are_equal(one: Tensor, other: Tensor) -> bool:
    """Return True for tensors of equal shape, dtype and values."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return one is other or torch.equal(one, other)
