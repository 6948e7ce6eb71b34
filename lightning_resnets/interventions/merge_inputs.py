"""What a model's graph tells of its merges: who made each part of a Concat, and which operand of an Add goes round."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from torch import fx, nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.graph import TracedModel, TraceError, trace_nodes
from lightning_resnets.graph.functional_merges import target_name
from lightning_resnets.graph.skip_connections import ShortcutOperands, add_inputs, shortcut_operands
from lightning_resnets.interventions.hook_points import is_inside, modules_called_twice
from lightning_resnets.merges import Concat

CANDIDATE_SIZES = (32, 64, 224, 299, 28, 96, 128, 160, 192, 256, 331, 384, 448, 512)  # pixels


ACTIVATIONS = (
    "relu",
    "relu6",
    "relu_",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "sigmoid",
    "tanh",
    "softplus",
    "hardswish",
    "hardtanh",
    "hardsigmoid",
    "clamp",
    "dropout",
)


@dataclass(frozen=True, slots=True)
class ConcatInput:
    """One operand of a Concat: all names of who made it, the outermost first, and whether of another operand.

    `step` numbers who made it: the same in every Concat. `before` names modules of which it is the activation.
    `module` is the outermost module that gives it and nothing else in a pass, "" where none does, and `alone` says that
    Concats alone read it.
    """

    module_names: tuple[str, ...]
    is_dense_growth: bool  # as a dense layer's output is, and a branch of Inception is not
    node_index: int
    activation_of: tuple[str, ...]
    module: str
    only_read_by_concats: bool

    def matches(self, source: str) -> bool:
        return source in self.module_names or source in self.activation_of


ConcatInputs = Mapping[str, tuple[ConcatInput, ...]]  # by Concat


@dataclass(frozen=True, slots=True)
class MergeInputs:
    """What is known of all merges: the parts of Concats, the shortcuts of Adds, and who gives what meets at an Add."""

    concat_inputs: ConcatInputs
    shortcuts: ShortcutOperands
    add_inputs: Mapping[str, tuple[str, ...]]


_known: WeakKeyDictionary[nn.Module, tuple[tuple[int, ...], MergeInputs]] = WeakKeyDictionary()


def concat_inputs(model: nn.Module) -> ConcatInputs:
    """The parts of every Concat of the model, as `origins` finds them."""
    return merge_inputs(model).concat_inputs


def merge_inputs(model: nn.Module) -> MergeInputs:
    """Where what meets comes from, found once and remembered as long as the model has the same modules.

    It does not hang on the size of an image: the model is traced for the first of a few usual ones that it takes. Raises
    SurgeryError where it takes none or cannot be traced.
    """
    mark = tuple(id(module) for module in model.modules())
    if model not in _known or _known[model][0] != mark:
        for size in _sizes(model):
            with suppress(TraceError):
                _known[model] = mark, merge_inputs_of(model, trace_nodes(model, size))
                break
        else:
            raise InterventionError(
                "Where what meets in this model comes from cannot be found, because the model cannot be traced: name an "
                "operand by its number, from 0."
            )
    return _known[model][1]


def merge_inputs_of(model: nn.Module, followed: TracedModel) -> MergeInputs:
    """The same of a model that is traced."""
    return MergeInputs(
        concat_inputs_of(model, followed), shortcut_operands(followed), add_inputs(followed)
    )


def _sizes(model: nn.Module) -> list[tuple[int, int, int]]:
    """Sizes of images that a model may take; one whose steps were recorded knows its own."""
    if isinstance(model, fx.GraphModule) and "size" in model.meta:
        return [model.meta["size"]]
    channels = next((one.in_channels for one in model.modules() if isinstance(one, nn.Conv2d)), 3)
    return [(channels, side, side) for side in CANDIDATE_SIZES]


def concat_inputs_of(model: nn.Module, followed: TracedModel) -> ConcatInputs:
    """The parts of every Concat of a model that is traced."""
    steps, places = followed.fx_graph, {node: i for i, node in enumerate(followed.fx_graph.nodes)}
    concats = [node for node in places if _called(model, node, Concat)]
    if not concats:
        return {}
    names, before = _named(followed), _before(places)
    several = {str(node.target) for node in _twice(steps)} | modules_called_twice(steps)
    found: dict[str, tuple[ConcatInput, ...]] = {}
    for concat in concats:
        given = [one for one in concat.args if isinstance(one, fx.Node)]
        parts: list[ConcatInput] = []
        for one in given:
            own = _names(one, names, str(concat.target))
            made = [name for name in own if name not in several and _is_module(model, name)]
            grown = any(_leads(before, other, one) for other in given)
            alone = all(_called(model, user, Concat) for user in one.users)
            inner = tuple(
                name
                for node in _activated(model, one)
                for name in _names(node, names, str(concat.target))
            )
            parts.append(ConcatInput(own, grown, places[one], inner, next(iter(made), ""), alone))
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


def _named(followed: TracedModel) -> dict[fx.Node, list[str]]:
    names: dict[fx.Node, list[str]] = {}
    for name, node in followed.node_by_name.items():
        names.setdefault(node, []).append(name)
    for node in followed.fx_graph.nodes:
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
    while (
        _activates(model, node)
        and len(node.all_input_nodes) == 1
        and len(node.all_input_nodes[0].users) == 1
    ):
        node = node.all_input_nodes[0]
        found.append(node)
    return found


def _activates(model: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        kind = type(model.get_submodule(str(node.target)))
        return kind.__module__ in ("torch.nn.modules.activation", "torch.nn.modules.dropout")
    name = target_name(node)
    return node.op in ("call_function", "call_method") and name in ACTIVATIONS


def _leads(before: Mapping[fx.Node, int], one: fx.Node, other: fx.Node) -> bool:
    return one is not other and before[one] | before[other] == before[other]


def _names(part: fx.Node, names: Mapping[fx.Node, list[str]], concat: str) -> tuple[str, ...]:
    """The names of one part, that of its outermost block first; a block that holds the Concat too is none."""
    every = {*names.get(part, ()), *([str(part.target)] if part.op == "call_module" else [])}
    return tuple(sorted((name for name in every if not is_inside(concat, name)), key=len))


def operands_from_module(table: ConcatInputs, concat: str, source: str) -> list[int]:
    """Which operands of a Concat come from the module of that name; raises SurgeryError with those there are."""
    parts = table.get(concat, ())
    found = [i for i, part in enumerate(parts) if part.matches(source)]
    if not found:
        known = ", ".join(
            part.module_names[0] if part.module_names else f"no module ({i})"
            for i, part in enumerate(parts)
        )
        raise InterventionError(
            f"'{concat}' has no operand '{source}': its operands are numbered from 0"
            + (f" and come from {known}." if known else ".")
        )
    return found


def dense_layers_in(table: ConcatInputs, block: str) -> list[ConcatInput]:
    """What modules in a block, or itself, made and is concatenated with what it was made of: each such part once."""
    grown = (part for parts in table.values() for part in parts if part.is_dense_growth)
    names = {part.node_index: (part, *part.module_names, *part.activation_of) for part in grown}
    return [
        part for part, *known in names.values() if any(is_inside(name, block) for name in known)
    ]


def consumers_of(table: ConcatInputs, made: ConcatInput) -> list[tuple[str, int]]:
    """The Concats that a part goes into, and as which operand."""
    return [
        (concat, i)
        for concat, parts in table.items()
        for i, part in enumerate(parts)
        if part.node_index == made.node_index
    ]
