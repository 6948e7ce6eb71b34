"""Spellings of one shortcut: identities, padding and scales in a forward pass."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_resnets.graph import trace
from lightning_resnets.graph.insert_merges import insert_merges


class Block(nn.Module):
    """Two convolutions beside `shortcut`, which each case writes in its own way."""

    def __init__(self, out: int = 4, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(4, out, 3, stride, 1), nn.Conv2d(out, out, 3, padding=1)
        self.drop, self.wide = nn.Dropout(0.5), nn.Conv2d(4, 8, 3, 2, 1)

    def branch(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu(self.conv1(x)))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class Cloned(Block):
    def forward(self, x: Tensor) -> Tensor:
        return x.clone() + self.branch(x)


class Contiguous(Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) + x.contiguous()


class DroppedOut(Block):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.5, self.training) + self.branch(x)


class DroppedOutByModule(Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x) + self.branch(x)


class Summed(Block):
    def forward(self, x: Tensor) -> Tensor:
        return sum([x, self.branch(x)])  # type: ignore[return-value]


class Scaled(Block):
    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x + self.branch(x)


class Widened(Block):
    """Shortcut A (He et al. 2015): the missing channels are zero."""

    def __init__(self) -> None:
        super().__init__(8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, torch.zeros_like(x)), 1) + self.branch(x)


class WideProjection(Block):
    """A 3x3 convolution where the size changes, as in SENet-154."""

    def __init__(self) -> None:
        super().__init__(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.wide(x) + self.branch(x)


class Parts(Block):
    """Res2Net's inner sum (Gao et al. 2019): parts of a tensor meet, none goes round another."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.split(2, 1)
        return self.second(self.first(left)) + right


IDENTITIES = [Block, Cloned, Contiguous, DroppedOut, DroppedOutByModule]
OTHERS = [Summed, Scaled, Widened, WideProjection]


def skips(made: type[Block]) -> list[tuple[str, str, bool]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), made()).eval()
    revealed, images = insert_merges(model, (3, 8, 8)), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(revealed(images), model(images))
    return [
        (skip.source, skip.merge, skip.projection is None) for skip in trace(model, (3, 8, 8)).skips
    ]


@pytest.mark.parametrize("made", IDENTITIES, ids=lambda made: made.__name__)
def test_every_spelling_of_an_identity_is_an_identity_shortcut(made: type[Block]) -> None:
    assert skips(made) == [("0", "1.add", True)]


@pytest.mark.parametrize("made", OTHERS, ids=lambda made: made.__name__)
def test_changed_shortcuts_are_projections(made: type[Block]) -> None:
    assert skips(made) == [("0", "1.add", False)]


def test_sum_of_two_parts_of_a_tensor_is_not_a_skip() -> None:
    assert skips(Parts) == []
