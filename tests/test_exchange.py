"""Blocks that change places against nets whose modules were put in each other's place."""

import copy

import pytest
import torch
from patient import PICTURES, patient
from torch import Tensor, nn

from lightning_resnets.graph.reveal import reveal
from lightning_resnets.probe import PointError, probe
from lightning_resnets.surgery import operate
from lightning_resnets.surgery.edits import Drop, Silence, SurgeryError, Swap
from lightning_resnets.surgery.exchange import exchanged
from lightning_resnets.zoo import build


def moved(net: nn.Module, one: str, other: str) -> nn.Module:
    """A copy with the modules themselves in each other's place."""
    net = copy.deepcopy(net)
    first, second = net.get_submodule(one), net.get_submodule(other)
    net.set_submodule(one, second)
    net.set_submodule(other, first)
    return net


def lively(name: str) -> nn.Module:
    torch.manual_seed(0)
    net = build(name)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
    return net.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("resnet20", "layer1.0", "layer1.2"),
        ("seresnet20", "layer3.1", "layer3.2"),
        ("resnet20", "layer2.1.conv1", "layer2.1.conv2"),
    ],
)
def test_swapped_blocks_are_modules_put_in_each_others_place(name: str, one: str, other: str) -> None:
    net, pictures = lively(name), torch.randn(2, 3, 16, 16)
    modules, weights, intact = list(net.modules()), list(net.parameters()), net(pictures)
    twin, shown = moved(net, one, other), reveal(net, (3, 16, 16))
    for own in (net, shown):
        with operate(own, Swap(one, other)):
            assert torch.equal(own(pictures), twin(pictures))
        assert torch.equal(own(pictures), intact)
    assert not torch.equal(twin(pictures), intact)
    assert all(now is before for now, before in zip(net.modules(), modules, strict=True))
    assert all(now is before for now, before in zip(net.parameters(), weights, strict=True))


def test_names_stay_with_the_places() -> None:
    net = patient()
    twin = moved(net, "a", "b")
    with operate(twin, Silence("a.conv", 0), Drop("b")), probe(twin, ["a.conv", "b.add"]) as theirs:
        expected = twin(PICTURES)
    for ops in ([Swap("a", "b"), Silence("a.conv", 0), Drop("b")], [Silence("a.conv", 0), Drop("b"), Swap("a", "b")]):
        with probe(net, ["a.conv", "b.add"]) as seen, operate(net, *ops):
            assert torch.equal(net(PICTURES), expected)
        assert all(torch.equal(seen.outputs[point], theirs.outputs[point]) for point in seen.outputs)
        assert all(map(torch.equal, seen.operands["b.add"], theirs.operands["b.add"]))


def test_swaps_follow_one_another_and_nest() -> None:
    net, first, second = patient(), Swap("a", "b"), Swap("b", "c")
    expected = moved(moved(net, "a", "b"), "b", "c")(PICTURES)
    with operate(net, first, second):
        assert torch.equal(net(PICTURES), expected)
    with operate(net, first), operate(net, second):
        assert torch.equal(net(PICTURES), expected)
    with operate(net, first, first, Swap("c", "c")):
        assert torch.equal(net(PICTURES), patient()(PICTURES))


def test_swaps_end_in_any_order() -> None:
    net, whole = patient(), patient()(PICTURES)
    first, second = operate(net, Swap("a", "b")), operate(net, Swap("b", "c"))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.equal(net(PICTURES), moved(patient(), "b", "c")(PICTURES))
    second.__exit__(None, None, None)
    assert torch.equal(net(PICTURES), whole)


STRIDED = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1, 2))


class Scaled(nn.Module):
    """A block with a setting and a weight of its own."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps, self.gamma = eps, nn.Parameter(torch.rand(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma + self.eps


def test_settings_go_with_the_weights_and_modes_stay() -> None:
    net = nn.Sequential(Scaled(0.1), nn.ReLU(), Scaled(0.2)).requires_grad_(False)
    net[0].eval()
    twin = moved(net, "0", "2")
    with exchanged(net, [Swap("0", "2")]):
        assert torch.equal(net(PICTURES), twin(PICTURES))
        assert [module.training for module in net] == [False, True, True]
    with pytest.raises(ZeroDivisionError), exchanged(net, [Swap("0", "2")]):
        raise ZeroDivisionError
    assert torch.equal(net(PICTURES), moved(twin, "0", "2")(PICTURES))


@pytest.mark.parametrize(
    ("net", "swap", "sentence"),
    [
        ("resnet20", Swap("layer1.0", "layer2.1"), "'conv1.weight' has shape (16, 16, 3, 3) in one and (32, 32, 3, 3)"),
        ("resnet20", Swap("layer1", "layer1.0"), "one holds the other"),
        ("resnet20", Swap("layer1.0.conv1", "layer1.0.bn1"), "the block is a Conv2d in one and a BatchNorm2d in the"),
        ("resnet18", Swap("layer2.0", "layer2.1"), "'layer2.0' has a part 'downsample' and 'layer2.1' has none"),
        (
            "densenet_bc_40_12",
            Swap("features.norm5", "features.conv0"),
            "the block is a BatchNorm2d in one and a Conv2d",
        ),
        ("strided", Swap("0", "1"), "the block has stride (1, 1) in one and (2, 2) in the other"),
    ],
)
def test_blocks_of_another_build_stay(net: str, swap: Swap, sentence: str) -> None:
    with pytest.raises(SurgeryError) as said, operate(STRIDED if net == "strided" else build(net), swap):
        raise AssertionError("the block must not begin")
    assert str(said.value).startswith(f"'{swap.one}' and '{swap.other}' cannot change places: ")
    assert sentence in str(said.value)
    assert str(said.value).endswith(".")


def test_a_block_that_is_none() -> None:
    with (
        pytest.raises(PointError, match="no part called 'layer1"),
        operate(build("resnet20"), Swap("conv1", "layer1.9")),
    ):
        raise AssertionError("the block must not begin")
