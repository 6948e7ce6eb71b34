"""Surgery against second implementations written by hand; exact where it must be, and gone afterwards."""

import copy
import types
from collections.abc import Callable, Iterator
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lightning_resnets.probe import PointError
from lightning_resnets.surgery import Drop, Hold, Op, Scale, SurgeryError, altered, operate, plan
from lightning_resnets.zoo import build

PICTURE = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def lively(name: str) -> nn.Module:
    """A net whose norms do something: fresh gammas of 1 and means of 0 would hide mistakes."""
    torch.manual_seed(0)
    model = build(name)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
    return model.eval().requires_grad_(False)


@cache
def ready() -> nn.Module:
    return lively("resnet20")


@pytest.fixture
def net() -> Iterator[nn.Module]:
    model = lively("resnet20")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    yield model
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert not [name for m in model.modules() for name, table in vars(m).items() if name.endswith("_hooks") and table]


def answer(model: nn.Module, *ops: Op) -> Tensor:
    with operate(model, *ops):
        return model(PICTURE)


def rewritten(model: nn.Module, block: str, forward: Callable[..., Tensor]) -> Tensor:
    """The answer of a copy whose block runs another, hand-written forward."""
    other = copy.deepcopy(model)
    module = other.get_submodule(block)
    module.forward = types.MethodType(forward, module)
    return other(PICTURE)


def branch(self: nn.Module, x: Tensor) -> Tensor:
    return self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))  # type: ignore[operator]


def shortcut(self: nn.Module, x: Tensor) -> Tensor:
    return x if self.downsample is None else self.downsample(x)  # type: ignore[operator]


@pytest.mark.parametrize("block", ["layer1.0", "layer2.0", "layer3.2"])
def test_a_cut_shortcut_is_a_block_without_it(net: nn.Module, block: str) -> None:
    expected = rewritten(net, block, lambda self, x: torch.relu(branch(self, x)))
    cut = answer(net, Scale(f"{block}.add", "shortcut", 0))
    assert torch.equal(cut, expected)
    assert not torch.equal(cut, answer(net))


@pytest.mark.parametrize("block", ["layer1.1", "layer3.0"])
def test_a_dropped_block_is_its_shortcut(net: nn.Module, block: str) -> None:
    expected = rewritten(net, block, lambda self, x: torch.relu(shortcut(self, x)))
    assert torch.equal(answer(net, Drop(block)), expected)
    assert torch.equal(answer(net, Scale(f"{block}.add", "branch", 0)), expected)
    assert torch.equal(answer(net, Drop(f"{block}.add")), expected)


def test_every_shortcut_cut_is_the_plain_net(net: nn.Module) -> None:
    plain = build("plain20").eval()
    plain.load_state_dict(net.state_dict())
    cuts = [Scale(f"layer{stage}.{i}.add", 0, 0) for stage in (1, 2, 3) for i in range(3)]
    assert torch.equal(answer(net, *cuts), plain(PICTURE))


def test_dropping_a_stage_drops_each_of_its_blocks(net: nn.Module) -> None:
    each = answer(net, *(Drop(f"layer2.{i}") for i in range(3)))
    assert torch.equal(answer(net, Drop("layer2")), each)


@settings(deadline=None, max_examples=12)
@given(gain=st.floats(-3, 3, allow_subnormal=False))
def test_any_gain_weighs_one_operand(gain: float) -> None:
    net = ready()
    expected = rewritten(net, "layer2.1", lambda self, x: torch.relu(x * gain + branch(self, x)))
    assert torch.equal(answer(net, Scale("layer2.1.add", "shortcut", gain)), expected)


def test_gain_one_is_the_net_to_the_bit_and_no_hook(net: nn.Module) -> None:
    with operate(net, Scale("layer1.0.add", 0, 1), Scale("layer1.0.add", 1, 1.0)):
        assert not net.get_submodule("layer1.0.add")._forward_pre_hooks
        assert torch.equal(net(PICTURE), answer(net))


def test_a_cut_cuts_what_is_not_finite() -> None:
    endless = torch.tensor([torch.inf, torch.nan])
    assert torch.equal(altered([endless], [Scale("add", 0, 0.0)])[0], torch.zeros(2))


def test_a_dense_connection_is_cut_by_its_number() -> None:
    net = lively("densenet_bc_40_12")

    def forward(self: nn.Module, *parts: Tensor) -> Tensor:
        x = torch.cat([parts[0], torch.zeros_like(parts[1]), *parts[2:]], 1)
        x = self.conv1(self.relu1(self.norm1(x)))  # type: ignore[operator]
        return self.conv2(self.relu2(self.norm2(x)))  # type: ignore[operator]

    layer = "features.denseblock2.denselayer4"
    expected = rewritten(net, layer, forward)
    assert torch.equal(answer(net, Scale(f"{layer}.concat", 1, 0)), expected)
    assert not torch.equal(expected, answer(net))


