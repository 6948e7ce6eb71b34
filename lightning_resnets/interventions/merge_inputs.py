"""Find the inputs of all merges of a model, and keep them until its modules change."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from torch import nn

from lightning_resnets.errors import InterventionError, TraceError
from lightning_resnets.graph import TracedModel, trace_nodes
from lightning_resnets.graph.graph_module import has_inserted_merges
from lightning_resnets.graph.shortcut_operands import (
    ShortcutOperands,
    add_inputs,
    shortcut_operands,
)
from lightning_resnets.interventions.concat_inputs import ConcatInputs, concat_inputs_of

# Sides in pixels of images that a model may take, the most common first.
CANDIDATE_SIZES = (32, 64, 224, 299, 28, 96, 128, 160, 192, 256, 331, 384, 448, 512)


@dataclass(frozen=True, slots=True)
class MergeInputs:
    """Inputs of all merges of a model.

    Attributes:
        concat_inputs: operands of every Concat.
        shortcuts: number of the shortcut operand of every Add that has one.
        add_inputs: names of the sources of every Add's operands.
    """

    concat_inputs: ConcatInputs
    shortcuts: ShortcutOperands
    add_inputs: Mapping[str, tuple[str, ...]]


# The modules of a model when it was traced, and the result.
_known: WeakKeyDictionary[nn.Module, tuple[tuple[int, ...], MergeInputs]] = WeakKeyDictionary()


def concat_inputs(model: nn.Module) -> ConcatInputs:
    """Find the operands of every Concat; see `merge_inputs`.

    Args:
        model: the model.

    Returns:
        Operands by the name of the Concat.

    Raises:
        InterventionError: the model cannot be traced.
    """
    return merge_inputs(model).concat_inputs


def merge_inputs(model: nn.Module) -> MergeInputs:
    """Find the inputs of all merges; the result is kept until the model's modules change.

    It does not depend on the size of the image: the model is traced with the first of the
    `CANDIDATE_SIZES` that it takes.

    Args:
        model: the model.

    Returns:
        Inputs of all merges.

    Raises:
        InterventionError: the model cannot be traced.
    """
    # Identities change when a module is replaced.
    modules = tuple(id(module) for module in model.modules())
    if model in _known and _known[model][0] == modules:
        return _known[model][1]
    inputs = _trace_merge_inputs(model)
    # Weak: the result must not keep the model alive.
    _known[model] = modules, inputs
    return inputs


def _trace_merge_inputs(model: nn.Module) -> MergeInputs:
    """Trace a model with the first size that it takes."""
    if has_inserted_merges(model):
        # Recorded models raise for any other size than this.
        inputs = vars(model)["meta"]["example_inputs"]
        return merge_inputs_of(model, trace_nodes(model, example_inputs=inputs))
    for size in _candidate_input_sizes(model):
        # Some models take one size only, others fail on small ones.
        with suppress(TraceError):
            return merge_inputs_of(model, trace_nodes(model, size))
    raise InterventionError(
        "The inputs of this model's merges cannot be found, because the model cannot be traced: "
        "use an operand's number, from 0."
    )


def merge_inputs_of(model: nn.Module, traced: TracedModel) -> MergeInputs:
    """Find the inputs of all merges of a traced model.

    Args:
        model: the model.
        traced: its trace.

    Returns:
        Inputs of all merges.
    """
    return MergeInputs(
        concat_inputs_of(model, traced), shortcut_operands(traced), add_inputs(traced)
    )


def _candidate_input_sizes(model: nn.Module) -> list[tuple[int, int, int]]:
    """Return sizes of images that a model may take."""
    convolutions = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    # Registration order is the order of execution in nearly all models.
    first = next(convolutions, None)
    channels = 3
    if first:
        channels = first.in_channels
    return [(channels, side, side) for side in CANDIDATE_SIZES]
