"""What training code puts in front of a net's names, and what it leaves beside its weights."""

import re
from collections.abc import Iterable

PREFIXES = ("module.", "model.", "net.", "_orig_mod.", "backbone.", "encoder.")
# Metrics and losses that a LightningModule holds, the counter of torch's AveragedModel.
BALLAST = re.compile(
    r"(?:n_averaged|(?:\w+_)?(?:metrics?|acc(?:uracy)?|criterion|loss|loss_fn)(?:\.\w+)*|current_model_state\b.*)"
)
AUXILIARY = re.compile(r"(?:aux[12]|AuxLogits)\.")  # classifiers that only training needs


def prefix(names: Iterable[str]) -> str:
    """What all names begin with, ballast aside: prefixes of the list, in any order and as often as they come."""
    rest = [name for name in names if not BALLAST.fullmatch(name)]
    found = ""
    while rest and (first := next((item for item in PREFIXES if rest[0].startswith(item)), "")):
        if not all(name.startswith(first) for name in rest):
            break
        found += first
        rest = [name[len(first) :] for name in rest if not BALLAST.fullmatch(name[len(first) :])]
    return found