def test_a_gate_held_open_is_a_block_without_se() -> None:
    net = lively("seresnet20")
    other = copy.deepcopy(net)
    other.layer2[1].se = None  # type: ignore[index,union-attr]
    assert torch.equal(answer(net, Hold("layer2.1.se.gate", "weight", 1.0)), other(PICTURE))
    assert not torch.equal(answer(net), other(PICTURE))


def test_a_gate_held_channel_by_channel() -> None:
    net = lively("seresnet20")
    weight = torch.rand(32, 1, 1)

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return x * weight

    expected = rewritten(net, "layer2.1.se", forward)
    assert torch.equal(answer(net, Hold("layer2.1.se.gate", 1, weight)), expected)


def test_operations_act_in_their_order() -> None:
    given, ones = [torch.full((2,), 3.0)], torch.ones(2)
    hold, halve = Hold("m", 0, 1.0), Scale("m", 0, 0.5)
    assert torch.equal(altered(given, [hold, halve])[0], ones / 2)
    assert torch.equal(altered(given, [halve, hold])[0], ones)
    assert torch.equal(altered(given, [halve, halve])[0], ones * 0.75)
    assert torch.equal(given[0], ones * 3)


def test_nested_operations_add_up_and_go_one_by_one(net: nn.Module) -> None:
    first, second = Drop("layer1.1"), Scale("layer2.2.add", "shortcut", 0.3)
    both, one = answer(net, first, second), answer(net, first)
    with operate(net, first):
        assert torch.equal(answer(net, second), both)
        assert torch.equal(net(PICTURE), one)


def test_the_net_is_whole_after_an_error_inside(net: nn.Module) -> None:
    before = answer(net)
    with pytest.raises(ZeroDivisionError), operate(net, Drop("layer1.0"), Scale("layer1.1.add", 0, 0)):
        raise ZeroDivisionError
    assert torch.equal(answer(net), before)


@pytest.mark.parametrize(
    ("op", "error", "sentence"),
    [
        (Scale("layer1.0.ad", 0, 0), PointError, "no part called 'layer1.0.ad'; near it are layer1.0.add"),
        (Scale("conv1", 0, 0), SurgeryError, "'conv1' is no place where paths meet"),
        (Scale("layer1.0.add", "weight", 0), SurgeryError, "no operand 'weight': its operands are shortcut and branch"),
        (Scale("layer1.0.add", 2, 0), SurgeryError, "no operand '2'"),
        (Hold("layer1.0.add", -1, 0), SurgeryError, "no operand '-1'"),
        (Drop("layer1.0.conv1"), SurgeryError, "'layer1.0.conv1' holds no add"),
        (Drop("layer9"), PointError, "no part called 'layer9'"),
    ],
)
def test_what_does_not_fit_is_said_at_once(net: nn.Module, op: Op, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence), operate(net, Drop("layer1.1"), op):
        raise AssertionError("the block must not begin")


def test_what_only_the_pass_can_tell_is_said_there(net: nn.Module) -> None:
    with pytest.raises(SurgeryError, match=r"shape \(5, 1, 1\) does not fit operand 0 of 'layer1.0.add'"):
        answer(net, Hold("layer1.0.add", 0, torch.ones(5, 1, 1)))
    dense = lively("densenet_bc_40_12")
    with pytest.raises(SurgeryError, match="has 2 operands, numbered from 0: there is no number 7"):
        answer(dense, Scale("features.denseblock1.denselayer2.concat", 7, 0))
    with pytest.raises(SurgeryError, match="its operands are numbered from 0"):
        plan(dense, [Scale("features.denseblock1.denselayer2.concat", "shortcut", 0)])


def test_the_plan_speaks_in_numbers(net: nn.Module) -> None:
    ops = [
        Drop("layer1.0"),
        Scale("layer1.0.add", "shortcut", 0.5),
        Hold("layer1.1.add", "branch", 2),
        Scale("layer1.2.add", 0, 1),
    ]
    assert plan(net, ops) == {
        "layer1.0.add": (Scale("layer1.0.add", 1, 0.0), Scale("layer1.0.add", 0, 0.5)),
        "layer1.1.add": (Hold("layer1.1.add", 1, 2),),
    }


def test_holds_are_equal_by_value() -> None:
    assert Hold("m", 0, torch.ones(2)) == Hold("m", 0, torch.ones(2))
    assert Hold("m", 0, torch.ones(2)) != Hold("m", 0, torch.zeros(2))
    assert Hold("m", 0, 1.0) != Hold("m", 1, 1.0)
    assert Hold("m", 0, 1.0) != Scale("m", 0, 1.0)
    assert len({Hold("m", 0, 1.0), Hold("m", 0, 1.0)}) == 1


def test_half_precision_nets_keep_their_numbers() -> None:
    operand = torch.ones(1, 2, 2, 2, dtype=torch.bfloat16)
    for op in (Hold("m", 0, 0.3), Scale("m", 0, 0.3), Scale("m", 0, 0.0)):
        assert altered([operand], [op])[0].dtype is torch.bfloat16
