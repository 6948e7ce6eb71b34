"""Trace a model to its graph, with torch.fx or, where that fails, with the recorder.

Merges are found by class, skips by dominators. The rules for skips are those of the papers: the
lighter path into an Add (He et al. 2015, arXiv:1512.03385), every earlier layer at a Concat
(Huang et al. 2017, arXiv:1608.06993), the tensor that a Gate weighs (Hu et al. 2018,
arXiv:1709.01507).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from lightning_resnets.errors import TraceError
from lightning_resnets.graph.builder import GraphBuilder
from lightning_resnets.graph.data import TraceBackend
from lightning_resnets.graph.fake_tensors import (
    ShapePropagator,
    fake_copy,
    fake_tensor,
    without_graph,
)
from lightning_resnets.graph.fx_tracer import ModuleOutputs, ModuleTracer, check_inplace_safety
from lightning_resnets.graph.merge_modules import insert_merge_modules, put_shortcut_first
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.graph.recorder import record_graph
from lightning_resnets.graph.traced_model import TracedModel
from lightning_resnets.utils.format import format_shape


@dataclass(slots=True)
class Trace:
    """Nodes of a forward pass, with the module and the fake value of each."""

    fx_graph: fx.Graph
    outputs: ModuleOutputs
    values: dict[fx.Node, Any]
    backend: TraceBackend


def trace(model: nn.Module, input_size: tuple[int, int, int] = (3, 32, 32)) -> ModelGraph:
    """Trace a model in evaluation mode to its unfolded graph.

    The model itself is neither run nor changed: a fake copy of its structure is run. So mode,
    device, dtype and hooks do not matter. Where a model merges paths by functions (`+`,
    `torch.cat`), the merges have the names that `insert_merges` gives them, and
    `merges_inserted` says so: use them with the model that `insert_merges` returns.

    Args:
        model: any image model.
        input_size: (C, H, W) of one image.

    Returns:
        The graph; `traced_by` says whether torch.fx or the recorder traced it.

    Raises:
        TraceError: neither backend can trace the model, or the size does not fit.
    """
    return _trace_model(model, input_size, None, name_merges=True).graph


def trace_nodes(
    model: nn.Module,
    input_size: tuple[int, int, int] = (3, 32, 32),
    backend: TraceBackend | None = None,
) -> TracedModel:
    """Trace a model and keep the torch.fx nodes, to run this very model node by node.

    Functional merges stay as they are; call `insert_merges` first to have them named.

    Args:
        model: any image model.
        input_size: (C, H, W) of one image.
        backend: use this backend only.

    Returns:
        The graph together with the torch.fx nodes.

    Raises:
        TraceError: the model cannot be traced, or the size does not fit.
    """
    return _trace_model(model, input_size, backend, name_merges=False)


def _trace_model(
    model: nn.Module,
    input_size: tuple[int, int, int],
    backend: TraceBackend | None,
    name_merges: bool,
) -> TracedModel:
    """Trace a fake copy of the model and build its graph."""
    check_image_size(input_size)
    try:
        fake_model = fake_copy(without_graph(model))
        traced = _trace_fake(model, fake_model, input_size, backend)
        merge_count = 0
        if name_merges and not _is_traced_before(model, backend):
            merge_count = insert_merge_modules(
                fake_model, traced.fx_graph, traced.values, traced.outputs
            )
    except Exception as error:
        raise TraceError(
            f"Cannot trace this model for an input of {format_shape(input_size)}: "
            f"{first_line(error)}."
        ) from error
    return _build(fake_model, traced, merge_count > 0)


def _build(fake_model: nn.Module, traced: Trace, has_new_merges: bool) -> TracedModel:
    """Build the graph of traced nodes."""
    outputs, values = traced.outputs, traced.values
    builder = GraphBuilder(fake_model, outputs.inner, values)
    graph = builder.build(traced.fx_graph, traced.backend)
    if has_new_merges:
        # The order of an Add's operands is known only after its skip has been found.
        if put_shortcut_first(builder.fx_nodes, graph.skips):
            builder = GraphBuilder(fake_model, outputs.inner, values)
            graph = builder.build(traced.fx_graph, traced.backend)
        graph = replace(graph, merges_inserted="by insert_merges")
    node_by_name = {**builder.fx_nodes, **outputs.outputs}
    return TracedModel(graph, traced.fx_graph, node_by_name, builder.counted_products())


def check_image_size(input_size: object) -> None:
    """Check that a size is a (C, H, W) of positive integers.

    Args:
        input_size: the size to check.

    Raises:
        TraceError: it is not.
    """
    sides: Sequence[object] = input_size if isinstance(input_size, (tuple, list)) else ()
    if len(sides) != 3 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise TraceError(f"input_size must be (C, H, W), e.g. (3, 32, 32), got {input_size!r}.")


def _is_traced_before(model: nn.Module, backend: TraceBackend | None) -> bool:
    """Return True for a model that carries its nodes, unless a backend is requested."""
    return isinstance(model, fx.GraphModule) and backend is None


def _trace_fake(
    model: nn.Module,
    fake_model: nn.Module,
    input_size: tuple[int, int, int],
    backend: TraceBackend | None,
) -> Trace:
    """Trace the fake model, or reuse the nodes that the model carries."""
    image = fake_tensor(torch.empty(1, *input_size))
    if isinstance(model, fx.GraphModule) and _is_traced_before(model, backend):
        outputs = ModuleOutputs()
        fx_graph = outputs.load_from_meta(model.graph)
        values = ShapePropagator(fake_model, fx_graph).propagate(image)
        return Trace(fx_graph, outputs, values, model.meta.get("traced_by", "torch.fx"))
    if backend != "recorder":
        try:
            return _trace_with_fx(fake_model, image)
        except Exception:
            if backend:
                raise
    fx_graph, outputs = record_graph(fake_model, image)
    values = ShapePropagator(fake_model, fx_graph).propagate(image)
    return Trace(fx_graph, outputs, values, "recorder")


def _trace_with_fx(fake_model: nn.Module, image: Tensor) -> Trace:
    """Trace with torch.fx, and refuse in-place operations that it cannot see."""
    tracer = ModuleTracer()
    fx_graph = tracer.trace(fake_model)
    values = ShapePropagator(fake_model, fx_graph).propagate(image)
    check_inplace_safety(fx_graph, fake_model, values)
    return Trace(fx_graph, tracer.outputs, values, "torch.fx")


def first_line(error: Exception) -> str:
    """Return the first line of an exception's message.

    Args:
        error: the exception.

    Returns:
        The line without a final period; the class name where there is no message.
    """
    lines = str(error).strip().splitlines()
    return lines[0].removesuffix(".") if lines else type(error).__name__


def propagate_shapes(
    model: nn.Module, fx_graph: fx.Graph, input_size: tuple[int, int, int]
) -> dict[fx.Node, Any]:
    """Compute the output shape of every node without allocating memory.

    Args:
        model: the model that the nodes refer to.
        fx_graph: its nodes.
        input_size: (C, H, W) of one image.

    Returns:
        A fake value for each node.
    """
    image = fake_tensor(torch.empty(1, *input_size))
    return ShapePropagator(fake_copy(without_graph(model)), fx_graph).propagate(image)
