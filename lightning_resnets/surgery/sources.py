"""What a net's graph tells of its merges: who made each part of a Concat, and which operand of an Add goes round."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from torch import fx, nn

from lightning_resnets.graph import Followed, TraceError, follow
from lightning_resnets.graph.joins import word
from lightning_resnets.merge import Concat
from lightning_resnets.points import repeated, within
from lightning_resnets.surgery.edits import SurgeryError
from lightning_resnets.surgery.shortcuts import Shortcuts, met_of, shortcuts_of

SIDES = (32, 64, 224, 299, 28, 96, 128, 160, 192, 256, 331, 384, 448, 512)  # pixels
ACTIVATIONS = ("relu", "relu6", "relu_", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "tanh",
               "softplus", "hardswish", "hardtanh", "hardsigmoid", "clamp", "dropout")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """One operand of a Concat: all names of who made it, the outermost first, and whether of another operand.

    `step` numbers who made it: the same in every Concat. `before` names modules of which it is the activation.
    `module` is the outermost module that gives it and nothing else in a pass, "" where none does, and `alone` says that
    Concats alone read it.
    """

    names: tuple[str, ...]
    grown: bool  # as a dense layer's output is, and a branch of Inception is not
    step: int
    before: tuple[str, ...]
    module: str
    alone: bool

    def comes_from(self, source: str) -> bool:
        return source in self.names or source in self.before


Sources = Mapping[str, tuple[Part, ...]]  # by Concat


@dataclass(frozen=True, slots=True)
class Origins:
    """What is known of all merges: the parts of Concats, the shortcuts of Adds, and who gives what meets at an Add."""

    parts: Sources
    shortcuts: Shortcuts
    met: Mapping[str, tuple[str, ...]]


_known: WeakKeyDictionary[nn.Module, tuple[tuple[int, ...], Origins]] = WeakKeyDictionary()


def sources(model: nn.Module) -> Sources:
    """The parts of every Concat of the net, as `origins` finds them."""
    return origins(model).parts


def origins(model: nn.Module) -> Origins:
    """Where what meets comes from, found once and remembered as long as the net has the same modules.

    It does not hang on the size of a picture: the net is traced for the first of a few usual ones that it takes. Raises
    SurgeryError where it takes none or cannot be traced.
    """
    mark = tuple(id(module) for module in model.modules())
    if model not in _known or _known[model][0] != mark:
        for size in _sizes(model):
            with suppress(TraceError):
                _known[model] = mark, origins_of(model, follow(model, size))
                break
        else:
            raise SurgeryError(
                "Where what meets in this net comes from cannot be found, because the net cannot be traced: name an "
                "operand by its number, from 0."
            )
    return _known[model][1]


def origins_of(model: nn.Module, followed: Followed) -> Origins:
    """The same of a net that is traced."""
    return Origins(sources_of(model, followed), shortcuts_of(followed), met_of(followed))


def _sizes(model: nn.Module) -> list[tuple[int, int, int]]:
    """Sizes of pictures that a net may take; one whose steps were recorded knows its own."""
    if isinstance(model, fx.GraphModule) and "size" in model.meta:
        return [model.meta["size"]]
    channels = next((one.in_channels for one in model.modules() if isinstance(one, nn.Conv2d)), 3)
    return [(channels, side, side) for side in SIDES]


def sources_of(model: nn.Module, followed: Followed) -> Sources:
    """The parts of every Concat of a net that is traced."""
    steps, places = followed.steps, {node: i for i, node in enumerate(followed.steps.nodes)}
    concats = [node for node in places if _called(model, node, Concat)]
    if not concats:
        return {}
    names, before = _named(followed), _before(places)
    several = {str(node.target) for node in _twice(steps)} | repeated(steps)
    found: dict[str, tuple[Part, ...]] = {}
    for concat in concats:
        given = [one for one in concat.args if isinstance(one, fx.Node)]
        parts: list[Part] = []
        for one in given:
            own = _names(one, names, str(concat.target))
            made = [name for name in own if name not in several and _is_module(model, name)]
            grown = any(_leads(before, other, one) for other in given)
            alone = all(_called(model, user, Concat) for user in one.users)
            inner = tuple(name for node in _activated(model, one) for name in _names(node, names, str(concat.target)))
            parts.append(Part(own, grown, places[one], inner, next(iter(made), ""), alone))
        found[str(concat.target)] = tuple(parts)
    return found


def _called(model: nn.Module, node: fx.Node, kind: type[nn.Module]) -> bool:
    return node.op == "call_module" and isinstance(model.get_submodule(str(node.target)), kind)


def _is_module(model: nn.Module, name: str) -> bool:
    try:
        return bool(name) and bool(model.get_submodule(name))
    except AttributeError:
        return False


def _twice(steps: fx.Graph) -> list[fx.Node]:
    calls = [node for node in steps.nodes if node.op == "call_module"]
    times = Counter(node.target for node in calls)
    return [node for node in calls if times[node.target] > 1]


def _named(followed: Followed) -> dict[fx.Node, list[str]]:
    names: dict[fx.Node, list[str]] = {}
    for name, node in followed.named.items():
        names.setdefault(node, []).append(name)
    for node in followed.steps.nodes:
        if node.op == "placeholder":
            names.setdefault(node, []).append("input")
    return names


def _before(places: Mapping[fx.Node, int]) -> dict[fx.Node, int]:
    """The steps that lead to each and itself, as bits."""
    before: dict[fx.Node, int] = {}
    for node, i in places.items():
        before[node] = 1 << i
        for one in node.all_input_nodes:
            before[node] |= before[one]
    return before


def _activated(model: nn.Module, node: fx.Node) -> list[fx.Node]:
    """The steps of which one is the activation, and only that."""
    found: list[fx.Node] = []
    while _activates(model, node) and len(node.all_input_nodes) == 1 and len(node.all_input_nodes[0].users) == 1:
        node = node.all_input_nodes[0]
        found.append(node)
    return found


def _activates(model: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        kind = type(model.get_submodule(str(node.target)))
        return kind.__module__ in ("torch.nn.modules.activation", "torch.nn.modules.dropout")
    name = word(node)
    return node.op in ("call_function", "call_method") and name in ACTIVATIONS


def _leads(before: Mapping[fx.Node, int], one: fx.Node, other: fx.Node) -> bool:
    return one is not other and before[one] | before[other] == before[other]


def _names(part: fx.Node, names: Mapping[fx.Node, list[str]], concat: str) -> tuple[str, ...]:
    """The names of one part, that of its outermost block first; a block that holds the Concat too is none."""
    every = {*names.get(part, ()), *([str(part.target)] if part.op == "call_module" else [])}
    return tuple(sorted((name for name in every if not within(concat, name)), key=len))


def operands_from(table: Sources, concat: str, source: str) -> list[int]:
    """Which operands of a Concat come from the module of that name; raises SurgeryError with those there are."""
    parts = table.get(concat, ())
    found = [i for i, part in enumerate(parts) if part.comes_from(source)]
    if not found:
        known = ", ".join(part.names[0] if part.names else f"no module ({i})" for i, part in enumerate(parts))
        raise SurgeryError(
            f"'{concat}' has no operand '{source}': its operands are numbered from 0"
            + (f" and come from {known}." if known else ".")
        )
    return found


def layers(table: Sources, block: str) -> list[Part]:
    """What modules in a block, or itself, made and is concatenated with what it was made of: each such part once."""
    grown = (part for parts in table.values() for part in parts if part.grown)
    names = {part.step: (part, *part.names, *part.before) for part in grown}
    return [part for part, *known in names.values() if any(within(name, block) for name in known)]


def read_at(table: Sources, made: Part) -> list[tuple[str, int]]:
    """The Concats that a part goes into, and as which operand."""
    return [(concat, i) for concat, parts in table.items() for i, part in enumerate(parts) if part.step == made.step]
