"""All that is on the screen, computed from the request and the newest result: one pure step."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from gui.descriptions import describe_edit
from gui.details import Detail, ReceptiveField
from gui.graph import Edit, EditKey, Graph, MergeKind, Node
from gui.measures import DepthCell, MeasureValues, default_measure, depth_cells
from gui.state import Badge, Contrast, ModelChoice, Order, Request, Result

BAR_COUNT = 5  # classes of the prediction that are shown


@dataclass(frozen=True, slots=True)
class ClassBar:
    """One class of the prediction: its probability now, and without edits if there are any."""

    label: str
    probability: float
    before: float | None


@dataclass(frozen=True, slots=True)
class EditChip:
    """One active edit in words."""

    key: EditKey
    text: str
    kind: MergeKind | Literal["block"]


@dataclass(frozen=True, slots=True, eq=False)
class ViewState:
    """All that is on the screen; a view is updated only where its part differs from the last."""

    page: Literal["start", "model"] = "start"
    title: str = "Lightning ResNets"
    facts: tuple[tuple[str, str], ...] = ()
    warning: str = ""
    badges: tuple[Badge, ...] = ()
    choices: tuple[ModelChoice, ...] = ()
    diagram: Graph = field(default_factory=Graph)
    selected: str | None = None
    node: Node | None = None
    edits: tuple[Edit, ...] = ()
    chips: tuple[EditChip, ...] = ()
    changes: dict[str, float] = field(default_factory=dict)
    image_label: str = ""
    input_pixels: np.ndarray | None = None
    bars: tuple[ClassBar, ...] = ()
    detail: Detail | None = None
    receptive_field: ReceptiveField | None = None
    contrast: Contrast = "channel"
    order: Order = "channel"
    strip_measure: str = ""
    cells: tuple[DepthCell, ...] = ()
    colors: MeasureValues | None = None
    status: str = ""


def make_view_state(request: Request, result: Result) -> ViewState:
    """Combine the pending request with the latest result into the view state.

    Args:
        request: what the user chose last.
        result: what was computed last, possibly for an earlier request.

    Returns:
        All that is to be on the screen.
    """
    model = result.model
    if model is None:
        if request.checkpoint:
            return ViewState(status="Opening…")
        return ViewState()
    # Edits that belong to a model still being opened must not be drawn on the present one.
    is_current = model.key == request.checkpoint
    edits = request.edits if is_current else ()
    # Without an image there are cells but no values.
    strip = result.strip or MeasureValues(default_measure(model.diagram), {})
    return ViewState(
        page="model",
        title=model.title,
        facts=model.facts,
        warning=model.warning,
        badges=model.badges + result.image_badges,
        choices=model.choices,
        diagram=model.diagram,
        selected=request.selected,
        # The heading names the node whose maps are shown, not the one being computed.
        node=model.diagram.node(result.detail.name if result.detail else request.selected),
        edits=edits,
        chips=tuple(edit_chip(edit, model.diagram) for edit in edits),
        changes=result.changes,
        image_label=result.image.label if result.image else "",
        input_pixels=result.input_pixels,
        bars=prediction_bars(result, model.class_names),
        detail=result.detail,
        receptive_field=result.receptive_field,
        contrast=request.contrast,
        order=request.gate_order,
        strip_measure=strip.name,
        cells=depth_cells(model.diagram, strip.values, strip.notes),
        colors=result.colors,
        status="" if is_current else "Opening…",
    )


def prediction_bars(
    result: Result, class_names: Sequence[str], count: int = BAR_COUNT
) -> tuple[ClassBar, ...]:
    """Choose the classes of the prediction to show.

    Args:
        result: has the probabilities.
        class_names: names of the classes.
        count: how many to show.

    Returns:
        The most probable classes, best first. With edits the class that was best without them is
        among them.
    """
    # A feature extractor has no classes.
    if result.probabilities is None or not result.probabilities.size:
        return ()
    # Stable, so that equal probabilities do not swap places from run to run.
    best = [int(i) for i in np.argsort(-result.probabilities, kind="stable")[:count]]
    before = result.probabilities_without_edits if result.edits else None
    if before is not None:
        best_before = int(np.argmax(before))
        if best_before not in best:
            # The class from before the edits stays, in place of the least probable one.
            best[-1] = best_before
    bars = []
    for i in best:
        value_before = None if before is None else float(before[i])
        bars.append(ClassBar(class_names[i], float(result.probabilities[i]), value_before))
    return tuple(bars)


def edit_chip(edit: Edit, diagram: Graph) -> EditChip:
    """Describe an edit, with the kind of merge that it changes.

    Args:
        edit: the edit.
        diagram: the graph that it belongs to.

    Returns:
        The chip.
    """
    node = diagram.node(edit.target)
    kind = node.kind if node and node.kind in ("add", "concat", "gate") else "block"
    return EditChip(edit.key, describe_edit(edit, diagram), kind)
