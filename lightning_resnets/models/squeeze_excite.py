"""Squeeze-and-excitation: a block looks at its own channel means and weighs its channels by them.

Hu, Shen, Albanie, Sun, Wu: Squeeze-and-Excitation Networks, arXiv:1709.01507, section 3.
"""

from typing import Literal, TypedDict

from torch import Tensor, nn

from lightning_resnets.merges import Gate

SEPlacement = Literal["standard", "pre", "post", "identity", "3x3"]


SqueezePool = Literal["mean", "max"]


SQUEEZE_POOLS: dict[str, type[nn.Module]] = {
    "mean": nn.AdaptiveAvgPool2d,
    "max": nn.AdaptiveMaxPool2d,
}


class SEOptions(TypedDict, total=False):
    """What a model with SE may be asked for.

    `se` is the reduction r, 0 for no SE; `se_place` where in the block it stands (section 6.5 of the paper);
    `se_bias` whether fc1 and fc2 have biases; `se_squeeze` how space is summed up; `se_multiple` what the width of fc1
    is rounded to (timm: 8); `se_relu` whether a ReLU stands in front of it (some published models have one there).
    """

    se_reduction: int
    se_placement: SEPlacement
    se_bias: bool
    se_pool: SqueezePool
    se_divisor: int
    se_pre_relu: bool


class SqueezeExcite(nn.Module):
    """Weigh every channel by sigmoid(fc2(relu(fc1(mean over space)))).

    `reduction` is the paper's r: fc1 has channels // r outputs, or with `multiple` channels / r rounded to the nearest
    multiple of it and never none. fc1 and fc2 are 1x1 convolutions, named as timm names them. `bias=False` drops their
    biases (section 6 of the paper names it as an option), `squeeze="max"` takes the largest value instead of the mean.
    With `first` a ReLU is part of it: what is weighed is relu(x).
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        bias: bool = True,
        pool: SqueezePool = "mean",
        divisor: int = 1,
        pre_relu: bool = False,
    ) -> None:
        super().__init__()
        if pool not in SQUEEZE_POOLS:
            raise ValueError(f"SE squeezes by {' or '.join(SQUEEZE_POOLS)}, not by {pool!r}.")
        width = reduced_channels(channels, reduction, divisor)
        self.relu0 = nn.ReLU() if pre_relu else None
        self.squeeze = SQUEEZE_POOLS[pool](1)
        self.fc1 = nn.Conv2d(channels, width, 1, bias=bias)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(width, channels, 1, bias=bias)
        self.sigmoid = nn.Sigmoid()
        self.gate = Gate()

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.relu0 is None else self.relu0(x)
        weight = self.squeeze(x)  # (N, C, 1, 1)
        weight = self.fc2(self.relu(self.fc1(weight)))  # (N, C, 1, 1)
        return self.gate(x, self.sigmoid(weight))  # (N, C, H, W)


def reduced_channels(channels: int, reduction: int, divisor: int = 1) -> int:
    """How many of so many channels fc1 leaves."""
    if reduction < 1 or channels < reduction:
        raise ValueError(
            f"SE reduction {reduction} leaves nothing of {channels} channels; take 1 to {channels}."
        )
    if divisor == 1:
        return channels // reduction
    return max(divisor, int(channels / reduction + divisor / 2) // divisor * divisor)


def make_se(
    channels: dict[SEPlacement, int],
    se_reduction: int = 0,
    se_placement: SEPlacement = "standard",
    se_bias: bool = True,
    se_pool: SqueezePool = "mean",
    se_divisor: int = 1,
    se_pre_relu: bool = False,
) -> SqueezeExcite | None:
    """The SE of a block that has so many channels at each place where it may stand; None where none is asked for."""
    if se_placement not in channels:
        raise ValueError(
            f"SE cannot stand at {se_placement!r} in this block; take {', '.join(channels)}."
        )
    return (
        SqueezeExcite(
            channels[se_placement], se_reduction, se_bias, se_pool, se_divisor, se_pre_relu
        )
        if se_reduction
        else None
    )
