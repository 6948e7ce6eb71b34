"""From a model to its graph: torch.fx or the recorder follows it, merges are found by class, skips by dominators.

The rules by which a path is called a skip are those of the papers: the lighter way round to an Add (He et al. 2015,
arXiv:1512.03385), every earlier layer at a Concat (Huang et al. 2017, arXiv:1608.06993), the tensor that a Gate weighs
(Hu et al. 2018, arXiv:1709.01507).
"""

from collections.abc import Sequence
from dataclasses import replace
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


def trace(model: nn.Module, size: tuple[int, int, int] = (3, 32, 32)) -> ModelGraph:
    """The unfolded graph of a model for images of size (C, H, W), as in evaluation.

    Where a model joins paths by functions (`+`, `torch.cat`), as torchvision's and timm's do, the joins have the names
    that `reveal` gives them, and `named` says so: they are for use with the revealed model, `operate(reveal(model, size),
    Scale("layer1.0.add", ...))`. The model itself is not run and not touched: a copy of its structure is, so mode,
    device, dtype and hooks do not matter. By torch.fx, and where that refuses the model by the recorder: `followed` says
    which. Raises TraceError where neither can follow, or the size does not fit.
    """
    return _traced(model, size, None, naming=True).graph


def trace_nodes(
    model: nn.Module, size: tuple[int, int, int] = (3, 32, 32), by: TraceBackend | None = None
) -> TracedModel:
    """The graph with the steps behind its blocks, for who runs them one by one on this very model.

    Joins by functions stay as they are: `reveal` the model first to have them named. `by` allows one way only.
    """
    return _traced(model, size, by, naming=False)


def _traced(
    model: nn.Module, size: tuple[int, int, int], by: TraceBackend | None, naming: bool
) -> TracedModel:
    check_image_size(size)
    joins = 0
    try:
        ghost, image = fake_copy(without_graph(model)), fake_tensor(torch.empty(1, *size))
        if isinstance(model, fx.GraphModule) and by is None:
            way, places = model.meta.get("followed", "torch.fx"), ModuleOutputs()
            steps = places.load_from_meta(model.graph)
            values = ShapePropagator(ghost, steps).propagate(image)
        else:
            steps, places, values, way = _followed(ghost, image, by)
            joins = insert_merge_modules(ghost, steps, values, places) if naming else 0
    except Exception as error:
        sides = "×".join(map(str, size))
        raise TraceError(
            f"This model cannot be followed for an image of {sides}: {first_line(error)}."
        ) from error
    builder = GraphBuilder(ghost, places.inner, values)
    blocks = builder.build(steps, way)
    if joins:
        if put_shortcut_first(builder.steps, blocks.skips):
            builder = GraphBuilder(ghost, places.inner, values)
            blocks = builder.build(steps, way)
        blocks = replace(blocks, merges_inserted="by insert_merges")
    return TracedModel(blocks, steps, {**builder.steps, **places.outputs}, builder.counts())


def check_image_size(size: object) -> None:
    """Raises TraceError for what is no size (C, H, W) of an image."""
    sides: Sequence[object] = size if isinstance(size, (tuple, list)) else ()
    if len(sides) != 3 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise TraceError(
            f"The size of an image is (C, H, W), e.g. (3, 32, 32), and {size!r} is none."
        )


def _followed(
    ghost: nn.Module, image: Tensor, by: TraceBackend | None
) -> tuple[fx.Graph, ModuleOutputs, dict[fx.Node, Any], TraceBackend]:
    if by != "recorder":
        try:
            tracer = ModuleTracer()
            steps = tracer.trace(ghost)
            values = ShapePropagator(ghost, steps).propagate(image)
            check_inplace_safety(steps, ghost, values)
            return steps, tracer.places, values, "torch.fx"
        except Exception:
            if by:
                raise
    steps, places = record_graph(ghost, image)
    return steps, places, ShapePropagator(ghost, steps).propagate(image), "recorder"


def first_line(error: Exception) -> str:
    """The first line of what an exception says."""
    lines = str(error).strip().splitlines()
    return lines[0].removesuffix(".") if lines else type(error).__name__


def propagate_shapes(
    model: nn.Module, steps: fx.Graph, size: tuple[int, int, int]
) -> dict[fx.Node, Any]:
    """What every step gives for an image of (C, H, W), as blanks: shapes and no memory."""
    return ShapePropagator(fake_copy(without_graph(model)), steps).propagate(
        fake_tensor(torch.empty(1, *size))
    )
