"""Find the weights among everything that a file contains."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.budget import Budget
from lightning_resnets.formats.module_settings import ModuleSettings, read_module_settings
from lightning_resnets.formats.pickled_objects import NumpyArray, OpaqueObject
from lightning_resnets.formats.source import CORRUPT, TOO_COMPLEX
from lightning_resnets.formats.tensors import NOT_A_TENSOR, TensorView
from lightning_resnets.utils.format import printable_key

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
# Exponential moving averages of the weights.
EMA_KEYS = ("ema", "model_ema", "state_dict_ema", "ema_state_dict", "params_ema")

CONV_DIMS = 4
MAX_WRAPPERS = 3  # dictionaries around the weights
MAX_KEYS = 50_000
MAX_MODELS = 1000  # unknown names searched for weights
MAX_MODULE_DEPTH = 100  # modules within modules
MODULE_COST = 5  # visits that a module takes besides its entries
MAX_KEY_LENGTH = 500

NO_WEIGHTS = (
    "contains no weights. Save the model's state_dict() with torch.save, or its whole checkpoint."
)

# A path of names and the table or pickled module found there.
Found = tuple[tuple[str, ...], Any]


@dataclass(frozen=True, slots=True)
class StateDictChoice:
    """The chosen weights, not yet read.

    Attributes:
        views: tensors by name.
        wrapper: where they were found, names joined by dots, or "".
        module: class of a whole pickled model, or "".
        notes: sentences on what was not chosen.
        others: names of other tables that hold convolutions, such as `ema` or `student`.
        settings: strides, pools and so on of a whole pickled model, by the module's path.
    """

    views: dict[str, TensorView]
    wrapper: str
    module: str
    notes: tuple[str, ...]
    others: tuple[str, ...] = ()
    settings: dict[str, ModuleSettings] = field(default_factory=dict[str, ModuleSettings])


def find_state_dict(value: Any, budget: Budget, select: str = "") -> StateDictChoice:
    """Find the model's weights.

    Args:
        value: everything in the file.
        budget: charged for every entry that is visited.
        select: name of the entry that holds the weights, if the user gives one.

    Returns:
        The weights; the selected entry wins over a known wrapper, which wins over the table itself,
        which wins over the largest table under an unknown name.

    Raises:
        UnsupportedFileError: there are no weights, or the file is too complex.
    """
    found = _find_selected(value, select, budget) or _find(value, MAX_WRAPPERS, budget)
    if found is None:
        raise UnsupportedFileError(NO_WEIGHTS)
    path, item = found
    views, entries = _split_tensors(_table_of(item, budget), budget)
    notes = [*_ema_notes(value, path, budget), *_non_tensor_notes(entries)]
    others = _other_models(value, path, budget)
    notes += _other_model_notes(path, others)
    settings: dict[str, ModuleSettings] = {}
    module = ""
    if isinstance(item, OpaqueObject):
        settings = read_module_settings(item, budget)
        module = str(item.name)
    return StateDictChoice(views, ".".join(path), module, tuple(notes), others, settings)


def _find_selected(value: Any, select: str, budget: Budget) -> Found | None:
    """Return the weights in the entry that the user names; None if there is no such entry."""
    if not select or not isinstance(value, dict):
        return None
    for name in budget.iterate(islice(value, MAX_MODELS)):
        # A name may go on with a prefix of the keys inside.
        if isinstance(name, str) and (select == name or select.startswith(f"{name}.")):
            inner = _find(value[name], MAX_WRAPPERS - 1, budget)
            if inner is not None:
                path, item = inner
                return (printable_key(name), *path), item
    return None


def _other_models(value: Any, path: tuple[str, ...], budget: Budget) -> tuple[str, ...]:
    """Return the names of entries that hold weights of convolutions and were not chosen."""
    if not isinstance(value, dict) or not path:
        return ()
    names = list[str]()
    for name, item in budget.iterate(islice(value.items(), MAX_MODELS)):
        if not isinstance(name, str) or printable_key(name) == path[0]:
            continue
        if _is_module(item) or (isinstance(item, dict) and _has_convolutions(item, budget)):
            names.append(printable_key(name))
    return tuple(names)


def _has_convolutions(table: dict[Any, Any], budget: Budget) -> bool:
    """Return True if a table has tensors of four dimensions directly in it."""
    for item in budget.iterate(table.values()):
        view = as_tensor_view(item)
        if view is not None and len(view.size) == CONV_DIMS:
            return True
    return False


def _split_tensors(
    table: dict[Any, Any], budget: Budget
) -> tuple[dict[str, TensorView], list[Any]]:
    """Return the tensors of a table and the names of its other entries."""
    if len(table) > MAX_KEYS:
        raise UnsupportedFileError(TOO_COMPLEX)
    views = dict[str, TensorView]()
    others = list[Any]()
    for name, entry in budget.iterate(table.items()):
        view = as_tensor_view(entry)
        if view is not None and isinstance(name, str) and len(name) <= MAX_KEY_LENGTH:
            views[name] = view
        elif isinstance(entry, OpaqueObject) and entry.name.name.startswith("_rebuild"):
            # A sparse or quantized tensor: leaving it out would hide a missing weight.
            raise UnsupportedFileError(f"contains '{printable_key(name)}', {NOT_A_TENSOR}")
        elif entry is not None:
            others.append(name)
    return views, others


def _find(value: Any, depth: int, budget: Budget) -> Found | None:
    """Return the path to the weights and their table: wrappers first, then the table itself."""
    budget.visit()
    if _is_module(value):
        return (), value
    if not isinstance(value, dict):
        return None
    # A wrapper may lie inside another one, as in `model.state_dict`.
    for name in (*STATE_DICT_KEYS, *EMA_KEYS) if depth else ():
        if name not in value:
            continue
        inner = _find(value[name], depth - 1, budget)
        if inner is not None:
            path, item = inner
            return (name, *path), item
    if _has_tensors(value, budget):
        return (), value
    models = dict(_find_models(value, budget)) if depth else {}
    # Of a student and its teacher, the teacher is the model that is published.
    return max(
        models.values(),
        key=lambda found: (_size(found[1], budget), found[0][0] == "teacher"),
        default=None,
    )


def _has_tensors(table: dict[Any, Any], budget: Budget) -> bool:
    """Return True if a table has tensors directly in it."""
    return any(as_tensor_view(item) is not None for item in budget.iterate(table.values()))


def _find_models(value: dict[Any, Any], budget: Budget) -> Iterator[tuple[str, Found]]:
    """Yield tables with tensors directly in them, and whole models, under unknown names."""
    for name, item in budget.iterate(islice(value.items(), MAX_MODELS)):
        if not isinstance(name, str):
            continue
        if _is_module(item) or (isinstance(item, dict) and _has_tensors(item, budget)):
            yield name, ((printable_key(name),), item)


def _size(item: Any, budget: Budget) -> int:
    """Return the number of entries of a table or a pickled module."""
    return len(_table_of(item, budget))


def as_tensor_view(item: Any) -> TensorView | None:
    """Return an entry as a tensor view.

    Args:
        item: any value of a pickle.

    Returns:
        The view, not yet read, or None if the entry is not a tensor or array.
    """
    if isinstance(item, NumpyArray):
        return item.as_view()
    return item if isinstance(item, TensorView) else None


def _is_module(value: Any) -> bool:
    """Return True for a pickled nn.Module."""
    state = value.state if isinstance(value, OpaqueObject) else None
    if not isinstance(state, dict):
        return False
    # Every nn.Module has these, whatever its class.
    names = ("_parameters", "_buffers", "_modules")
    return all(isinstance(state.get(name), dict) for name in names)


def _table_of(item: Any, budget: Budget) -> dict[Any, Any]:
    """Return the weights of a table or a pickled module by name."""
    # A pickled nn.Module holds its weights in nested dictionaries.
    if isinstance(item, OpaqueObject):
        return _module_state_dict(item, budget)
    return item


def _module_state_dict(model: OpaqueObject, budget: Budget) -> dict[str, Any]:
    """Return the entries of nn.Module.state_dict() of a pickled module, in the same order."""
    table = dict[str, Any]()
    _collect(model, "", 0, table, budget)
    return table


def _collect(
    module: OpaqueObject, prefix: str, depth: int, table: dict[str, Any], budget: Budget
) -> None:
    """Add the weights of a module and its children to the table, depth first.

    Recursion keeps no queue of children, so a wide model takes no memory.
    """
    if depth > MAX_MODULE_DEPTH or len(prefix) > MAX_KEY_LENGTH or len(table) > MAX_KEYS:
        raise UnsupportedFileError(TOO_COMPLEX)
    budget.visit(MODULE_COST)
    state: Any = module.state
    for group, skipped in (("_parameters", ()), ("_buffers", _non_persistent(state, budget))):
        for name, item in budget.iterate(state[group].items()):
            if item is not None and name not in skipped:
                table[f"{prefix}{_check_part(name)}"] = item
    for name, item in budget.iterate(state["_modules"].items()):
        if _is_module(item):
            _collect(item, f"{prefix}{_check_part(name)}.", depth + 1, table, budget)


def _non_persistent(state: dict[Any, Any], budget: Budget) -> set[str]:
    """Return the names of buffers that a state dict leaves out."""
    names = state.get("_non_persistent_buffers_set", ())
    if not isinstance(names, (set, list, dict)):
        return set()
    return {name for name in budget.iterate(names) if isinstance(name, str)}


def _check_part(name: Any) -> str:
    """Return one part of a weight's name; raise if it is not a short text."""
    if not isinstance(name, str) or len(name) > MAX_KEY_LENGTH:
        raise UnsupportedFileError(CORRUPT)
    return name


def _ema_notes(value: Any, path: tuple[str, ...], budget: Budget) -> Iterator[str]:
    """Yield a note for each moving average that was not chosen."""
    if not isinstance(value, dict) or not path or path[0] in EMA_KEYS:
        return
    for name in EMA_KEYS:
        if _find(value.get(name), 1, budget):
            yield (
                f"The file also contains a moving average of the weights ('{name}'). The weights "
                f"themselves were loaded; --select {name} chooses the average."
            )


def _other_model_notes(path: tuple[str, ...], others: tuple[str, ...]) -> Iterator[str]:
    """Yield a note if several unknown names hold weights."""
    if not others or path[0] in (*STATE_DICT_KEYS, *EMA_KEYS):
        return
    yield (
        f"The file contains several models. '{path[0]}' was loaded, '{others[0]}' was ignored: "
        f"choose one with --select {others[0]}."
    )


def _non_tensor_notes(others: list[Any]) -> Iterator[str]:
    """Yield a note if there are entries among the weights that are not tensors."""
    if others:
        yield (
            f"Among the weights are entries that are not tensors ('{printable_key(others[0])}'). "
            f"{len(others):,} were ignored."
        )
