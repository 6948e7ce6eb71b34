"""Make the inputs with which a model is traced: one image, a signal, a clip, or several inputs."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_resnets.errors import TraceError
from lightning_resnets.graph.fake_tensors import fake_tensor
from lightning_resnets.graph.wrappers import wrapped_child
from lightning_resnets.utils.format import format_shape

# Input of a model without the batch: (C, L), (C, H, W) or (C, D, H, W).
InputSize = tuple[int, ...]

# One tensor, several by position, or several by the names of the arguments of `forward`.
ExampleInputs = Tensor | Sequence[Any] | Mapping[str, Any]

# Arguments of `forward` by name, in their order.
NamedInputs = dict[str, Any]

MAX_SIDE = 2**20  # elements along one axis

# Space has as many axes as the convolutions move along.
SIZE_BY_CONV: dict[type[nn.Module], str] = {
    nn.Conv1d: "(C, L), e.g. (12, 1000)",
    nn.Conv2d: "(C, H, W), e.g. (3, 32, 32)",
    nn.Conv3d: "(C, D, H, W), e.g. (3, 16, 112, 112)",
}


def spatial_axes(model: nn.Module) -> int | None:
    """Return the number of axes along which the first convolution of a model moves.

    Args:
        model: any model.

    Returns:
        1, 2 or 3; None for a model without convolutions.
    """
    for module in model.modules():
        for axes, kind in enumerate(SIZE_BY_CONV, 1):
            if isinstance(module, kind):
                return axes
    return None


def check_input_size(model: nn.Module, input_size: object) -> None:
    """Check that a size has positive integers, as many as the model's convolutions need.

    Args:
        model: the model.
        input_size: the size to check.

    Raises:
        TraceError: it is not.
    """
    sides: Sequence[object] = input_size if isinstance(input_size, (tuple, list)) else ()
    # A slip of the keyboard may ask for more elements than torch can count.
    is_positive = all(isinstance(side, int) and 0 < side < MAX_SIDE for side in sides)
    axes = spatial_axes(model)
    # A model without convolutions may be of any kind.
    allowed = (2, 3, 4)
    if axes is not None:
        allowed = (axes + 1,)
    if len(sides) not in allowed or not is_positive:
        # Without convolutions an image is the most likely input.
        expected = list(SIZE_BY_CONV.values())[(axes or 2) - 1]
        raise TraceError(f"input_size must be {expected}, got {input_size!r}.")


def make_inputs(
    model: nn.Module, input_size: InputSize, example_inputs: ExampleInputs | None = None
) -> NamedInputs:
    """Make fake inputs of batch size 1.

    Args:
        model: the model.
        input_size: size of its only input, without the batch.
        example_inputs: its inputs, with the batch, instead of a size.

    Returns:
        The arguments of `forward`; tensors are fake.

    Raises:
        TraceError: the size or the inputs do not fit `forward`.
    """
    if example_inputs is None:
        check_input_size(model, input_size)
        return {_first_argument(model): fake_tensor(torch.empty(1, *input_size))}
    inputs = _bind(model, example_inputs)
    _check_values(inputs)
    return with_batch_size({name: _to_fake(value) for name, value in inputs.items()}, 1)


def _check_values(inputs: NamedInputs) -> None:
    """Raise TraceError if an input is no tensor or plain number, or if there is no tensor."""
    for name, value in inputs.items():
        if not isinstance(value, (Tensor, int, float, bool, str, type(None))):
            raise TraceError(
                f"example_inputs must be tensors or plain numbers, got {type(value).__name__} "
                f"for '{name}'."
            )
    tensors = [value for value in inputs.values() if isinstance(value, Tensor)]
    if not tensors:
        raise TraceError("example_inputs must hold at least one tensor, with its batch.")


def with_batch_size(inputs: NamedInputs, batch_size: int) -> NamedInputs:
    """Return fake inputs of another batch size.

    Args:
        inputs: fake inputs. All tensors have the same first axis, the batch, or none changes.
        batch_size: number of images.

    Returns:
        The inputs.
    """
    tensors = [value for value in inputs.values() if isinstance(value, Tensor)]
    sizes = {tuple(tensor.shape[:1]) for tensor in tensors}
    # A scalar, or a mask without a batch, cannot be resized.
    if len(sizes) != 1 or () in sizes:
        return inputs
    resized = dict(inputs)
    for name, value in inputs.items():
        if isinstance(value, Tensor):
            # All images are equal, so the first one stands for the batch.
            resized[name] = value[:1].expand(batch_size, *value.shape[1:])
    return resized


def forward_signature(model: nn.Module) -> inspect.Signature:
    """Return the signature of `forward`; of a wrapper that of the wrapped model.

    Args:
        model: the model.
    """
    name = wrapped_child(model)
    # Wrappers may be nested: a compiled model in DataParallel.
    while name:
        model = model.get_submodule(name)
        name = wrapped_child(model)
    return inspect.signature(model.forward)


def call_model(model: nn.Module, inputs: NamedInputs) -> Any:
    """Call a model with named inputs.

    Args:
        model: the model.
        inputs: arguments of `forward` by name.

    Returns:
        Its output.
    """
    names = list(forward_signature(model).parameters)[: len(inputs)]
    # By position where possible: some arguments have no name for a caller.
    if names == list(inputs):
        return model(*inputs.values())
    return model(**inputs)


def required_arguments(model: nn.Module) -> list[str]:
    """Return the arguments of `forward` that have no default.

    Args:
        model: the model.
    """
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        name
        for name, parameter in forward_signature(model).parameters.items()
        if parameter.default is parameter.empty and parameter.kind in kinds
    ]


def _first_argument(model: nn.Module) -> str:
    """Return the name of the first argument of `forward`."""
    return next(iter(forward_signature(model).parameters), "x")


def _to_fake(value: Any) -> Any:
    """Return a fake tensor for a tensor, anything else as it is."""
    return fake_tensor(value) if isinstance(value, Tensor) else value


def _split_inputs(example_inputs: ExampleInputs) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Return the inputs by position and those by name."""
    if isinstance(example_inputs, Mapping):
        return (), example_inputs
    if isinstance(example_inputs, Tensor):
        return (example_inputs,), {}
    if isinstance(example_inputs, Sequence) and not isinstance(example_inputs, str):
        return example_inputs, {}
    raise TraceError(
        "example_inputs must be a tensor, a tuple of tensors or a dict of them by argument "
        f"name, got {type(example_inputs).__name__}."
    )


def _bind(model: nn.Module, example_inputs: ExampleInputs) -> NamedInputs:
    """Assign the inputs to the arguments of `forward`."""
    args, kwargs = _split_inputs(example_inputs)
    signature = forward_signature(model)
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    try:
        # Binds as Python does, so the message is about the user's arguments.
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        names = ", ".join(signature.parameters)
        raise TraceError(
            f"example_inputs do not fit forward({names}): {str(error).removesuffix('.')}."
        ) from error
    for name in bound.arguments:
        if signature.parameters[name].kind in variadic:
            raise TraceError(
                f"This model takes any number of inputs (*{name}), so it cannot be traced: "
                "wrap it in a module whose forward names its inputs."
            )
    return dict(bound.arguments)


def format_inputs(inputs: NamedInputs) -> str:
    """Format fake inputs without their batch: "an input of 3×32×32".

    Args:
        inputs: the inputs.
    """
    shapes = [format_shape(v.shape[1:]) for v in inputs.values() if isinstance(v, Tensor)]
    if len(shapes) == 1:
        return f"an input of {shapes[0]}"
    return f"inputs of {', '.join(shapes)}"
