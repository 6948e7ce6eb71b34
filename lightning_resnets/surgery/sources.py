"""Who made what meets at a Concat: the modules behind each of its parts, read off the net's graph."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from torch import fx, nn

from lightning_resnets.graph import Followed, TraceError, follow
from lightning_resnets.merge import Concat
from lightning_resnets.points import within
from lightning_resnets.surgery.edits import SurgeryError

SIDES = (32, 64, 224, 299)  # pixels


@dataclass(frozen=True, slots=True)
class Part:
    """One operand of a Concat: all names of who made it, the outermost first, and whether of another operand."""

    names: tuple[str, ...]
    grown: bool  # as a dense layer's output is, and a branch of Inception is not


Sources = Mapping[str, tuple[Part, ...]]  # by Concat

_known: WeakKeyDictionary[nn.Module, tuple[tuple[int, ...], Sources]] = WeakKeyDictionary()


def sources(model: nn.Module) -> Sources:
    """The parts of every Concat of the net, found once and remembered as long as the net has the same modules.

    Which modules they come from does not hang on the size of a picture: the net is traced for the first of a few usual
    ones that it takes. Raises SurgeryError where it takes none or cannot be traced.
    """
    mark = tuple(id(module) for module in model.modules())
    if model not in _known or _known[model][0] != mark:
        for size in _sizes(model):
            with suppress(TraceError):
                _known[model] = mark, sources_of(model, follow(model, size))
                break
        else:
            raise SurgeryError(
                "Who made the parts of this net's concats cannot be found, because the net cannot be traced: name an "
                "operand by its number, from 0."
            )
    return _known[model][1]


def _sizes(model: nn.Module) -> list[tuple[int, int, int]]:
    """Sizes of pictures that a net may take; one whose steps were recorded knows its own."""
    if isinstance(model, fx.GraphModule) and "size" in model.meta:
        return [model.meta["size"]]
    channels = next((one.in_channels for one in model.modules() if isinstance(one, nn.Conv2d)), 3)
    return [(channels, side, side) for side in SIDES]


def sources_of(model: nn.Module, followed: Followed) -> Sources:
    """The same of a net that is traced."""
    steps, named = followed.steps, followed.named
    names: dict[fx.Node, list[str]] = {}
    for name, node in named.items():
        names.setdefault(node, []).append(name)
    before: dict[fx.Node, int] = {}  # the steps that lead to each and itself, as bits
    found: dict[str, tuple[Part, ...]] = {}
    for i, node in enumerate(steps.nodes):
        before[node] = 1 << i
        for one in node.all_input_nodes:
            before[node] |= before[one]
        if node.op == "placeholder":
            names.setdefault(node, []).append("input")
        elif node.op == "call_module" and isinstance(model.get_submodule(str(node.target)), Concat):
            given = [one for one in node.args if isinstance(one, fx.Node)]
            found[str(node.target)] = tuple(
                Part(_names(one, names, str(node.target)), any(_leads(before, other, one) for other in given))
                for one in given
            )
    return found


def _leads(before: Mapping[fx.Node, int], one: fx.Node, other: fx.Node) -> bool:
    return one is not other and before[one] | before[other] == before[other]


def _names(part: fx.Node, names: Mapping[fx.Node, list[str]], concat: str) -> tuple[str, ...]:
    """The names of one part, that of its outermost block first; a block that holds the Concat too is none."""
    every = {*names.get(part, ()), *([str(part.target)] if part.op == "call_module" else [])}
    return tuple(sorted((name for name in every if not within(concat, name)), key=len))


def operands_from(table: Sources, concat: str, source: str) -> list[int]:
    """Which operands of a Concat come from the module of that name; raises SurgeryError with those there are."""
    parts = table.get(concat, ())
    found = [i for i, part in enumerate(parts) if source in part.names]
    if not found:
        known = ", ".join(part.names[0] if part.names else f"no module ({i})" for i, part in enumerate(parts))
        raise SurgeryError(
            f"'{concat}' has no operand '{source}': its operands are numbered from 0"
            + (f" and come from {known}." if known else ".")
        )
    return found


def layers(table: Sources, block: str) -> list[str]:
    """The outermost modules in a block, or itself, whose output is concatenated with what they were made of."""
    grown = [part for parts in table.values() for part in parts if part.grown]
    made = dict.fromkeys(name for part in grown for name in part.names if within(name, block))
    return [name for name in made if not any(name != other and within(name, other) for other in made)]
