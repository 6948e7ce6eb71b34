"""A foreign net with its joins named: where two paths are seen to meet, an Add, Concat or Gate takes their place.

A join is one where every operand depends on the picture: a bias, a position table or a scale that was learned is
none. A weight of a Gate is (N, C, 1, 1), looked for through `expand`. What is computed stays the same to the bit.
"""

import copy
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from lightning_resnets.graph.phantom import blank, computed, phantom, plain
from lightning_resnets.graph.recorded import for_batches
from lightning_resnets.graph.recorder import record
from lightning_resnets.graph.tracer import Places, Tracer, refuse_overwriting
from lightning_resnets.graph.tracing import By, TraceError, follow, reason, values_of
from lightning_resnets.merge import Add, Concat, Gate, Kind, Merge

Join = tuple[type[Merge], tuple[fx.Node, ...]]

SUMS: tuple[Any, ...] = (operator.add, operator.iadd, torch.add, "add", "add_")
PRODUCTS: tuple[Any, ...] = (operator.mul, operator.imul, torch.mul, "mul", "mul_")
JOINS: tuple[Any, ...] = (torch.cat, torch.concat, torch.concatenate)
SPREAD = ("expand", "expand_as")


def reveal(model: nn.Module, size: tuple[int, int, int] = (3, 224, 224), by: By | None = None) -> fx.GraphModule:
    """A net that shares the model's weights and names, with named merges in the modules where the paths meet.

    In evaluation it answers as the model does, to the bit; nothing in it works in place. The model itself is left as
    it was. `size` is that of a picture (C, H, W) for which the joins are looked for. Where torch.fx cannot follow the
    forward pass the recorder does: then `meta["followed"]` is "recorder", and the net holds for pictures of the size
    in `meta["size"]` alone and for evaluation alone; it says so to others (ValueError). `by` allows one way only.
    Raises TraceError where neither can follow.
    """
    shown = _shared(model)
    modes = {name: module.training for name, module in shown.named_modules()}
    try:
        graph, places, values, way = _steps(model, shown.eval(), size, by)
    except Exception as error:
        raise TraceError(f"The joins of this net cannot be found: {reason(error)}.") from error
    _name_joins(shown, graph, values, places)
    places.note()
    revealed = _assembled(shown, graph)
    revealed.meta.update({"followed": way} | ({"size": tuple(size)} if way == "recorder" else {}))
    for name, module in revealed.named_modules():
        module.training = modes.get(name, model.training)
    _shortcuts_first(revealed, size)
    return revealed


def _steps(
    model: nn.Module, shown: nn.Module, size: tuple[int, int, int], by: By | None
) -> tuple[fx.Graph, Places, dict[fx.Node, Any], By]:
    if by != "recorder":
        try:
            tracer = Tracer()
            graph = tracer.trace(shown)
            values = values_of(shown, graph, size)
            refuse_overwriting(graph, model, values)
            return graph, tracer.places, values, "torch.fx"
        except Exception:
            if by:
                raise
    ghost, twins = phantom(plain(model)), phantom(plain(model))
    graph, places = record(ghost, blank(torch.empty(1, *size)))
    for_batches(graph, record(twins, blank(torch.empty(2, *size)))[0])
    vars(shown).update({name: value for name, value in vars(ghost).items() if name.startswith("_tensor_constant")})
    return graph, places, values_of(shown, graph, size), "recorder"


def _shared(model: nn.Module) -> nn.Module:
    """The same modules once more, around the same weights, and none that works in place."""
    memo: dict[int, Any] = {id(weight): weight for weight in (*model.parameters(), *model.buffers())}
    memo |= {id(tensor): tensor.detach() for tensor in computed(model)}
    shown = copy.deepcopy(model, memo)
    for module in shown.modules():
        if vars(module).get("inplace") is True:
            vars(module)["inplace"] = False
    return shown


def _name_joins(model: nn.Module, graph: fx.Graph, values: dict[fx.Node, Any], places: Places) -> None:
    """Put a merge in the place of every join."""
    seen: set[fx.Node] = set()  # nodes whose tensors depend on the picture
    for node in list(graph.nodes):
        _apart(node)
        tensors = isinstance(values.get(node), (Tensor, tuple, list))
        if node.op != "placeholder" and not (tensors and any(given in seen for given in _values_from(node))):
            continue
        join = _join(node, values, seen)
        new = _put(model, graph, node, *join) if join else node
        seen.add(new)
        values[new] = values.get(node)
        places.replaced(node, new)


