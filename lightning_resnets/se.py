"""Squeeze-and-excitation: a block looks at its own channel means and weighs its channels by them.

Hu, Shen, Albanie, Sun, Wu: Squeeze-and-Excitation Networks, arXiv:1709.01507, section 3.
"""

from torch import Tensor, nn

from lightning_resnets.merge import Gate


class SqueezeExcite(nn.Module):
    """Weigh every channel by sigmoid(fc2(relu(fc1(mean over space)))).

    `reduction` is the paper's r: fc1 has channels // r outputs. fc1 and fc2 are 1x1 convolutions, named as timm names
    them. `bias=False` drops their biases (section 6 of the paper names it as an option).
    """

    def __init__(self, channels: int, reduction: int = 16, bias: bool = True) -> None:
        super().__init__()
        if reduction < 1 or channels < reduction:
            raise ValueError(f"SE reduction {reduction} leaves nothing of {channels} channels; take 1 to {channels}.")
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1, bias=bias)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1, bias=bias)
        self.sigmoid = nn.Sigmoid()
        self.gate = Gate()

    def forward(self, x: Tensor) -> Tensor:
        weight = self.squeeze(x)  # (N, C, 1, 1)
        weight = self.fc2(self.relu(self.fc1(weight)))  # (N, C, 1, 1)
        return self.gate(x, self.sigmoid(weight))  # (N, C, H, W)
