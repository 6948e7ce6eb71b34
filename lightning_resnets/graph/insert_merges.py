"""A foreign model with its joins named: where two paths are seen to meet, an Add, Concat or Gate takes their place.

What a join is stands in `joins.py`. What is computed stays the same to the bit.
"""

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn

from lightning_resnets.errors import TraceError
from lightning_resnets.graph.data import TraceBackend
from lightning_resnets.graph.fake_tensors import (
    fake_copy,
    fake_tensor,
    non_leaf_tensors,
    without_graph,
)
from lightning_resnets.graph.fx_tracer import ModuleOutputs, ModuleTracer, check_inplace_safety
from lightning_resnets.graph.merge_modules import insert_merge_modules, put_shortcut_first
from lightning_resnets.graph.recorded_ops import generalize_batch_size
from lightning_resnets.graph.recorder import record_graph
from lightning_resnets.graph.trace import (
    check_image_size,
    first_line,
    propagate_shapes,
    trace_nodes,
)


def insert_merges(
    model: nn.Module, size: tuple[int, int, int] = (3, 224, 224), by: TraceBackend | None = None
) -> fx.GraphModule:
    """A model that shares the model's weights and names, with named merges in the modules where the paths meet.

    In evaluation it answers as the model does, to the bit; nothing in it works in place. The model itself is left as
    it was. `size` is that of an image (C, H, W) for which the joins are looked for. Where torch.fx cannot follow the
    forward pass the recorder does: then `meta["followed"]` is "recorder", the steps are those of evaluation in either
    mode, and they hold for images of the size in `meta["size"]` (ValueError for others). `by` allows one way only.
    Raises TraceError where neither can follow.
    """
    check_image_size(size)
    shown = _shared(model)
    modes = {name: module.training for name, module in shown.named_modules()}
    try:
        graph, places, values, way = _steps(model, shown.eval(), size, by)
    except Exception as error:
        raise TraceError(
            f"The joins of this model cannot be found: {first_line(error)}."
        ) from error
    insert_merge_modules(shown, graph, values, places)
    places.store_in_meta()
    revealed = _assembled(shown, graph)
    revealed.meta.update({"followed": way} | ({"size": tuple(size)} if way == "recorder" else {}))
    for name, module in revealed.named_modules():
        module.training = modes.get(name, model.training)
    followed = trace_nodes(revealed, size)
    if put_shortcut_first(followed.node_by_name, followed.graph.skips):
        revealed.recompile()
    return revealed


def _steps(
    model: nn.Module, shown: nn.Module, size: tuple[int, int, int], by: TraceBackend | None
) -> tuple[fx.Graph, ModuleOutputs, dict[fx.Node, Any], TraceBackend]:
    if by != "recorder":
        try:
            tracer = ModuleTracer()
            graph = tracer.trace(shown)
            values = propagate_shapes(shown, graph, size)
            check_inplace_safety(graph, model, values)
            return graph, tracer.places, values, "torch.fx"
        except Exception:
            if by:
                raise
    ghost, twins = fake_copy(without_graph(model)), fake_copy(without_graph(model))
    graph, places = record_graph(ghost, fake_tensor(torch.empty(1, *size)))
    generalize_batch_size(graph, record_graph(twins, fake_tensor(torch.empty(2, *size)))[0])
    vars(shown).update(
        {name: value for name, value in vars(ghost).items() if name.startswith("_tensor_constant")}
    )
    return graph, places, propagate_shapes(shown, graph, size), "recorder"


def _shared(model: nn.Module) -> nn.Module:
    """The same modules once more, around the same weights, and none that works in place."""
    memo: dict[int, Any] = {
        id(weight): weight for weight in (*model.parameters(), *model.buffers())
    }
    memo |= {id(tensor): tensor.detach() for tensor in non_leaf_tensors(model)}
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