def _values_from(node: fx.Node) -> list[fx.Node]:
    """What a step takes values from: not the tensor that only tells it a shape."""
    if node.op in ("call_function", "call_method"):
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        if name.endswith("_like") or name.startswith("new_"):
            return []
        if name.endswith("_as"):
            return [item for item in node.args[:1] if isinstance(item, fx.Node)]
    return node.all_input_nodes


def _join(node: fx.Node, values: dict[fx.Node, Any], seen: set[fx.Node]) -> Join | None:
    if node.op not in ("call_function", "call_method"):
        return None
    rule = next((rule for targets, rule in RULES if node.target in targets), None)
    join = rule(node, values) if rule else None
    return join if join and all(operand in seen for operand in join[1]) else None


def _operands(node: fx.Node) -> tuple[fx.Node, ...]:
    """The two tensors of a sum or a product; () where one is a number or there is a factor beside them."""
    given = [*node.args, *(node.kwargs[name] for name in ("input", "other") if name in node.kwargs)]
    plain = len(given) == 2 and node.kwargs.get("alpha", 1) == 1
    return tuple(item for item in given if isinstance(item, fx.Node)) if plain else ()


def _shape(node: fx.Node, values: dict[fx.Node, Any]) -> tuple[int, ...]:
    value = values.get(node)
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _sum(node: fx.Node, values: dict[fx.Node, Any]) -> Join | None:
    pair = _operands(node)
    shapes = [_shape(operand, values) for operand in pair]
    return (Add, pair) if len(pair) == 2 and shapes[0] == shapes[1] and len(shapes[0]) > 1 else None


def _product(node: fx.Node, values: dict[fx.Node, Any]) -> Join | None:
    pair = _operands(node)
    for x, weight in (pair, pair[::-1]) if len(pair) == 2 else ():
        while weight.op == "call_method" and weight.target in SPREAD and isinstance(weight.args[0], fx.Node):
            weight = weight.args[0]
        whole, narrow = _shape(x, values), _shape(weight, values)
        if len(whole) == 4 and narrow == (*whole[:2], 1, 1) and whole != narrow:
            return Gate, (x, weight)
    return None


def _cat(node: fx.Node, values: dict[fx.Node, Any]) -> Join | None:
    parts = node.args[0] if node.args else node.kwargs.get("tensors")
    axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("axis", 0))
    if not isinstance(parts, (list, tuple)) or len(parts) < 2 or axis not in (1, -3):
        return None
    nodes = tuple(part for part in parts if isinstance(part, fx.Node) and len(_shape(part, values)) == 4)
    return (Concat, nodes) if len(nodes) == len(parts) else None


RULES: tuple[tuple[tuple[Any, ...], Callable[[fx.Node, dict[fx.Node, Any]], Join | None]], ...] = (
    (SUMS, _sum),
    (PRODUCTS, _product),
    (JOINS, _cat),
)


def _put(
    model: nn.Module, graph: fx.Graph, node: fx.Node, merge: type[Merge], operands: tuple[fx.Node, ...]
) -> fx.Node:
    """A merge in the module that owns the join: `layer1.0.add`, and where that is taken `layer1.0.add_1`."""
    path = Places.scope(node)
    owner, name, count = model.get_submodule(path), str(merge.kind), 0
    while hasattr(owner, name):
        count += 1
        name = f"{merge.kind}_{count}"
    owner.add_module(name, merge())
    with graph.inserting_after(node):
        new = graph.call_module(f"{path}.{name}" if path else name, operands)
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
    graph.erase_node(node)
    return new


def _apart(node: fx.Node) -> None:
    """No step writes over what it was given."""
    if node.kwargs.get("inplace"):
        node.kwargs = {**node.kwargs, "inplace": False}
    name = str(node.target)
    if node.op == "call_method" and name.endswith("_") and not name.endswith("__") and hasattr(Tensor, name[:-1]):
        node.target = name[:-1]


def _assembled(model: nn.Module, graph: fx.Graph) -> fx.GraphModule:
    """The steps as the forward pass of the model's own modules, which keep their classes and their order."""
    constants = {name: value for name, value in vars(model).items() if isinstance(value, Tensor)}
    made = fx.GraphModule(model, graph, type(model).__name__)
    for name in ("_modules", "_parameters", "_buffers"):
        vars(made)[name] = vars(model)[name]
    vars(made).update(constants)
    return made


def _shortcuts_first(revealed: fx.GraphModule, size: tuple[int, int, int]) -> None:
    """The operand of an Add that is the skip comes first, as in our own nets; a sum is the same either way."""
    followed = follow(revealed, size)
    for skip in followed.blocks.skips:
        if skip.kind is Kind.ADD and skip.operand == 1:
            node = followed.named[skip.merge]
            node.args = node.args[::-1]
    revealed.recompile()
