"""Replace the functional merges of a third-party model by Add, Concat and Gate modules.

`functional_merges` decides what a merge is. The outputs stay equal to the bit.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn

from lightning_resnets.errors import TraceError
from lightning_resnets.graph.data import TraceBackend
from lightning_resnets.graph.fake_tensors import ShapePropagator, fake_copy, non_leaf_tensors
from lightning_resnets.graph.fx_tracer import ModuleTracer, check_inplace_safety
from lightning_resnets.graph.graph_module import (
    copy_graph,
    restore_owners,
    runnable,
    without_graph,
)
from lightning_resnets.graph.merge_modules import insert_merge_modules, put_shortcut_first
from lightning_resnets.graph.model_input import (
    ExampleInputs,
    InputSize,
    NamedInputs,
    make_inputs,
    with_batch_size,
)
from lightning_resnets.graph.recorded_ops import generalize_batch_size
from lightning_resnets.graph.recorder import record_graph
from lightning_resnets.graph.trace import Trace, describe_failure, trace_nodes
from lightning_resnets.graph.wrappers import (
    check_is_traceable,
    copy_without_wrappers,
    uncompiled,
)
from lightning_resnets.utils.arguments import check_choice

BACKENDS = (None, "torch.fx", "recorder")


def insert_merges(
    model: nn.Module,
    input_size: InputSize = (3, 224, 224),
    backend: TraceBackend | None = None,
    *,
    example_inputs: ExampleInputs | None = None,
) -> fx.GraphModule:
    """Return a model that shares the weights and has a module for each of its merges.

    In evaluation mode its outputs equal those of the model to the bit, and it does nothing in
    place. The model itself stays unchanged. Where torch.fx cannot trace the forward pass, the
    recorder does: then `meta["traced_by"]` is "recorder", the nodes are those of evaluation mode
    in either mode, and images of another size than `meta["input_size"]` raise ValueError.

    Args:
        model: any image, signal or video model; of a compiled one the original is used.
        input_size: (C, H, W) of one image, for which the merges are looked for; (C, L) for a
            model of Conv1d, (C, D, H, W) of Conv3d.
        backend: use this backend only.
        example_inputs: the inputs with their batch, for a model with several: a tuple of tensors,
            or a dict by argument name. Numbers among them become constants of a recorded model.

    Returns:
        The model with merges.

    Raises:
        TraceError: the model cannot be traced.
    """
    check_choice("backend", backend, BACKENDS, TraceError)
    check_is_traceable(model)
    model = uncompiled(model)
    inputs = make_inputs(model, input_size, example_inputs)
    # Tracing needs evaluation mode, which must not stay.
    modes = {name: module.training for name, module in model.named_modules()}
    # The model stays as it is, and both train the same weights.
    shared = _copy_around_weights(without_graph(model))
    try:
        traced = _trace_shared(model, shared.eval(), inputs, backend)
    except Exception as error:
        reason = describe_failure(model, inputs, error)
        raise TraceError(f"Cannot insert merges into this model: {reason}.") from error
    insert_merge_modules(shared, traced.fx_graph, traced.values, traced.outputs)
    # After the merges are inserted, since they replace nodes.
    traced.outputs.store_in_meta()
    with_merges = runnable(shared, traced.fx_graph, type(model).__name__)
    _store_facts(with_merges, traced, inputs)
    for name, module in with_merges.named_modules():
        module.training = modes.get(name, model.training)
    graph_and_nodes = trace_nodes(with_merges, example_inputs=with_merges.meta["example_inputs"])
    nodes = graph_and_nodes.node_by_name
    # Only the finished model tells which operand is the shortcut.
    if put_shortcut_first(with_merges, nodes, graph_and_nodes.graph.skips):
        with_merges.recompile()
    return with_merges


def _store_facts(with_merges: fx.GraphModule, traced: Trace, inputs: NamedInputs) -> None:
    """Store how the model was traced, for those that trace it again."""
    with_merges.meta["traced_by"] = traced.backend
    # A recorded model has the plain numbers among its inputs as constants.
    names = {str(node.target) for node in traced.fx_graph.nodes if node.op == "placeholder"}
    known = {name: value for name, value in inputs.items() if name in names}
    with_merges.meta["example_inputs"] = known
    # Sizes are constants in a recorded graph, so it fits no other.
    if traced.backend == "recorder":
        first = next(value for value in inputs.values() if isinstance(value, torch.Tensor))
        with_merges.meta["input_size"] = tuple(first.shape[1:])


def _trace_shared(
    model: nn.Module, shared: nn.Module, inputs: NamedInputs, backend: TraceBackend | None
) -> Trace:
    """Trace with torch.fx and, where that fails, with the recorder."""
    if backend != "recorder":
        try:
            return _trace_with_fx(model, shared, inputs)
        except Exception:
            # The user wants this backend: its error says more than a second try.
            if backend:
                raise
    return _trace_with_recorder(model, shared, inputs)


def _trace_with_fx(model: nn.Module, shared: nn.Module, inputs: NamedInputs) -> Trace:
    """Trace with torch.fx; `model` still has the in-place flags that `shared` has lost."""
    if isinstance(model, fx.GraphModule):
        fx_graph, outputs = copy_graph(model)
        restore_owners(shared, fx_graph)
    else:
        tracer = ModuleTracer()
        fx_graph = tracer.trace(shared)
        outputs = tracer.outputs
    values = _propagate(shared, fx_graph, inputs)
    # Checked on the original, whose in-place flags are still set.
    check_inplace_safety(fx_graph, model, values)
    return Trace(fx_graph, outputs, values, "torch.fx")


def _trace_with_recorder(model: nn.Module, shared: nn.Module, inputs: NamedInputs) -> Trace:
    """Record one image and two images; what differs between them depends on the batch size."""
    fake_model = _runnable_fake_copy(model)
    # A second copy: a recording may leave constants on the first.
    second_fake_model = _runnable_fake_copy(model)
    fx_graph, outputs = record_graph(fake_model, with_batch_size(inputs, 1))
    two_images = with_batch_size(inputs, 2)
    generalize_batch_size(fx_graph, record_graph(second_fake_model, two_images)[0])
    for name, value in vars(fake_model).items():
        # Tensors that no module had registered.
        if name.startswith("_tensor_constant"):
            vars(shared)[name] = value
    values = _propagate(shared, fx_graph, inputs)
    return Trace(fx_graph, outputs, values, "recorder")


def _propagate(
    shared: nn.Module, fx_graph: fx.Graph, inputs: Mapping[str, Any]
) -> dict[fx.Node, Any]:
    """Compute a fake value of every node."""
    return ShapePropagator(fake_copy(shared), fx_graph).propagate(inputs)


def _runnable_fake_copy(model: nn.Module) -> nn.Module:
    """Return a fake copy that can be called, also of a graph module."""
    fake_model = fake_copy(without_graph(model))
    if not isinstance(model, fx.GraphModule):
        return fake_model
    fx_graph, _ = copy_graph(model)
    restore_owners(fake_model, fx_graph)
    return runnable(fake_model, fx_graph)


def _copy_around_weights(model: nn.Module) -> nn.Module:
    """Copy the modules around the same weights, and let none work in place."""
    memo: dict[int, Any] = {}
    for weight in (*model.parameters(), *model.buffers()):
        memo[id(weight)] = weight
    for tensor in non_leaf_tensors(model):
        # deepcopy refuses tensors with a grad_fn.
        memo[id(tensor)] = tensor.detach()
    shared = copy_without_wrappers(model, memo)
    for module in shared.modules():
        if vars(module).get("inplace") is True:
            vars(module)["inplace"] = False
    return shared
