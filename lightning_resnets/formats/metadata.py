"""Extract plain values beside the weights (`arch`, `epoch`, `args`), except large or deep ones.

Two budgets bound the work: kept values, and entries visited whether kept or not.
"""

from itertools import islice
from typing import Any

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.budget import Budget
from lightning_resnets.formats.pickled_objects import GlobalName, OpaqueObject
from lightning_resnets.formats.state_dict import EMA_KEYS, as_tensor_view
from lightning_resnets.formats.tensors import TensorView

MAX_DEPTH = 6  # containers within containers
MAX_VALUES = 1000  # in total
MAX_VALUES_PER_ENTRY = 300
MAX_VISITS = 50_000  # in total
MAX_VISITS_PER_ENTRY = 5000
MAX_SCALARS = 20
MAX_TEXT = 1000  # characters of a value
MAX_NAME = 100  # characters of a name, exclusive

NAMESPACE = GlobalName("argparse", "Namespace")


def extract_metadata(value: Any, wrapper: str) -> dict[str, Any]:
    """Return the values beside the weights that JSON can represent.

    Args:
        value: everything in the file.
        wrapper: where the weights are (`state_dict`); "" if they are the file itself.

    Returns:
        Values in JSON types by name; large or deep ones are left out.
    """
    if not isinstance(value, dict) or not wrapper:
        return {}
    # The weights and the card are read elsewhere.
    skipped = (wrapper.split(".")[0], "card", *EMA_KEYS)
    first = islice(value.items(), MAX_VALUES)
    return _keep_plain({name: item for name, item in first if name not in skipped})


def _keep_plain(entries: dict[Any, Any]) -> dict[str, Any]:
    """Return the entries in JSON types, as many as the two budgets allow."""
    metadata = dict[str, Any]()
    values_left = MAX_VALUES
    visits_left = MAX_VISITS
    for name, item in entries.items():
        if not _is_name(name):
            continue
        # One entry may not use up what the others need.
        limit = min(visits_left, MAX_VISITS_PER_ENTRY)
        budget = Budget(visits=limit)
        plain, cost = _try_plain(item, min(values_left, MAX_VALUES_PER_ENTRY), budget)
        # A budget that ran out is below zero.
        visits_left -= limit - max(budget.visits, 0)
        if plain is not None:
            metadata[name] = plain
            values_left -= cost
    return metadata


def _is_name(name: Any) -> bool:
    """Return True for a short text."""
    return isinstance(name, str) and len(name) < MAX_NAME


def _try_plain(item: Any, max_values: int, budget: Budget) -> tuple[Any, int]:
    """Return the value in JSON types and its size; (None, 0) if it is too complex."""
    try:
        return _to_plain(item, max_values, MAX_DEPTH, budget)
    except UnsupportedFileError:
        return None, 0


def extract_scalars(value: Any, wrapper: str) -> dict[str, TensorView]:
    """Return tensors of one number beside the weights, such as `best_acc1`.

    Args:
        value: everything in the file.
        wrapper: where the weights are; "" if they are the file itself.

    Returns:
        Views of real numbers by name, not yet read.
    """
    if not isinstance(value, dict) or not wrapper:
        return {}
    scalars = dict[str, TensorView]()
    for name, item in islice(value.items(), MAX_VALUES):
        view = as_tensor_view(item) if _is_name(name) else None
        if view is not None and view.numel == 1 and not view.dtype.is_complex:
            scalars[name] = view
        if len(scalars) == MAX_SCALARS:
            break
    return scalars


def _to_plain(item: Any, max_values: int, depth: int, budget: Budget) -> tuple[Any, int]:
    """Return the value in JSON types and its number of values; (None, 0) if it has none."""
    budget.visit()
    if _is_plain_scalar(item):
        return item, 1
    if isinstance(item, GlobalName) and item.module == "torch":  # a dtype
        return str(item), 1
    if isinstance(item, OpaqueObject) and item.name == NAMESPACE:
        item = item.state
    if not isinstance(item, (dict, list, tuple)) or not depth or len(item) > max_values:
        return None, 0
    if isinstance(item, dict):
        return _to_plain_dict(item, max_values, depth, budget)
    return _to_plain_list(item, max_values, depth, budget)


def _is_plain_scalar(item: Any) -> bool:
    """Return True for a number or a short text that JSON can represent."""
    if type(item) is int:
        return abs(item) < 2**63
    if type(item) is str:
        return len(item) <= MAX_TEXT
    return type(item) in (bool, float)


def _to_plain_dict(
    table: dict[Any, Any], max_values: int, depth: int, budget: Budget
) -> tuple[dict[str, Any] | None, int]:
    """Return the plain entries of a dictionary; the others are left out."""
    plain_dict = dict[str, Any]()
    used = 1
    for name, item in table.items():
        plain, cost = _to_plain(item, max_values - used, depth - 1, budget)
        if _is_name(name) and (plain is not None or item is None):
            plain_dict[name] = plain
            used += max(cost, 1)
    if not plain_dict or used > max_values:
        return None, 0
    return plain_dict, used


def _to_plain_list(
    items: Any, max_values: int, depth: int, budget: Budget
) -> tuple[list[Any] | None, int]:
    """Return a list if every item is plain."""
    plain_list = list[Any]()
    used = 1
    for item in items:
        plain, cost = _to_plain(item, max_values - used, depth - 1, budget)
        if plain is None and item is not None:
            return None, 0
        plain_list.append(plain)
        used += max(cost, 1)
    if used > max_values:
        return None, 0
    return plain_list, used
