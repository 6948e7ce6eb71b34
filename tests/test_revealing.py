"""Analyses of nets that join paths by functions: they reveal by themselves, around the same weights."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.analysis.gates import gates
from lightning_resnets.analysis.gradients import gradients
from lightning_resnets.analysis.lesion import lesion
from lightning_resnets.analysis.paths import paths
from lightning_resnets.analysis.receptive import receptive
from lightning_resnets.analysis.responses import responses
from lightning_resnets.analysis.result import AnalysisError, Pictures, Result
from lightning_resnets.analysis.reuse import reuse
from lightning_resnets.analysis.walk import revealed
from lightning_resnets.graph.reveal import reveal

SIZE = (3, 8, 8)


class Block(nn.Module):
    """A residual block with squeeze and excitation, as other people write it: by functions, some in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.fc, self.relu = nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y = y * torch.sigmoid(self.fc(y.mean((2, 3), keepdim=True)))
        y += x
        return self.relu(y)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.blocks = nn.Conv2d(3, 4, 3, padding=1), nn.Sequential(Block(), Block())
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        convs = [nn.Conv2d(3 + 2 * i, 2, 3, padding=1) for i in range(3)]
        self.layers = nn.ModuleList([nn.Sequential(conv, nn.ReLU()) for conv in convs])
        self.head = nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return self.head(x.mean((2, 3)))


class Shuffling(nn.Module):
    """Half of the maps pass by."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.branch, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(2, 2, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = self.stem(x).chunk(2, 1)
        return self.head(torch.cat((self.branch(changed), kept), 1).mean((2, 3)))


def pictures() -> Pictures:
    rng = torch.Generator().manual_seed(0)
    return Pictures(torch.randn(6, *SIZE, generator=rng), torch.tensor([0, 1, 2, 0, 1, 2]))


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    net = kind()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            module.running_var = torch.rand(4) + 0.5
            module.num_batches_tracked = torch.tensor(7)
    return net.train()


CALLS: dict[str, tuple[type[nn.Module], Callable[[nn.Module], Result]]] = {
    "paths": (Residual, lambda net: paths(net, pictures())),
    "gradients": (Residual, lambda net: gradients(net, pictures(), made(Residual))),
    "gates": (Residual, lambda net: gates(net, pictures())),
    "lesion": (Residual, lambda net: lesion(net, pictures(), made(Residual))),
    "responses": (Residual, lambda net: responses(net, pictures(), made(Residual))),
    "receptive": (Residual, lambda net: receptive(net, SIZE, pictures=2)),
    "reuse": (Dense, lambda net: reuse(net, SIZE)),
    "paths of a dense net": (Dense, lambda net: paths(net, pictures())),
    "lesion of a dense net": (Dense, lambda net: lesion(net, pictures())),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_analysis_gives_what_it_gives_for_the_revealed_net(name: str) -> None:
    kind, call = CALLS[name]
    net = made(kind)
    state = {key: value.clone() for key, value in net.state_dict().items()}
    parts = list(net.named_modules())
    given, expected = call(net).tables(), call(reveal(net, SIZE)).tables()
    assert str(given) == str(expected)  # as text: what is not a number equals itself
    assert any(table.rows for table in given.values())
    assert list(net.named_modules()) == parts
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in net.parameters())
    for part in net.modules():
        assert part.training
        assert not any((part._forward_hooks, part._forward_pre_hooks, part._backward_hooks))


def test_numbers_that_can_be_counted_by_hand() -> None:
    assert paths(made(Residual), pictures()).counts == (1, 2, 1)
    assert list(lesion(made(Residual), pictures()).net.dropped) == ["blocks.0", "blocks.1"]
    assert len(gradients(made(Residual), pictures()).flows) == 2
    assert len(gates(made(Residual), pictures()).tables()) > 0
    assert list(lesion(made(Dense), pictures()).net.dropped) == ["layers.0.1", "layers.1.1", "layers.2.1"]
    assert list(lesion(made(Shuffling), pictures()).net.dropped) == ["branch"]


def test_halves_that_pass_by_are_no_dense_block() -> None:
    with pytest.raises(AnalysisError, match=r"^This net has no dense block; it has concat\.$"):
        reuse(made(Shuffling), SIZE)


def test_the_gradient_of_a_weight_is_that_of_the_net() -> None:
    net = made(Residual).eval()
    shown = revealed(net, SIZE)
    assert {id(weight) for weight in shown.parameters()} == {id(weight) for weight in net.parameters()}
    some = pictures()
    sums = []
    for one in (net, shown):
        loss = F.cross_entropy(one(some.images), some.labels)
        sums.append(torch.autograd.grad(loss, list(net.parameters())))
    assert all(torch.equal(a, b) for a, b in zip(*sums, strict=True))


def test_a_net_without_joins_by_functions_is_itself() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
    assert revealed(plain, SIZE) is plain
    shown = reveal(made(Residual), SIZE)
    assert revealed(shown, SIZE) is shown
    assert revealed(plain, (5, 8, 8)) is plain, "what cannot be followed is left to those who follow it"
