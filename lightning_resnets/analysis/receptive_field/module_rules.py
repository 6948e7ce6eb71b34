"""Receptive-field windows of torch's modules; other modules are measured."""

import copy
from typing import Any

from torch import Tensor, nn

from lightning_resnets.analysis.receptive_field.layout_windows import (
    norm_window,
    reshape_window,
)
from lightning_resnets.analysis.receptive_field.measured import measure_receptive_window
from lightning_resnets.analysis.receptive_field.windows import (
    Axes,
    WindowSpec,
    adaptive_pool_window,
    pad_window,
    sliding_window,
    spatial_size_nchw,
)

POINTWISE_MODULES = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Hardtanh,
    nn.Sigmoid,
    nn.Tanh,
    nn.Softplus,
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
)
SLIDING_MODULES = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d)
ADAPTIVE_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
PADDING_MODULES = (
    nn.ZeroPad2d,
    nn.ReflectionPad2d,
    nn.ReplicationPad2d,
    nn.ConstantPad2d,
    nn.CircularPad2d,
)


def window_of_module(module: nn.Module, value: Tensor, axes: Axes, output: Tensor) -> WindowSpec:
    """Return the receptive-field window of a module.

    Args:
        module: the module.
        value: its input, a fake tensor.
        axes: axes of height and width of the input.
        output: its output, a fake tensor.

    Returns:
        The module's window.

    Raises:
        UnknownWindowError: the window is unknown.
    """
    if isinstance(module, (*SLIDING_MODULES, *ADAPTIVE_POOLS)):
        return _window_of_sliding_module(module, value, axes, output)
    if isinstance(module, PADDING_MODULES):
        pads: Any = module.padding
        return pad_window((pads,) * 4 if isinstance(pads, int) else pads, value.dim(), axes)
    # Measuring is slow and approximate, so it comes last.
    known = _window_of_torch_module(module, value, axes, output)
    return known or measure_receptive_window(_cpu_copy(module), value, axes)


def _window_of_sliding_module(
    module: nn.Module, value: Tensor, axes: Axes, output: Tensor
) -> WindowSpec:
    """Return the window of a convolution or pool, also of a subclass."""
    input_size = spatial_size_nchw(value, axes)
    output_size = spatial_size_nchw(output, axes)
    if isinstance(module, ADAPTIVE_POOLS):
        return adaptive_pool_window(axes, input_size, output_size)
    # timm's and other subclasses pad inside their forward method.
    may_pad = not _is_torch_module(module) or vars(module).get("padding") == "same"
    return WindowSpec(axes, sliding_window(vars(module), input_size, output_size, may_pad))


def _window_of_torch_module(
    module: nn.Module, value: Tensor, axes: Axes, output: Tensor
) -> WindowSpec | None:
    """Return the window of one of torch's norms, linear maps or activations, else None."""
    if not _is_torch_module(module):
        return None
    # These norms use statistics of one image over all positions.
    if isinstance(module, (nn.GroupNorm, nn.InstanceNorm2d)):
        return WindowSpec(axes, includes_global=True)
    if isinstance(module, nn.BatchNorm2d):
        # Without running statistics it uses those of the batch, also in evaluation mode.
        return WindowSpec(axes, includes_global=module.running_mean is None)
    if isinstance(module, nn.LayerNorm):
        return norm_window(len(module.normalized_shape), value.dim(), axes)
    if isinstance(module, nn.Linear):
        return norm_window(1, value.dim(), axes)
    if isinstance(module, (nn.Flatten, nn.Unflatten)):
        return reshape_window(tuple(value.shape), axes, tuple(output.shape))
    return WindowSpec(axes) if isinstance(module, POINTWISE_MODULES) else None


def _is_torch_module(module: nn.Module) -> bool:
    """Return True for torch's own modules; a subclass may do more than its base."""
    return type(module).__module__.startswith("torch.nn.modules")


def _cpu_copy(module: nn.Module) -> nn.Module:
    """Return a copy of a module on the CPU in evaluation mode."""
    return copy.deepcopy(module).to("cpu").eval()
