"""Which of the things in a file are the weights, and which plain values beside them are worth knowing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lightning_resnets.checkpoint.forms.files import BROKEN, TANGLED, Refused
from lightning_resnets.checkpoint.forms.meaning import Array, Named, Opaque
from lightning_resnets.checkpoint.forms.storages import NO_TENSOR, View, shown

PLAIN = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "module")
AVERAGED = ("ema", "model_ema", "state_dict_ema", "ema_state_dict", "params_ema")  # moving averages of the weights
DEPTH = 3  # wrappers within wrappers
MOST_NAMES = 100_000
MOST_MODULES = 100_000
DEEPEST = 100  # modules within modules
LONGEST_NAME = 500
MOST_VALUES = 1000  # plain values beside the weights, all together
LONGEST_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Choice:
    """The weights, not yet read, where they were found, and sentences about what was left."""

    views: dict[str, View]
    wrapper: str
    module: str  # the class of a whole pickled net, or ""
    notes: tuple[str, ...]


def choose(value: Any) -> Choice:
    """The net's weights among everything that a file holds; raises Refused where there are none."""
    found = _found(value, DEPTH)
    if found is None:
        raise Refused("holds no weights: save the net's state_dict() with torch.save, or its whole checkpoint.")
    path, item = found
    table = _walked(item) if isinstance(item, Opaque) else item
    views, others = dict[str, View](), list[str]()
    if len(table) > MOST_NAMES:
        raise Refused(TANGLED)
    for name, entry in table.items():
        plain = _view(entry)
        if plain is not None and isinstance(name, str) and len(name) <= LONGEST_NAME:
            views[name] = plain
        elif isinstance(entry, Opaque) and entry.name.name.startswith("_rebuild"):
            raise Refused(f"holds '{shown(name)}', {NO_TENSOR}")
        elif entry is not None:
            others.append(shown(name))
    module = str(item.name) if isinstance(item, Opaque) else ""
    return Choice(
        views, ".".join(path), module, (*_averages(value, path), *_left_out(others), *_other_nets(value, path))
    )


def _found(value: Any, depth: int) -> tuple[tuple[str, ...], Any] | None:
    """The way to the weights: known wrappers first, then the table itself, then the largest table within."""
    if _module(value):
        return (), value
    if not isinstance(value, dict):
        return None
    for name in (*PLAIN, *AVERAGED) if depth else ():
        if name in value and (inner := _found(value[name], depth - 1)):
            return (name, *inner[0]), inner[1]
    if any(_view(item) is not None for item in value.values()):
        return (), value
    nets = dict(_nets(value)) if depth else {}
    return max(nets.values(), key=lambda found: _size(found[1]), default=None)


def _nets(value: dict[Any, Any]) -> Iterator[tuple[str, tuple[tuple[str, ...], Any]]]:
    """Tables with tensors directly in them, and whole nets, under names that we do not know."""
    for name, item in list(value.items())[:1000]:
        held = isinstance(item, dict) and any(_view(entry) is not None for entry in item.values())
        if isinstance(name, str) and (held or _module(item)):
            yield name, ((shown(name),), item)


def _size(item: Any) -> int:
    return len(_walked(item) if isinstance(item, Opaque) else item)


def _view(item: Any) -> View | None:
    return item if isinstance(item, View) else item.view() if isinstance(item, Array) else None


def _module(value: Any) -> bool:
    state = value.state if isinstance(value, Opaque) else None
    return isinstance(state, dict) and all(
        isinstance(state.get(name), dict) for name in ("_parameters", "_buffers", "_modules")
    )


