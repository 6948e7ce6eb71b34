"""Which of the things in a file are the weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.budget import VisitBudget
from lightning_resnets.formats.pickle_globals import NumpyArray, OpaqueObject
from lightning_resnets.formats.source import CORRUPT, TOO_COMPLEX
from lightning_resnets.formats.tensors import NOT_A_TENSOR, TensorView, printable_key

STATE_DICT_KEYS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "module",
)


EMA_KEYS = (
    "ema",
    "model_ema",
    "state_dict_ema",
    "ema_state_dict",
    "params_ema",
)  # moving averages of the weights


MAX_WRAPPERS = 3  # wrappers within wrappers


MAX_KEYS = 50_000


MAX_MODELS = 1000  # names looked at for tables of weights


MAX_MODULE_DEPTH = 100  # modules within modules


MODULE_COST = 5  # looks that a module takes besides its entries


MAX_KEY_LENGTH = 500


@dataclass(frozen=True, slots=True)
class StateDictChoice:
    """The weights, not yet read, where they were found, and sentences about what was left."""

    views: dict[str, TensorView]
    wrapper: str
    module: str  # the class of a whole pickled model, or ""
    notes: tuple[str, ...]


def find_state_dict(value: Any) -> StateDictChoice:
    """The model's weights among everything that a file holds; raises Refused where there are none."""
    work = VisitBudget()
    found = _found(value, MAX_WRAPPERS, work)
    if found is None:
        raise UnsupportedFileError(
            "holds no weights: save the model's state_dict() with torch.save, or its whole checkpoint."
        )
    path, item = found
    table = _walked(item, work) if isinstance(item, OpaqueObject) else item
    views, others = dict[str, TensorView](), list[Any]()
    if len(table) > MAX_KEYS:
        raise UnsupportedFileError(TOO_COMPLEX)
    for name, entry in work.iterate(table.items()):
        plain = as_tensor_view(entry)
        if plain is not None and isinstance(name, str) and len(name) <= MAX_KEY_LENGTH:
            views[name] = plain
        elif isinstance(entry, OpaqueObject) and entry.name.name.startswith("_rebuild"):
            raise UnsupportedFileError(f"holds '{printable_key(name)}', {NOT_A_TENSOR}")
        elif entry is not None:
            others.append(name)
    module = str(item.name) if isinstance(item, OpaqueObject) else ""
    notes = (*_averages(value, path, work), *_left_out(others), *_other_models(value, path, work))
    return StateDictChoice(views, ".".join(path), module, notes)


def _found(value: Any, depth: int, work: VisitBudget) -> tuple[tuple[str, ...], Any] | None:
    """The way to the weights: known wrappers first, then the table itself, then the largest table within."""
    work.charge()
    if _module(value):
        return (), value
    if not isinstance(value, dict):
        return None
    for name in (*STATE_DICT_KEYS, *EMA_KEYS) if depth else ():
        if name in value and (inner := _found(value[name], depth - 1, work)):
            return (name, *inner[0]), inner[1]
    if _holds_tensors(value, work):
        return (), value
    models = dict(_models(value, work)) if depth else {}
    return max(models.values(), key=lambda found: _size(found[1], work), default=None)


def _holds_tensors(table: dict[Any, Any], work: VisitBudget) -> bool:
    return any(as_tensor_view(item) is not None for item in work.iterate(table.values()))


def _models(
    value: dict[Any, Any], work: VisitBudget
) -> Iterator[tuple[str, tuple[tuple[str, ...], Any]]]:
    """Tables with tensors directly in them, and whole models, under names that we do not know."""
    for name, item in work.iterate(islice(value.items(), MAX_MODELS)):
        if isinstance(name, str) and (
            _module(item) or (isinstance(item, dict) and _holds_tensors(item, work))
        ):
            yield name, ((printable_key(name),), item)


def _size(item: Any, work: VisitBudget) -> int:
    return len(_walked(item, work) if isinstance(item, OpaqueObject) else item)


def as_tensor_view(item: Any) -> TensorView | None:
    """The tensor, not yet read, that an entry is."""
    return (
        item
        if isinstance(item, TensorView)
        else item.as_view()
        if isinstance(item, NumpyArray)
        else None
    )


def _module(value: Any) -> bool:
    state = value.state if isinstance(value, OpaqueObject) else None
    return isinstance(state, dict) and all(
        isinstance(state.get(name), dict) for name in ("_parameters", "_buffers", "_modules")
    )


def _walked(model: OpaqueObject, work: VisitBudget) -> dict[str, Any]:
    """The state dict of a pickled nn.Module, as torch.nn.Module.state_dict() orders it; its code is never looked at."""
    table = dict[str, Any]()
    _walk(model, "", 0, table, work)
    return table


def _walk(
    module: OpaqueObject, prefix: str, depth: int, table: dict[str, Any], work: VisitBudget
) -> None:
    """Add what a module and those within it hold, one after another: nothing waits, however wide the model is."""
    if depth > MAX_MODULE_DEPTH or len(prefix) > MAX_KEY_LENGTH or len(table) > MAX_KEYS:
        raise UnsupportedFileError(TOO_COMPLEX)
    work.charge(MODULE_COST)
    state: Any = module.state
    for group, skipped in (("_parameters", ()), ("_buffers", _passing(state, work))):
        for name, item in work.iterate(state[group].items()):
            if item is not None and name not in skipped:
                table[f"{prefix}{_part(name)}"] = item
    for name, item in work.iterate(state["_modules"].items()):
        if _module(item):
            _walk(item, f"{prefix}{_part(name)}.", depth + 1, table, work)


def _passing(state: dict[Any, Any], work: VisitBudget) -> set[str]:
    """The names of buffers that a state dict leaves out."""
    names = state.get("_non_persistent_buffers_set", ())
    held = work.iterate(names) if isinstance(names, (set, list, dict)) else ()
    return {name for name in held if isinstance(name, str)}


def _part(name: Any) -> str:
    if not isinstance(name, str) or len(name) > MAX_KEY_LENGTH:
        raise UnsupportedFileError(CORRUPT)
    return name


def _averages(value: Any, path: tuple[str, ...], work: VisitBudget) -> Iterator[str]:
    tables = [value] if isinstance(value, dict) and path and path[0] not in EMA_KEYS else []
    for name in EMA_KEYS if tables else ():
        if _found(tables[0].get(name), 1, work):
            yield f"The file also holds a moving average of the weights ('{name}'); the weights themselves were taken."


def _other_models(value: Any, path: tuple[str, ...], work: VisitBudget) -> Iterator[str]:
    if isinstance(value, dict) and path and path[0] not in (*STATE_DICT_KEYS, *EMA_KEYS):
        names = [name for name, _ in _models(value, work) if printable_key(name) != path[0]]
        if names:
            yield f"The file holds several tables of weights; '{path[0]}' was taken, '{printable_key(names[0])}' was not."


def _left_out(others: list[Any]) -> Iterator[str]:
    if others:
        yield f"Among the weights are entries that are no tensors ('{printable_key(others[0])}'); {len(others)} were left out."
