"""Trace a model to its graph, with torch.fx or, where that fails, with the recorder.

Merges are found by class, skips by dominators. The rules for skips are those of the papers: the
lighter path into an Add (He et al. 2015, arXiv:1512.03385), every earlier layer at a Concat
(Huang et al. 2017, arXiv:1608.06993), the tensor that a Gate weighs (Hu et al. 2018,
arXiv:1709.01507).
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx, nn

from lightning_resnets.errors import TraceError
from lightning_resnets.graph.builder import GraphBuilder
from lightning_resnets.graph.data import TraceBackend
from lightning_resnets.graph.fake_tensors import ShapePropagator, fake_copy, fake_tensor
from lightning_resnets.graph.fx_tracer import ModuleOutputs, ModuleTracer, check_inplace_safety
from lightning_resnets.graph.graph_module import (
    copy_graph,
    has_inserted_merges,
    restore_owners,
    runnable,
    without_graph,
)
from lightning_resnets.graph.merge_modules import insert_merge_modules, put_shortcut_first
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.graph.model_input import (
    ExampleInputs,
    InputSize,
    NamedInputs,
    format_inputs,
    make_inputs,
    required_arguments,
)
from lightning_resnets.graph.recorder import record_graph
from lightning_resnets.graph.traced_model import TracedModel
from lightning_resnets.graph.wrappers import check_is_traceable, is_quantized, uncompiled


@dataclass(slots=True)
class Trace:
    """Nodes of a forward pass, with the module and the fake value of each."""

    fx_graph: fx.Graph
    outputs: ModuleOutputs
    values: dict[fx.Node, Any]
    backend: TraceBackend


def trace(
    model: nn.Module,
    input_size: InputSize = (3, 32, 32),
    *,
    example_inputs: ExampleInputs | None = None,
) -> ModelGraph:
    """Trace a model in evaluation mode to its unfolded graph.

    A fake copy is run, so mode, device, dtype and hooks do not matter. Of a compiled model the
    original is traced. Functional merges (`+`, `torch.cat`) have the names that `insert_merges`
    gives them, and `merges_inserted` says so: use them with the model that it returns.

    Args:
        model: any image, signal or video model.
        input_size: (C, H, W) of one image; (C, L) for a model of Conv1d, (C, D, H, W) of Conv3d.
        example_inputs: all inputs with their batch, in a tuple or dict; shapes and types matter.

    Returns:
        The graph; `traced_by` says whether torch.fx or the recorder traced it.

    Raises:
        TraceError: neither backend can trace the model, or the inputs do not fit.
    """
    model, inputs = _prepare(model, input_size, example_inputs)
    return _trace_model(model, inputs, None, name_merges=True).graph


def trace_nodes(
    model: nn.Module,
    input_size: InputSize = (3, 32, 32),
    backend: TraceBackend | None = None,
    *,
    example_inputs: ExampleInputs | None = None,
) -> TracedModel:
    """Trace a model and keep the torch.fx nodes, to run this very model node by node.

    Functional merges stay as they are; call `insert_merges` first to have them named.

    Args:
        model: any image, signal or video model.
        input_size: size of its only input, as for `trace`.
        backend: use this backend only.
        example_inputs: its inputs, as for `trace`.

    Returns:
        The graph together with the torch.fx nodes.

    Raises:
        TraceError: the model cannot be traced, or the inputs do not fit.
    """
    model, inputs = _prepare(model, input_size, example_inputs)
    return _trace_model(model, inputs, backend, name_merges=False)


def _prepare(
    model: nn.Module, input_size: InputSize, example_inputs: ExampleInputs | None
) -> tuple[nn.Module, NamedInputs]:
    """Return the eager model and its fake inputs, or raise TraceError."""
    check_is_traceable(model)
    # Compiled code calls no modules that could be traced.
    model = uncompiled(model)
    return model, make_inputs(model, input_size, example_inputs)


def _trace_model(
    model: nn.Module,
    inputs: NamedInputs,
    backend: TraceBackend | None,
    name_merges: bool,
) -> TracedModel:
    """Trace a fake copy of the model and build its graph."""
    try:
        fake_model = fake_copy(without_graph(model))
        traced = _trace_copy(model, fake_model, inputs, backend)
        merge_count = 0
        # A model of `insert_merges` has its names already.
        if name_merges and not has_inserted_merges(model):
            merge_count = insert_merge_modules(
                fake_model, traced.fx_graph, traced.values, traced.outputs
            )
    except Exception as error:
        reason = describe_failure(model, inputs, error)
        raise TraceError(
            f"Cannot trace this model for {format_inputs(inputs)}: {reason}."
        ) from error
    return _build(fake_model, traced, merge_count > 0)


def _build(fake_model: nn.Module, traced: Trace, has_new_merges: bool) -> TracedModel:
    """Build the graph of traced nodes."""
    outputs, values = traced.outputs, traced.values
    builder = GraphBuilder(fake_model, outputs.inner, values)
    graph = builder.build(traced.fx_graph, traced.backend)
    if has_new_merges:
        # The order of an Add's operands is known only after its skip has been found.
        if put_shortcut_first(fake_model, builder.fx_nodes, graph.skips):
            builder = GraphBuilder(fake_model, outputs.inner, values)
            graph = builder.build(traced.fx_graph, traced.backend)
        graph = replace(graph, merges_inserted="by insert_merges")
    # What a module returns wins over a node of its name.
    node_by_name = {**builder.fx_nodes, **outputs.outputs}
    return TracedModel(graph, traced.fx_graph, node_by_name, builder.counted_products())


def _trace_copy(
    model: nn.Module, fake_model: nn.Module, inputs: NamedInputs, backend: TraceBackend | None
) -> Trace:
    """Trace a fake copy, or reuse the nodes that the model carries."""
    if isinstance(model, fx.GraphModule):
        # Traced again it would lose the names of its blocks.
        if has_inserted_merges(model) and backend is None:
            return _reuse_nodes(model, fake_model, inputs)
        return _trace_graph_module(model, fake_model, inputs, backend)
    if backend != "recorder":
        try:
            return _trace_with_fx(fake_model, inputs)
        except Exception:
            # The caller asked for torch.fx only.
            if backend:
                raise
    return _record_copy(fake_model, inputs)


def _reuse_nodes(model: fx.GraphModule, fake_model: nn.Module, inputs: NamedInputs) -> Trace:
    """Return the nodes of a model of `insert_merges`."""
    outputs = ModuleOutputs()
    fx_graph = outputs.load_from_meta(model.graph)
    values = ShapePropagator(fake_model, fx_graph).propagate(inputs)
    return Trace(fx_graph, outputs, values, model.meta["traced_by"])


def _trace_graph_module(
    model: fx.GraphModule, fake_model: nn.Module, inputs: NamedInputs, backend: TraceBackend | None
) -> Trace:
    """Take over the nodes of another's graph module."""
    fx_graph, outputs = copy_graph(model)
    restore_owners(fake_model, fx_graph)
    if backend == "recorder":
        return _record_copy(runnable(fake_model, fx_graph), inputs)
    values = ShapePropagator(fake_model, fx_graph).propagate(inputs)
    check_inplace_safety(fx_graph, model, values)
    return Trace(fx_graph, outputs, values, "torch.fx")


