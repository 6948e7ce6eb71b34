"""A foreign net with its joins named: where two paths are seen to meet, an Add, Concat or Gate takes their place.

What a join is stands in `joins.py`. What is computed stays the same to the bit.
"""

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn

from lightning_resnets.graph.naming import name_joins, shortcuts_first
from lightning_resnets.graph.phantom import blank, computed, phantom, plain
from lightning_resnets.graph.recorded import for_batches
from lightning_resnets.graph.recorder import record
from lightning_resnets.graph.tracer import Places, Tracer, refuse_overwriting
from lightning_resnets.graph.tracing import By, TraceError, checked, follow, reason, values_of


def reveal(model: nn.Module, size: tuple[int, int, int] = (3, 224, 224), by: By | None = None) -> fx.GraphModule:
    """A net that shares the model's weights and names, with named merges in the modules where the paths meet.

    In evaluation it answers as the model does, to the bit; nothing in it works in place. The model itself is left as
    it was. `size` is that of a picture (C, H, W) for which the joins are looked for. Where torch.fx cannot follow the
    forward pass the recorder does: then `meta["followed"]` is "recorder", the steps are those of evaluation in either
    mode, and they hold for pictures of the size in `meta["size"]` (ValueError for others). `by` allows one way only.
    Raises TraceError where neither can follow.
    """
    checked(size)
    shown = _shared(model)
    modes = {name: module.training for name, module in shown.named_modules()}
    try:
        graph, places, values, way = _steps(model, shown.eval(), size, by)
    except Exception as error:
        raise TraceError(f"The joins of this net cannot be found: {reason(error)}.") from error
    name_joins(shown, graph, values, places)
    places.note()
    revealed = _assembled(shown, graph)
    revealed.meta.update({"followed": way} | ({"size": tuple(size)} if way == "recorder" else {}))
    for name, module in revealed.named_modules():
        module.training = modes.get(name, model.training)
    followed = follow(revealed, size)
    if shortcuts_first(followed.named, followed.blocks.skips):
        revealed.recompile()
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


def _assembled(model: nn.Module, graph: fx.Graph) -> fx.GraphModule:
    """The steps as the forward pass of the model's own modules, which keep their classes and their order."""
    constants = {name: value for name, value in vars(model).items() if isinstance(value, Tensor)}
    made = fx.GraphModule(model, graph, type(model).__name__)
    for name in ("_modules", "_parameters", "_buffers"):
        vars(made)[name] = vars(model)[name]
    vars(made).update(constants)
    return made
