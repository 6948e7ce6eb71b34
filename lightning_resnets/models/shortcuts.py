"""Shortcuts of residual blocks: identity, padded (A) or projected (B and C).

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, arXiv:1512.03385, section 3.3.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.merges import Add
from lightning_resnets.models.squeeze_excite import SEPlacement

# The paper compares A, B and C in table 3.
ShortcutType = Literal["A", "B", "C", "none"]
# The paper leaves open where shortcut A adds its channels of zeros.
ShortcutPad = Literal["both", "back"]


class PadShortcut(nn.Module):
    """Shortcut A: take every `stride`-th pixel and pad with channels of zeros.

    Args:
        inplanes: channels of the input.
        planes: channels of the output, at least `inplanes`.
        stride: stride of the block.
        pad: add the zeros in front and behind ("both"), or only behind ("back").

    Raises:
        ValueError: `pad` is not valid.
    """

    def __init__(self, inplanes: int, planes: int, stride: int, pad: ShortcutPad = "both") -> None:
        super().__init__()
        if pad not in ("both", "back"):
            raise ValueError(f"shortcut_pad must be 'both' or 'back', got {pad!r}.")
        self.pad = pad
        self.inplanes = inplanes
        self.planes = planes
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inplanes, H, W) to (N, planes, H / stride, W / stride)."""
        # Zeros in front and behind differ by one channel at most; behind gets the odd one.
        front = 0 if self.pad == "back" else (self.planes - self.inplanes) // 2
        back = self.planes - self.inplanes - front
        x = x[:, :, :: self.stride, :: self.stride]  # (N, inplanes, H / stride, W / stride)
        # Pairs of paddings: width, height, channels.
        return F.pad(x, (0, 0, 0, 0, front, back))

    def extra_repr(self) -> str:
        """Show the channels and the stride in the model's text."""
        return f"{self.inplanes}, {self.planes}, stride={self.stride}"


def conv1x1(inplanes: int, planes: int, stride: int = 1) -> nn.Conv2d:
    """Build a 1x1 convolution with no bias.

    Args:
        inplanes: channels of the input.
        planes: channels of the output.
        stride: stride.

    Returns:
        Maps (N, inplanes, H, W) to (N, planes, H / stride, W / stride).
    """
    return nn.Conv2d(inplanes, planes, 1, stride, bias=False)


def make_shortcut(
    inplanes: int,
    planes: int,
    stride: int,
    shortcut_type: ShortcutType,
    norm: bool = True,
    kernel_size: int = 1,
    pad: ShortcutPad = "both",
) -> nn.Module | None:
    """Build the module that fits a shortcut to the shape of the branch.

    Args:
        inplanes: channels of the block's input.
        planes: channels of the block's output.
        stride: stride of the block.
        shortcut_type: the paper's options: "A" pads with zeros, "B" projects by a 1x1 convolution
            where the shape changes, "C" projects everywhere, "none" for a plain model.
        norm: put batch norm behind the convolution.
        kernel_size: side of the projection's window.
        pad: see `PadShortcut`.

    Returns:
        The module, or None if the shortcut is the identity or missing.

    Raises:
        ValueError: `shortcut_type` is not valid.
    """
    if shortcut_type not in ("A", "B", "C", "none"):
        raise ValueError(f"shortcut_type must be A, B, C or none, got {shortcut_type!r}.")
    has_same_shape = stride == 1 and inplanes == planes
    # Type C projects even where the identity would do.
    if shortcut_type == "none" or (has_same_shape and shortcut_type != "C"):
        return None
    if shortcut_type == "A":
        return PadShortcut(inplanes, planes, stride, pad)
    # Keeps the sides, as the branch's 3x3 convolutions do.
    padding = kernel_size // 2
    conv = nn.Conv2d(inplanes, planes, kernel_size, stride, padding, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(planes)) if norm else conv


def make_add(shortcut_type: ShortcutType, se_placement: SEPlacement) -> Add | None:
    """Build a block's Add.

    Args:
        shortcut_type: "none" for a plain model.
        se_placement: placement of SE in the block.

    Returns:
        The Add, or None for a plain model.

    Raises:
        ValueError: SE cannot stand on the shortcut of a plain model.
    """
    if shortcut_type != "none":
        return Add()
    if se_placement == "identity":
        raise ValueError("se_placement 'identity' requires a shortcut; a plain model has none.")
    return None
