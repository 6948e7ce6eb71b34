"""Replace the functional merges of a third-party model by Add, Concat and Gate modules.

`functional_merges` decides what a merge is. The outputs stay equal to the bit.
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
from lightning_resnets.graph.fx_tracer import ModuleTracer, check_inplace_safety
from lightning_resnets.graph.merge_modules import insert_merge_modules, put_shortcut_first
from lightning_resnets.graph.recorded_ops import generalize_batch_size
from lightning_resnets.graph.recorder import record_graph
from lightning_resnets.graph.trace import (
    Trace,
    check_image_size,
    first_line,
    propagate_shapes,
    trace_nodes,
)


def insert_merges(
    model: nn.Module,
    input_size: tuple[int, int, int] = (3, 224, 224),
    backend: TraceBackend | None = None,
) -> fx.GraphModule:
    """Return a model that shares the weights and has a module for each of its merges.

    In evaluation mode its outputs equal those of the model to the bit, and it does nothing in
    place. The model itself stays unchanged. Where torch.fx cannot trace the forward pass, the
    recorder does: then `meta["traced_by"]` is "recorder", the nodes are those of evaluation mode
    in either mode, and images of another size than `meta["input_size"]` raise ValueError.

    Args:
        model: any image model.
        input_size: (C, H, W) of one image, for which the merges are looked for.
        backend: use this backend only.

    Returns:
        The model with merges.

    Raises:
        TraceError: the model cannot be traced.
    """
    check_image_size(input_size)
    shared = _copy_around_weights(model)
    modes = {name: module.training for name, module in shared.named_modules()}
    try:
        traced = _trace_shared(model, shared.eval(), input_size, backend)
    except Exception as error:
        raise TraceError(f"Cannot insert merges into this model: {first_line(error)}.") from error
    insert_merge_modules(shared, traced.fx_graph, traced.values, traced.outputs)
    traced.outputs.store_in_meta()
    with_merges = _assemble(shared, traced.fx_graph)
    with_merges.meta["traced_by"] = traced.backend
    if traced.backend == "recorder":
        with_merges.meta["input_size"] = tuple(input_size)
    for name, module in with_merges.named_modules():
        module.training = modes.get(name, model.training)
    graph_and_nodes = trace_nodes(with_merges, input_size)
    if put_shortcut_first(graph_and_nodes.node_by_name, graph_and_nodes.graph.skips):
        with_merges.recompile()
    return with_merges


def _trace_shared(
    model: nn.Module,
    shared: nn.Module,
    input_size: tuple[int, int, int],
    backend: TraceBackend | None,
) -> Trace:
    """Trace with torch.fx and, where that fails, with the recorder."""
    if backend != "recorder":
        try:
            return _trace_with_fx(model, shared, input_size)
        except Exception:
            if backend:
                raise
    return _trace_with_recorder(model, shared, input_size)


def _trace_with_fx(model: nn.Module, shared: nn.Module, input_size: tuple[int, int, int]) -> Trace:
    """Trace with torch.fx; `model` still has the in-place flags that `shared` has lost."""
    tracer = ModuleTracer()
    fx_graph = tracer.trace(shared)
    values = propagate_shapes(shared, fx_graph, input_size)
    check_inplace_safety(fx_graph, model, values)
    return Trace(fx_graph, tracer.outputs, values, "torch.fx")


def _trace_with_recorder(
    model: nn.Module, shared: nn.Module, input_size: tuple[int, int, int]
) -> Trace:
    """Record one image and two images; what differs between them depends on the batch size."""
    fake_model = fake_copy(without_graph(model))
    second_fake_model = fake_copy(without_graph(model))
    fx_graph, outputs = record_graph(fake_model, fake_tensor(torch.empty(1, *input_size)))
    two_images = fake_tensor(torch.empty(2, *input_size))
    generalize_batch_size(fx_graph, record_graph(second_fake_model, two_images)[0])
    for name, value in vars(fake_model).items():
        if name.startswith("_tensor_constant"):
            vars(shared)[name] = value
    values = propagate_shapes(shared, fx_graph, input_size)
    return Trace(fx_graph, outputs, values, "recorder")


def _copy_around_weights(model: nn.Module) -> nn.Module:
    """Copy the modules around the same weights, and let none work in place."""
    memo: dict[int, Any] = {}
    for weight in (*model.parameters(), *model.buffers()):
        memo[id(weight)] = weight
    for tensor in non_leaf_tensors(model):
        memo[id(tensor)] = tensor.detach()
    shared = copy.deepcopy(model, memo)
    for module in shared.modules():
        if vars(module).get("inplace") is True:
            vars(module)["inplace"] = False
    return shared


def _assemble(model: nn.Module, fx_graph: fx.Graph) -> fx.GraphModule:
    """Make the nodes the forward pass of the modules, which keep their classes and order."""
    constants = {name: value for name, value in vars(model).items() if isinstance(value, Tensor)}
    assembled = fx.GraphModule(model, fx_graph, type(model).__name__)
    for name in ("_modules", "_parameters", "_buffers"):
        vars(assembled)[name] = vars(model)[name]
    vars(assembled).update(constants)
    return assembled
