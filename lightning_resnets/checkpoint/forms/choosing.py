"""Which of the things in a file are the weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lightning_resnets.checkpoint.forms.files import BROKEN, TANGLED, Refused
from lightning_resnets.checkpoint.forms.meaning import Array, Opaque
from lightning_resnets.checkpoint.forms.storages import NO_TENSOR, View, shown
from lightning_resnets.checkpoint.forms.work import Work

PLAIN = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "module")
AVERAGED = ("ema", "model_ema", "state_dict_ema", "ema_state_dict", "params_ema")  # moving averages of the weights
DEPTH = 3  # wrappers within wrappers
MOST_NAMES = 50_000
MOST_NETS = 1000  # names looked at for tables of weights
DEEPEST = 100  # modules within modules
MODULE = 5  # looks that a module takes besides its entries
LONGEST_NAME = 500


@dataclass(frozen=True, slots=True)
class Choice:
    """The weights, not yet read, where they were found, and sentences about what was left."""

    views: dict[str, View]
    wrapper: str
    module: str  # the class of a whole pickled net, or ""
    notes: tuple[str, ...]


def choose(value: Any) -> Choice:
    """The net's weights among everything that a file holds; raises Refused where there are none."""
    work = Work()
    found = _found(value, DEPTH, work)
    if found is None:
        raise Refused("holds no weights: save the net's state_dict() with torch.save, or its whole checkpoint.")
    path, item = found
    table = _walked(item, work) if isinstance(item, Opaque) else item
    views, others = dict[str, View](), list[Any]()
    if len(table) > MOST_NAMES:
        raise Refused(TANGLED)
    for name, entry in work.each(table.items()):
        plain = view_of(entry)
        if plain is not None and isinstance(name, str) and len(name) <= LONGEST_NAME:
            views[name] = plain
        elif isinstance(entry, Opaque) and entry.name.name.startswith("_rebuild"):
            raise Refused(f"holds '{shown(name)}', {NO_TENSOR}")
        elif entry is not None:
            others.append(name)
    module = str(item.name) if isinstance(item, Opaque) else ""
    notes = (*_averages(value, path, work), *_left_out(others), *_other_nets(value, path, work))
    return Choice(views, ".".join(path), module, notes)


def _found(value: Any, depth: int, work: Work) -> tuple[tuple[str, ...], Any] | None:
    """The way to the weights: known wrappers first, then the table itself, then the largest table within."""
    work.spend()
    if _module(value):
        return (), value
    if not isinstance(value, dict):
        return None
    for name in (*PLAIN, *AVERAGED) if depth else ():
        if name in value and (inner := _found(value[name], depth - 1, work)):
            return (name, *inner[0]), inner[1]
    if _holds_tensors(value, work):
        return (), value
    nets = dict(_nets(value, work)) if depth else {}
    return max(nets.values(), key=lambda found: _size(found[1], work), default=None)


def _holds_tensors(table: dict[Any, Any], work: Work) -> bool:
    return any(view_of(item) is not None for item in work.each(table.values()))


def _nets(value: dict[Any, Any], work: Work) -> Iterator[tuple[str, tuple[tuple[str, ...], Any]]]:
    """Tables with tensors directly in them, and whole nets, under names that we do not know."""
    for name, item in work.each(islice(value.items(), MOST_NETS)):
        if isinstance(name, str) and (_module(item) or (isinstance(item, dict) and _holds_tensors(item, work))):
            yield name, ((shown(name),), item)


def _size(item: Any, work: Work) -> int:
    return len(_walked(item, work) if isinstance(item, Opaque) else item)


def view_of(item: Any) -> View | None:
    """The tensor, not yet read, that an entry is."""
    return item if isinstance(item, View) else item.view() if isinstance(item, Array) else None


def _module(value: Any) -> bool:
    state = value.state if isinstance(value, Opaque) else None
    return isinstance(state, dict) and all(
        isinstance(state.get(name), dict) for name in ("_parameters", "_buffers", "_modules")
    )


def _walked(net: Opaque, work: Work) -> dict[str, Any]:
    """The state dict of a pickled nn.Module, as torch.nn.Module.state_dict() orders it; its code is never looked at."""
    table = dict[str, Any]()
    _walk(net, "", 0, table, work)
    return table


def _walk(module: Opaque, prefix: str, depth: int, table: dict[str, Any], work: Work) -> None:
    """Add what a module and those within it hold, one after another: nothing waits, however wide the net is."""
    if depth > DEEPEST or len(prefix) > LONGEST_NAME or len(table) > MOST_NAMES:
        raise Refused(TANGLED)
    work.spend(MODULE)
    state: Any = module.state
    for group, skipped in (("_parameters", ()), ("_buffers", _passing(state, work))):
        for name, item in work.each(state[group].items()):
            if item is not None and name not in skipped:
                table[f"{prefix}{_part(name)}"] = item
    for name, item in work.each(state["_modules"].items()):
        if _module(item):
            _walk(item, f"{prefix}{_part(name)}.", depth + 1, table, work)


def _passing(state: dict[Any, Any], work: Work) -> set[str]:
    """The names of buffers that a state dict leaves out."""
    names = state.get("_non_persistent_buffers_set", ())
    held = work.each(names) if isinstance(names, (set, list, dict)) else ()
    return {name for name in held if isinstance(name, str)}


def _part(name: Any) -> str:
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        raise Refused(BROKEN)
    return name


def _averages(value: Any, path: tuple[str, ...], work: Work) -> Iterator[str]:
    tables = [value] if isinstance(value, dict) and path and path[0] not in AVERAGED else []
    for name in AVERAGED if tables else ():
        if _found(tables[0].get(name), 1, work):
            yield f"The file also holds a moving average of the weights ('{name}'); the weights themselves were taken."


def _other_nets(value: Any, path: tuple[str, ...], work: Work) -> Iterator[str]:
    if isinstance(value, dict) and path and path[0] not in (*PLAIN, *AVERAGED):
        names = [name for name, _ in _nets(value, work) if shown(name) != path[0]]
        if names:
            yield f"The file holds several tables of weights; '{path[0]}' was taken, '{shown(names[0])}' was not."


def _left_out(others: list[Any]) -> Iterator[str]:
    if others:
        yield f"Among the weights are entries that are no tensors ('{shown(others[0])}'); {len(others)} were left out."
