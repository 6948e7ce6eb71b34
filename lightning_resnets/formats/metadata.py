"""Which plain values beside the weights are worth knowing; a tangle of them is left out."""

from itertools import islice
from typing import Any

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.budget import VisitBudget
from lightning_resnets.formats.pickle_globals import GlobalName, OpaqueObject
from lightning_resnets.formats.state_dict import EMA_KEYS, as_tensor_view
from lightning_resnets.formats.tensors import TensorView

MAX_DEPTH = 6  # tables within tables


MAX_VALUES = 1000  # all together


MAX_VALUES_PER_ENTRY = 300


MAX_VISITS = 50_000  # entries looked at, all together, whatever is kept of them


MAX_VISITS_PER_ENTRY = 5000


MAX_SCALARS = 20


MAX_TEXT = 1000


NAMESPACE = GlobalName("argparse", "Namespace")


def extract_metadata(value: Any, wrapper: str) -> dict[str, Any]:
    """What JSON can hold of the values beside the weights, as long as it is little: `arch`, `epoch`, `args`."""
    if not isinstance(value, dict) or not wrapper:
        return {}
    kept, left, looks = dict[str, Any](), MAX_VALUES, MAX_VISITS
    for name, item in islice(value.items(), MAX_VALUES):
        if (
            isinstance(name, str)
            and name not in (wrapper.split(".")[0], "card", *EMA_KEYS)
            and len(name) < 100
        ):
            plain, cost, looked = _looked_at(
                item, min(left, MAX_VALUES_PER_ENTRY), min(looks, MAX_VISITS_PER_ENTRY)
            )
            looks -= looked
            if plain is not None:
                kept[name], left = plain, left - cost
    return kept


def _looked_at(item: Any, most: int, looks: int) -> tuple[Any, int, int]:
    """The value in JSON types, how many values it took and how many entries were looked at; None for a tangle."""
    work = VisitBudget(looks)
    try:
        plain, cost = _plain(item, most, MAX_DEPTH, work)
    except UnsupportedFileError:
        return None, 0, looks
    return plain, cost, looks - work.left


def extract_scalars(value: Any, wrapper: str) -> dict[str, TensorView]:
    """Tensors of one number beside the weights, not yet read: `best_acc1`."""
    if not isinstance(value, dict) or not wrapper:
        return {}
    named = (
        (name, as_tensor_view(item))
        for name, item in islice(value.items(), MAX_VALUES)
        if isinstance(name, str)
    )
    single = ((name, item) for name, item in named if item and item.numel == 1 and len(name) < 100)
    return dict(
        islice(((name, item) for name, item in single if not item.dtype.is_complex), MAX_SCALARS)
    )


def _plain(item: Any, most: int, depth: int, work: VisitBudget) -> tuple[Any, int]:
    """The value in JSON types and how many values it took; None where it is no such value or too large."""
    work.charge()
    if type(item) in (bool, float) or (type(item) is int and abs(item) < 2**63):
        return item, 1
    if type(item) is str and len(item) <= MAX_TEXT:
        return item, 1
    if isinstance(item, GlobalName) and item.module == "torch":
        return str(item), 1
    if isinstance(item, OpaqueObject) and item.name == NAMESPACE:
        item = item.state
    if not isinstance(item, (dict, list, tuple)) or not depth or len(item) > most:
        return None, 0
    return (
        _entries(item, most, depth, work)
        if isinstance(item, dict)
        else _items(item, most, depth, work)
    )


def _entries(
    table: dict[Any, Any], most: int, depth: int, work: VisitBudget
) -> tuple[dict[str, Any] | None, int]:
    """What is plain of a table; the rest is left out."""
    kept, spent = dict[str, Any](), 1
    for name, item in table.items():
        plain, cost = _plain(item, most - spent, depth - 1, work)
        if isinstance(name, str) and len(name) < 100 and (plain is not None or item is None):
            kept[name], spent = plain, spent + max(cost, 1)
    return (kept, spent) if kept and spent <= most else (None, 0)


def _items(items: Any, most: int, depth: int, work: VisitBudget) -> tuple[list[Any] | None, int]:
    """A list, only as a whole."""
    kept, spent = list[Any](), 1
    for item in items:
        plain, cost = _plain(item, most - spent, depth - 1, work)
        if plain is None and item is not None:
            return None, 0
        kept.append(plain)
        spent += max(cost, 1)
    return (kept, spent) if spent <= most else (None, 0)
