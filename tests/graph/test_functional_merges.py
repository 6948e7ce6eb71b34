"""Merges of third-party models with either backend; expected by reading each forward pass."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import SetInput, intervene
from lightning_resnets.merges import Gate, Merge


class Doubled(nn.Module):
    """CReLU (Shang et al. 2016): no parts, no weights, and two paths."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(torch.cat((x, -x), 1))


class Smoothed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + F.avg_pool2d(x, 3, 1, 1)


class Bare(nn.Module):
    """A gate without a weight of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x.mean((2, 3), keepdim=True))


class Swish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class Padded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, x.shape[2] + 1 - x.shape[3]))


class NormByHand(nn.Module):
    """An instance norm: its factor is one number a map, and no gate."""

    def forward(self, x: Tensor) -> Tensor:
        centered = x - x.mean((2, 3), keepdim=True)
        return centered * torch.rsqrt(x.var((2, 3), keepdim=True) + 1e-5)


class ResponseNorm(nn.Module):
    """That of ConvNeXt V2 (Woo et al. 2023), by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        norms = x.norm(p=2, dim=(2, 3), keepdim=True)
        return self.gamma * (x * (norms / (norms.mean(1, keepdim=True) + 1e-6)))


class Spelt(nn.Module):
    """The same gate in other words."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.sigmoid(self.fc(x.mean((2, 3), keepdim=True)))
        one = torch.multiply(x, weight.repeat(1, 1, 8, 8))
        other = weight.broadcast_to(x.shape) * x
        return torch.hstack((one, other))


class Split(nn.Module):
    """Split attention (ResNeSt, Zhang et al. 2020): a weight for each map of two groups."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Conv2d(2, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        groups = x.reshape(-1, 2, 2, 8, 8)
        weight = self.fc(groups.sum(1).mean((2, 3), keepdim=True))
        weight = torch.softmax(weight.reshape(-1, 2, 2), 1).reshape(-1, 2, 2, 1, 1)
        return (groups * weight).sum(1)


class Deep(nn.Module):
    """2^60 paths lead to the gate's weight: each step is to be looked at once."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(60):
            x = x + F.relu(x)
        return x * torch.sigmoid(x.mean((2, 3), keepdim=True))


EXPECTED: dict[type[nn.Module], dict[str, int]] = {
    Doubled: {"concat": 1},
    Smoothed: {"add": 1},
    Bare: {"gate": 1},
    Swish: {},
    Padded: {},
    NormByHand: {},
    ResponseNorm: {},
    Spelt: {"gate": 2, "concat": 1},
    Split: {"gate": 1},
    Deep: {"add": 60, "gate": 1},
}
CASES = [(made, backend) for made in EXPECTED for backend in ("torch.fx", "recorder")]


def model_of(made: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), made()).eval()


@pytest.mark.parametrize(("made", "backend"), CASES)
def test_the_merges_are_those_of_the_forward_pass(made: type[nn.Module], backend: str) -> None:
    model, images = model_of(made), torch.randn(2, 3, 8, 8)
    revealed = insert_merges(model, (3, 8, 8), backend=backend)  # type: ignore[arg-type]
    assert (
        Counter(str(part.kind) for part in revealed.modules() if isinstance(part, Merge))
        == EXPECTED[made]
    )
    with torch.no_grad():
        assert torch.equal(revealed(images), model(images))


def test_weights_of_split_attention_can_be_set() -> None:
    model, images = model_of(Split), torch.randn(2, 3, 8, 8)
    revealed = insert_merges(model, (3, 8, 8))
    gate = next(name for name, part in revealed.named_modules() if isinstance(part, Gate))
    with torch.no_grad(), intervene(revealed, SetInput(gate, "weight", 0.5)):
        held = revealed(images)
    expected = 0.5 * model.get_submodule("0")(images).reshape(2, 2, 2, 8, 8).sum(1)
    torch.testing.assert_close(held, expected)