def _walked(net: Opaque) -> dict[str, Any]:
    """The state dict of a pickled nn.Module, as torch.nn.Module.state_dict() orders it; its code is never looked at."""
    table, waiting, seen = dict[str, Any](), [("", net, 0)], 0
    while waiting:
        prefix, module, depth = waiting.pop()
        seen += 1
        if seen > MOST_MODULES or depth > DEEPEST or len(prefix) > LONGEST_NAME or len(table) > MOST_NAMES:
            raise Refused(TANGLED)
        state: Any = module.state
        passing = state.get("_non_persistent_buffers_set", ())
        passing = passing if isinstance(passing, (set, list, dict)) else ()
        for group, skipped in (("_parameters", ()), ("_buffers", passing)):
            for name, item in state[group].items():
                if item is not None and name not in skipped:
                    table[f"{prefix}{_part(name)}"] = item
        inner = [
            (f"{prefix}{_part(name)}.", item, depth + 1) for name, item in state["_modules"].items() if _module(item)
        ]
        waiting.extend(reversed(inner))
    return table


def _part(name: Any) -> str:
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        raise Refused(BROKEN)
    return name


def _averages(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    tables = [value] if isinstance(value, dict) and path and path[0] not in AVERAGED else []
    for name in AVERAGED if tables else ():
        if _found(tables[0].get(name), 1):
            yield f"The file also holds a moving average of the weights ('{name}'); the weights themselves were taken."


def _other_nets(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, dict) and path and path[0] not in (*PLAIN, *AVERAGED):
        names = [name for name, _ in _nets(value) if shown(name) != path[0]]
        if names:
            yield f"The file holds several tables of weights; '{path[0]}' was taken, '{shown(names[0])}' was not."


def _left_out(others: list[str]) -> Iterator[str]:
    if others:
        yield f"Among the weights are entries that are no tensors ('{others[0]}'); {len(others)} were left out."


def plain_values(value: Any, wrapper: str) -> dict[str, Any]:
    """What JSON can hold of the values beside the weights, as long as it is little: `arch`, `epoch`, `args`."""
    if not isinstance(value, dict) or not wrapper:
        return {}
    kept, left = dict[str, Any](), MOST_VALUES
    for name, item in list(value.items())[:MOST_VALUES]:
        if isinstance(name, str) and name not in (wrapper.split(".")[0], "card", *AVERAGED) and len(name) < 100:
            plain, cost = _plain(item, min(left, 300), 6)
            if plain is not None:
                kept[name], left = plain, left - cost
    return kept


def single_numbers(value: Any, wrapper: str) -> dict[str, View]:
    """Tensors of one number beside the weights, not yet read: `best_acc1`."""
    if not isinstance(value, dict) or not wrapper:
        return {}
    single = ((name, _view(item)) for name, item in value.items() if isinstance(name, str) and len(name) < 100)
    return dict([(name, item) for name, item in single if item and item.count == 1 and not item.dtype.is_complex][:20])


def _plain(item: Any, most: int, depth: int) -> tuple[Any, int]:
    """The value in JSON types and how many values it took; None where it is no such value or too large."""
    if type(item) in (bool, float) or (type(item) is int and abs(item) < 2**63):
        return item, 1
    if type(item) is str and len(item) <= LONGEST_TEXT:
        return item, 1
    if isinstance(item, Named) and item.module == "torch":
        return str(item), 1
    if isinstance(item, Opaque) and str(item.name) == "argparse.Namespace":
        item = item.state
    if not isinstance(item, (dict, list, tuple)) or not depth or len(item) > most:
        return None, 0
    return _entries(item, most, depth) if isinstance(item, dict) else _items(item, most, depth)


def _entries(table: dict[Any, Any], most: int, depth: int) -> tuple[dict[str, Any] | None, int]:
    """What is plain of a table; the rest is left out."""
    kept, spent = dict[str, Any](), 1
    for name, item in table.items():
        plain, cost = _plain(item, most - spent, depth - 1)
        if isinstance(name, str) and len(name) < 100 and (plain is not None or item is None):
            kept[name], spent = plain, spent + max(cost, 1)
    return (kept, spent) if kept and spent <= most else (None, 0)


def _items(items: Any, most: int, depth: int) -> tuple[list[Any] | None, int]:
    """A list, only as a whole."""
    kept, spent = list[Any](), 1
    for item in items:
        plain, cost = _plain(item, most - spent, depth - 1)
        if plain is None and item is not None:
            return None, 0
        kept.append(plain)
        spent += max(cost, 1)
    return (kept, spent) if spent <= most else (None, 0)