def _record_copy(fake_model: nn.Module, inputs: NamedInputs) -> Trace:
    """Trace a fake copy with the recorder."""
    fx_graph, outputs = record_graph(fake_model, inputs)
    values = ShapePropagator(fake_model, fx_graph).propagate(inputs)
    return Trace(fx_graph, outputs, values, "recorder")


def _trace_with_fx(fake_model: nn.Module, inputs: NamedInputs) -> Trace:
    """Trace with torch.fx, and refuse in-place operations that it cannot see."""
    tracer = ModuleTracer()
    fx_graph = tracer.trace(fake_model)
    values = ShapePropagator(fake_model, fx_graph).propagate(inputs)
    check_inplace_safety(fx_graph, fake_model, values)
    return Trace(fx_graph, tracer.outputs, values, "torch.fx")


def describe_failure(model: nn.Module, inputs: NamedInputs, error: Exception) -> str:
    """Say why a model could not be traced.

    Args:
        model: the model.
        inputs: its fake inputs.
        error: the exception.

    Returns:
        The reason, without a final period.
    """
    # First: errors of int8 models are about anything but that.
    if is_quantized(model):
        return (
            "it is quantized (int8), and its values are no ordinary tensors. "
            "Use the float model that it was converted from"
        )
    missing = [name for name in required_arguments(model) if name not in inputs]
    if missing:
        return (
            f"forward also needs {', '.join(missing)}. Pass all inputs as example_inputs, "
            "a tuple of tensors with their batch"
        )
    lines = str(error).strip().splitlines()
    # Some exceptions have no message, such as a bare NotImplementedError.
    if not lines:
        return type(error).__name__
    return lines[0].removesuffix(".")


def propagate_shapes(
    model: nn.Module, fx_graph: fx.Graph, input_size: InputSize
) -> dict[fx.Node, Any]:
    """Compute the output shape of every node without allocating memory.

    Args:
        model: the model that the nodes refer to.
        fx_graph: its nodes.
        input_size: (C, H, W) of one image.

    Returns:
        A fake value for each node.
    """
    first = next(iter(fx_graph.nodes))
    inputs = {str(first.target): fake_tensor(torch.empty(1, *input_size))}
    return ShapePropagator(fake_copy(without_graph(model)), fx_graph).propagate(inputs)
