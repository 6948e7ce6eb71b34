"""Squeeze-and-excitation: weight the channels of a feature map by a function of their means.

Hu, Shen, Albanie, Sun, Wu: Squeeze-and-Excitation Networks, arXiv:1709.01507, section 3.
"""

from typing import Literal, TypedDict

from torch import Tensor, nn

from lightning_resnets.merges import Gate

# Section 6.5 of the paper, figure 5.
SEPlacement = Literal["standard", "pre", "post", "identity", "3x3"]
SEPool = Literal["mean", "max"]

SE_POOLS: dict[str, type[nn.Module]] = {
    "mean": nn.AdaptiveAvgPool2d,
    "max": nn.AdaptiveMaxPool2d,
}


class SEOptions(TypedDict, total=False):
    """Model kwargs of every model with SE.

    Attributes:
        se_reduction: reduction ratio r; 0 for no SE.
        se_placement: position in the block (section 6.5 of the paper).
        se_bias: give fc1 and fc2 biases.
        se_pool: how each channel is reduced to one number.
        se_divisor: round the width of fc1 to a multiple of this (timm: 8).
        se_pre_relu: put a ReLU in front of SE, as some published models have it.
    """

    se_reduction: int
    se_placement: SEPlacement
    se_bias: bool
    se_pool: SEPool
    se_divisor: int
    se_pre_relu: bool


class SqueezeExcite(nn.Module):
    """Multiply every channel by sigmoid(fc2(relu(fc1(mean of the channel)))).

    fc1 and fc2 are 1x1 convolutions, named as in timm.

    Args:
        channels: channels C of the input.
        reduction: the paper's r. fc1 has C // r outputs, or with `divisor` C / r rounded to the
            nearest multiple of it, at least one.
        bias: give fc1 and fc2 biases (section 6 of the paper makes them optional).
        pool: "max" takes each channel's maximum instead of its mean.
        divisor: see `reduction`.
        pre_relu: apply a ReLU to the input first, so that relu(x) is weighted.

    Raises:
        ValueError: `pool` or `reduction` is not valid.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        bias: bool = True,
        pool: SEPool = "mean",
        divisor: int = 1,
        pre_relu: bool = False,
    ) -> None:
        super().__init__()
        if pool not in SE_POOLS:
            raise ValueError(f"se_pool must be {' or '.join(SE_POOLS)}, got {pool!r}.")
        width = reduced_channels(channels, reduction, divisor)
        self.relu0 = nn.ReLU() if pre_relu else None
        # Squeeze: one number per channel.
        self.squeeze = SE_POOLS[pool](1)
        # Excitation: 1x1 convolutions are linear layers on (N, C, 1, 1).
        self.fc1 = nn.Conv2d(channels, width, 1, bias=bias)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(width, channels, 1, bias=bias)
        self.sigmoid = nn.Sigmoid()
        self.gate = Gate()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        if self.relu0 is not None:
            x = self.relu0(x)  # (N, C, H, W)
        weight = self.squeeze(x)  # (N, C, 1, 1)
        weight = self.fc2(self.relu(self.fc1(weight)))  # (N, C, 1, 1)
        return self.gate(x, self.sigmoid(weight))  # (N, C, H, W)


def reduced_channels(channels: int, reduction: int, divisor: int = 1) -> int:
    """Return the number of outputs of fc1.

    Args:
        channels: channels of the input.
        reduction: the paper's r, 1 to `channels`.
        divisor: the result is rounded to a multiple of this, at least one.

    Returns:
        `channels // reduction`, or the rounded number.

    Raises:
        ValueError: `reduction` is out of range.
    """
    if reduction < 1 or channels < reduction:
        raise ValueError(
            f"se_reduction must be 1 to {channels} for {channels} channels, got {reduction}."
        )
    if divisor == 1:
        return channels // reduction
    # Rounds to nearest as timm's make_divisible does.
    return max(divisor, int(channels / reduction + divisor / 2) // divisor * divisor)


def make_se(
    channels: dict[SEPlacement, int],
    se_reduction: int = 0,
    se_placement: SEPlacement = "standard",
    se_bias: bool = True,
    se_pool: SEPool = "mean",
    se_divisor: int = 1,
    se_pre_relu: bool = False,
) -> SqueezeExcite | None:
    """Build the SE module of a block.

    Args:
        channels: number of channels at each placement that the block supports.
        se_reduction: see `SEOptions`, as for all that follow.
        se_placement: one of the keys of `channels`.
        se_bias: biases in fc1 and fc2.
        se_pool: "mean" or "max".
        se_divisor: divisor of fc1's width.
        se_pre_relu: a ReLU in front.

    Returns:
        The module, or None if `se_reduction` is 0.

    Raises:
        ValueError: the block does not support the placement, or an option is not valid.
    """
    if se_placement not in channels:
        raise ValueError(
            f"se_placement must be one of {', '.join(channels)} in this block, "
            f"got {se_placement!r}."
        )
    if not se_reduction:
        return None
    return SqueezeExcite(
        channels[se_placement], se_reduction, se_bias, se_pool, se_divisor, se_pre_relu
    )
