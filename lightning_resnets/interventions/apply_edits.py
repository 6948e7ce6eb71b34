"""Apply interventions to tensors: the operands of a merge, or the output of a module."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from lightning_resnets.errors import InterventionError
from lightning_resnets.interventions.edits import (
    BypassBlock,
    Channels,
    MergeEdit,
    OutputEdit,
    ScaleInput,
    SetInput,
    ZeroChannels,
)


def apply_merge_edits(operands: Sequence[Tensor], edits: Iterable[MergeEdit]) -> tuple[Tensor, ...]:
    """Apply edits to the operands of one merge; the tensors are not written to.

    Args:
        operands: operands in order.
        edits: edits of this merge, with operands as numbers.

    Returns:
        The new operands.

    Raises:
        InterventionError: there is no such operand, or a value does not fit.
    """
    # Edits of one operand build on one another, in their order.
    changed = list(operands)
    for edit in edits:
        number = edit.operand
        assert isinstance(number, int)
        _require_operand(edit, number, len(changed))
        if isinstance(edit, ScaleInput):
            changed[number] = _scale(changed[number], edit)
        else:
            changed[number] = _set_value(changed[number], edit)
    return tuple(changed)


def apply_output_edit(output: object, edit: OutputEdit, module_input: object) -> Tensor:
    """Apply an edit to the output of a module; the tensors are not written to.

    Args:
        output: output of the module, (N, C, ...).
        edit: the edit.
        module_input: input of the module, which `BypassBlock` returns.

    Returns:
        The new output, of the same shape.

    Raises:
        InterventionError: the output is not a tensor with channels, or the edit does not fit.
    """
    name = edit.hook_point
    if not isinstance(output, Tensor) or output.dim() < 2:
        raise InterventionError(
            f"'{name}' does not return a tensor with channels. Use one of its submodules."
        )
    if isinstance(edit, BypassBlock):
        return _bypass(output, edit, module_input)
    index = _channel_index(output, edit.channels, f"'{name}' returns")
    if isinstance(edit, ZeroChannels):
        return output.index_fill(1, index, 0)
    return _keep_channels(output, index)


def _require_operand(edit: MergeEdit, number: int, count: int) -> None:
    """Raise InterventionError if a merge has too few operands."""
    if number >= count:
        raise InterventionError(
            f"'{edit.merge}' has {count} operands, numbered from 0: there is no number {number}."
        )


def _keep_channels(output: Tensor, index: Tensor) -> Tensor:
    """Set all channels but these to zero."""
    zeros = torch.zeros_like(output)
    # There is nothing to copy.
    if not len(index):
        return zeros
    return zeros.index_copy(1, index, output.index_select(1, index))


def _scale(operand: Tensor, edit: ScaleInput) -> Tensor:
    """Multiply an operand; a factor of 0 also removes infinities and NaN."""
    # 0 times infinity would be NaN.
    if edit.factor == 0:
        return torch.zeros_like(operand)
    return operand * edit.factor


def _set_value(operand: Tensor, edit: SetInput) -> Tensor:
    """Replace an operand or some of its channels."""
    label = f"operand {edit.operand} of '{edit.merge}'"
    # The model may be in half precision or on another device.
    value = torch.as_tensor(edit.value, dtype=operand.dtype, device=operand.device)
    if edit.channels is None:
        # The model may write to its operand, and an expanded tensor shares memory.
        return _broadcast(value, operand.shape, operand, label).clone()
    index = _channel_index(operand, edit.channels, f"{label} has")
    shape = (operand.shape[0], len(index), *operand.shape[2:])
    label = f"channels {', '.join(map(str, index.tolist()))} of {label}"
    # Out of place: the operand may be recorded, or read by other layers.
    return operand.index_copy(1, index, _broadcast(value, shape, operand, label))


def _broadcast(value: Tensor, shape: Sequence[int], operand: Tensor, label: str) -> Tensor:
    """Expand a value to a shape; one of shape (C,) holds a number per channel."""
    wide = value
    # (C,) becomes (C, 1, 1), which broadcasts over positions instead of columns.
    if value.dim() == 1:
        wide = value.reshape(-1, *[1] * (operand.dim() - 2))
    try:
        return wide.expand(shape)
    except RuntimeError as error:
        raise InterventionError(
            f"A value of shape {tuple(value.shape)} does not fit {label}, "
            f"which has shape {tuple(operand.shape)}."
        ) from error


def _bypass(output: Tensor, edit: BypassBlock, module_input: object) -> Tensor:
    """Return the input of a block if it has the shape of its output."""
    # Several inputs come as a tuple.
    if isinstance(module_input, Tensor) and module_input.shape == output.shape:
        return module_input
    found = "not a single tensor"
    if isinstance(module_input, Tensor):
        found = f"of shape {tuple(module_input.shape)}"
    raise InterventionError(
        f"'{edit.hook_point}' cannot be bypassed: its input is {found} "
        f"and its output of shape {tuple(output.shape)}."
    )


def _channel_index(tensor: Tensor, channels: Channels, subject: str) -> Tensor:
    """Return channel numbers as a tensor; raise InterventionError if one is too large."""
    assert isinstance(channels, tuple)
    width = tensor.shape[1]
    # torch would raise an IndexError of its own, without the name.
    if channels and max(channels) >= width:
        raise InterventionError(
            f"{subject[0].upper()}{subject[1:]} {width} channels, numbered from 0: "
            f"there is no number {max(channels)}."
        )
    return torch.tensor(channels, dtype=torch.long, device=tensor.device)
