"""What training code puts in front of a model's names and leaves beside its weights; names that become one."""

import re
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from lightning_resnets.errors import CheckpointError

PREFIXES = ("module.", "model.", "net.", "_orig_mod.", "backbone.", "encoder.")


# Metrics and losses that a LightningModule holds, the counter of torch's AveragedModel.
IGNORED_KEYS = re.compile(
    r"(?:n_averaged|(?:\w+_)?(?:metrics?|acc(?:uracy)?|criterion|loss|loss_fn)(?:\.\w+)*|current_model_state\b.*)"
)


def common_prefix(names: Iterable[str]) -> str:
    """What all names begin with, ballast aside: prefixes of the list, in any order and as often as they come."""
    rest = [name for name in names if not IGNORED_KEYS.fullmatch(name)]
    found = ""
    while rest and (first := next((item for item in PREFIXES if rest[0].startswith(item)), "")):
        if not all(name.startswith(first) for name in rest):
            break
        found += first
        rest = [
            name[len(first) :] for name in rest if not IGNORED_KEYS.fullmatch(name[len(first) :])
        ]
    return found


def rename_keys(weights: Mapping[str, Tensor], name_of: Callable[[str], str]) -> dict[str, Tensor]:
    """Weights under new names; raises CheckpointError where two that differ would have one name."""
    found, first = dict[str, Tensor](), dict[str, str]()
    for old, weight in weights.items():
        new = name_of(old)
        if new in found and not _same(found[new], weight):
            raise CheckpointError(
                f"Two different weights, '{first[new]}' and '{old}', would both be '{new}', and nothing says which is "
                "the model's: take one of them out of the file."
            )
        found.setdefault(new, weight)
        first.setdefault(new, old)
    return found


def _same(one: Tensor, other: Tensor) -> bool:
    alike = one.shape == other.shape and one.dtype == other.dtype
    return alike and (one is other or torch.equal(one, other))
