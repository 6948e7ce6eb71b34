"""Surgery against second implementations written by hand; exact where it must be, and gone afterwards."""

import copy
import types
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from patient import PICTURES, WIDTHS, Patient, Slow, compositions, patient
from torch import Tensor, nn

from lightning_resnets.graph import follow
from lightning_resnets.graph.reveal import reveal
from lightning_resnets.probe import PointError, probe
from lightning_resnets.replay import Replay
from lightning_resnets.surgery import (
    Bypass,
    Drop,
    Hold,
    Keep,
    Op,
    Scale,
    Silence,
    SurgeryError,
    Swap,
    operate,
    plan,
)
from lightning_resnets.surgery.edits import altered
from lightning_resnets.surgery.sources import sources
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


def answer(model: nn.Module, *ops: Op | Sequence[Op]) -> Tensor:
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
        (Scale("conv1", 0, 0), SurgeryError, "'conv1' is no place where paths meet: this net has .*add"),
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
    assert plan(net, ops).merges == {
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


@settings(deadline=None, max_examples=60)
@given(ops=compositions())
def test_any_composition_is_the_forward_pass_written_out_by_hand(ops: list[Op]) -> None:
    net, slow = patient(), Slow(patient(), ops)
    expected, points = slow(PICTURES), list(WIDTHS)
    intact, before = net(PICTURES), dict(net.named_parameters())
    with probe(net, points) as outer, operate(net, *ops), probe(net, points) as inner:
        assert torch.equal(net(PICTURES), expected)
    for seen in (outer, inner):
        for point in points:
            assert torch.equal(seen.outputs[point], slow.seen[point]), point
        for merge, parts in seen.operands.items():
            assert all(map(torch.equal, parts, slow.met[merge])), merge
    assert torch.equal(net(PICTURES), intact)
    assert all(weight is before[name] for name, weight in net.named_parameters())


@settings(deadline=None, max_examples=30)
@given(ops=compositions())
def test_the_same_on_a_revealed_net(ops: list[Op]) -> None:
    net = reveal(patient(), (3, 6, 6))
    expected = Slow(patient(), ops)(PICTURES)
    with operate(net, *ops):
        assert torch.equal(net(PICTURES), expected)


class Asking(Patient):
    """The same net with a question that torch.fx cannot follow."""

    def forward(self, x: Tensor) -> Tensor:
        if bool((x != x).any()):
            raise ValueError
        return super().forward(x)


@settings(deadline=None, max_examples=15)
@given(ops=compositions())
def test_the_same_on_a_net_whose_steps_were_recorded(ops: list[Op]) -> None:
    net, plain = Asking().eval().requires_grad_(False), patient()
    net.load_state_dict(plain.state_dict())
    shown = reveal(net, (3, 6, 6))
    assert shown.meta["followed"] == "recorder"
    with operate(shown, *ops):
        assert torch.equal(shown(PICTURES), Slow(plain, ops)(PICTURES))


@settings(deadline=None, max_examples=8)
@given(ops=compositions(3))
def test_a_batch_is_its_pictures_one_by_one(ops: list[Op]) -> None:
    ops = [op for op in ops if not (isinstance(op, Hold) and isinstance(op.value, Tensor) and op.value.dim() == 4)]
    net = patient()
    with operate(net, *ops):
        assert torch.allclose(net(PICTURES), torch.cat([net(one[None]) for one in PICTURES]), atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@settings(deadline=None, max_examples=15)
@given(ops=compositions(3))
def test_the_same_on_a_gpu(ops: list[Op]) -> None:
    expected, net = Slow(patient(), ops)(PICTURES), patient().cuda()
    with operate(net, *ops):
        torch.testing.assert_close(net(PICTURES.cuda()).cpu(), expected, rtol=1e-3, atol=1e-3)


class Foreign(nn.Module):
    """Blocks as torchvision writes them: one ReLU for two places, sums in place."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.one, self.other = ForeignBlock(), ForeignBlock()

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.one(x)).mean((2, 3))


class ForeignBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.conv2(self.relu(self.conv1(x)))
        branch += x
        return self.relu(branch)


def test_a_block_of_a_revealed_net_is_silenced_where_it_ends() -> None:
    torch.manual_seed(0)
    net = Foreign().eval()
    shown = reveal(net, (3, 6, 6))

    def silenced(module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        output = output.clone()
        output[:, 1] = 0
        return output

    handle = net.one.register_forward_hook(silenced)
    expected = net(PICTURES)
    handle.remove()
    with operate(shown, Silence("one", 1)), probe(shown, ["one", "one.add"]) as seen:
        with pytest.raises(RuntimeError):
            shown(torch.ones(1, 7, 6, 6))  # a pass that ends on its way must not move the next one's count
        assert torch.equal(shown(PICTURES), expected)
    assert not seen.outputs["one"][:, 1].any()
    assert seen.outputs["one"].any()
    net.one.register_forward_hook(lambda m, args, output: shown_first.append(output.clone()))
    shown_first: list[Tensor] = []
    net(PICTURES)
    with operate(shown, Scale("other.add", "shortcut", 0)):  # the sum had the branch first: by name it makes no odds
        branch = net.other.conv2(net.other.conv1(shown_first[0]).relu())
        assert torch.equal(shown(PICTURES), branch.relu().mean((2, 3)))


class Shared(nn.Module):
    """One module by two names."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 3, 1)
        self.other = self.one

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.one(x)).mean((2, 3))


def test_a_module_by_another_of_its_names() -> None:
    net = Shared().eval()
    shown = reveal(net, (3, 6, 6))
    for own in (net, shown):
        with operate(own, Silence("one", 2)):
            expected = own(PICTURES)
        with operate(own, Silence("other", 2)), probe(own, ["other"]) as seen:
            assert torch.equal(own(PICTURES), expected)
        assert not seen.outputs["other"][:, 2].any()
    logits, _ = Replay(net, follow(net, (3, 6, 6))).look(PICTURES, ["other"], [Silence("other", 2)])
    assert torch.equal(logits, expected)


@pytest.mark.slow
def test_a_dense_layer_of_torchvisions_net_is_dropped_by_its_name() -> None:
    from torchvision.models import densenet121

    torch.manual_seed(0)
    theirs, pictures = densenet121(num_classes=10).eval(), torch.randn(1, 3, 64, 64)
    shown, layer = reveal(theirs, (3, 64, 64)), "features.denseblock2.denselayer3"
    handle = theirs.get_submodule(layer).register_forward_hook(lambda m, args, output: output * 0)
    expected = theirs(pictures)
    handle.remove()
    concats = [
        name for name, parts in sources(shown).items() if any(layer in part.names and part.grown for part in parts)
    ]
    assert len(concats) == 12 - 3 + 1
    with operate(shown, Drop(layer)):
        assert torch.equal(shown(pictures), expected)
    with operate(shown, *(Scale(concat, layer, 0) for concat in concats)):
        assert torch.equal(shown(pictures), expected)


def test_operations_compare_as_values() -> None:
    assert Silence("a", 1) == Silence("a", [1]) == Silence("a", range(1, 2))
    assert Keep("a", {2, 0}) == Keep("a", (0, 2)) != Silence("a", (0, 2))
    assert Hold("m", 0, 1.0, 3) == Hold("m", 0, 1.0, [3]) != Hold("m", 0, 1.0)
    assert Hold("m", 0, torch.ones(1, 2)) != Hold("m", 0, torch.ones(2))
    assert Hold("m", 0, torch.ones(2)) != Hold("m", 0, torch.ones(2, dtype=torch.float64))
    assert len({Swap("a", "b"), Swap("a", "b"), Bypass("a"), Bypass("a"), Silence("a", [0]), Silence("a", 0)}) == 3


@pytest.mark.parametrize(
    ("op", "sentence"),
    [
        (Silence("a.conv", 4), r"^'a.conv' gives 4 channels, numbered from 0: there is no number 4\.$"),
        (Keep("fc", [0, 7]), r"^'fc' gives 5 channels, numbered from 0: there is no number 7\.$"),
        (
            Hold("a.se.gate", 1, 0, 9),
            r"^Operand 1 of 'a.se.gate' has 4 channels, numbered from 0: there is no number 9",
        ),
        (
            Hold("a.se.gate", 1, torch.ones(3)),
            r"shape \(3,\) does not fit operand 1 of 'a.se.gate', .*\(2, 4, 1, 1\)\.",
        ),
        (Hold("a.add", 1, torch.ones(3), (0, 2)), r"shape \(3,\) does not fit channels 0, 2 of operand 1 of 'a.add'"),
        (
            Bypass("stem"),
            r"^'stem' cannot be passed by: what it is given, of shape \(2, 3, 6, 6\), does not take the pl",
        ),
        (Bypass("a.add"), r"^'a.add' cannot be passed by: what it is given, that is no single tensor"),
    ],
)
def test_what_only_the_tensors_can_tell_is_said_in_the_pass(op: Op, sentence: str) -> None:
    net = patient()
    with pytest.raises(SurgeryError, match=sentence), operate(net, op):
        net(PICTURES)
    assert not [name for m in net.modules() for name, table in vars(m).items() if name.endswith("_hooks") and table]


@pytest.mark.parametrize(
    ("op", "error", "sentence"),
    [
        (Silence("a.convv", 0), PointError, "near it are a.conv"),
        (Bypass("d"), PointError, "no part called 'd'"),
        (Drop("stem"), SurgeryError, "^'stem' holds no add, so there is no branch to drop, and no dense layer: name"),
        (Drop("dense.concat"), SurgeryError, "no dense layer"),
        (
            Scale("dense.denselayer3.concat", "dense.denselayer3", 0),
            SurgeryError,
            r"^'dense\S+' has no operand '\S+3': .* and come from c, dense.denselayer1, dense.denselayer2\.$",
        ),
    ],
)
def test_what_does_not_fit_the_patient_is_said_at_once(op: Op, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence), operate(patient(), op):
        raise AssertionError("the block must not begin")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Silence("a", -1), r"There is no channel -1: .*\."),
        (lambda: Hold("m", 0, 0, [2, 2]), r"Channel 2 is named twice: .*\."),
        (lambda: Keep("a", [0.5]), r"Channels are whole numbers from 0, not \[0\.5\]\."),  # type: ignore[list-item]
        (lambda: Hold("m", 0, 0, "all"), r"Channels are whole numbers from 0, not 'all'\."),  # type: ignore[arg-type]
        (lambda: Hold("m", 0, "1"), r"A value to hold is a number or a tensor, not '1'\."),  # type: ignore[arg-type]
        (lambda: Scale("m", 0, "0.5"), r"A gain is a finite number, .* not '0\.5'\."),  # type: ignore[arg-type]
        (lambda: Scale("m", 0, float("nan")), r"A gain is a finite number, .* not nan\."),
        (lambda: Scale("m", 0, -float("inf")), r"A gain is a finite number, .* not -inf\."),
    ],
)
def test_numbers_that_are_none(make: Callable[[], Op], sentence: str) -> None:
    with pytest.raises(SurgeryError, match=f"^{sentence}$"):
        make()


NONE: Any = None


@pytest.mark.parametrize("op", ["layer1.0", None, 3, ["layer1.0"], Drop, Drop(NONE), Swap("layer1.0", NONE)])
def test_what_is_no_operation(net: nn.Module, op: Any) -> None:
    with pytest.raises(SurgeryError, match=r" is no operation: give Scale, .*Drop\('layer1\.0'\)\.$"), operate(net, op):
        raise AssertionError("the block must not begin")


def test_operations_in_lists_are_operations(net: nn.Module) -> None:
    one, other = Drop("layer1.1"), Scale("layer2.2.add", "shortcut", 0.3)
    assert torch.equal(answer(net, [one, other]), answer(net, one, other))
    assert torch.equal(answer(net, []), answer(net))


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("mode", ["plain", "inference", "autocast", "training"])
def test_every_way_of_running_a_net(batch: int, form: torch.memory_format, mode: str) -> None:
    ops = [Drop("b"), Scale("a.add", "shortcut", 0.5), Hold("c.se.gate", "weight", 0.5), Silence("stem", 1)]
    net, slow = patient().train(mode == "training").to(memory_format=form), Slow(patient(), ops)
    slow.net = copy.deepcopy(net)
    pictures = PICTURES[:1].repeat(batch, 1, 1, 1).to(memory_format=form)
    cast = torch.autocast("cpu", torch.bfloat16, enabled=mode == "autocast")
    with torch.inference_mode(mode == "inference"), cast:
        expected = slow(pictures)
        with operate(net, *ops), probe(net, ["b", "c.add"]) as seen:
            found = net(pictures)
        same = torch.equal if form is torch.contiguous_format else torch.allclose  # by hand the layout is not kept
        assert same(found, expected)
        assert same(seen.outputs["b"], slow.seen["b"])
        assert expected.dtype is (torch.bfloat16 if mode == "autocast" else torch.float32)
        assert torch.equal(net(pictures), patient().train(mode == "training").to(memory_format=form)(pictures))


def test_a_copy_made_under_surgery_stays_under_it_and_the_net_does_not(net: nn.Module) -> None:
    whole, cut = answer(net), answer(net, Drop("layer1.1"))
    with operate(net, Drop("layer1.1")), probe(net, ["layer2"]):
        other = copy.deepcopy(net)
    assert torch.equal(net(PICTURE), whole)
    assert torch.equal(other(PICTURE), cut)
    assert torch.equal(copy.deepcopy(net)(PICTURE), whole)


def test_blocks_may_end_in_any_order(net: nn.Module) -> None:
    whole, last = answer(net), answer(net, Swap("layer1.1", "layer1.2"))
    first, second, seen = operate(net, Drop("layer1.1")), operate(net, Swap("layer1.1", "layer1.2")), probe(net, ["fc"])
    for block in (first, second, seen):
        block.__enter__()
    first.__exit__(None, None, None)
    assert torch.equal(net(PICTURE), last)
    seen.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert torch.equal(net(PICTURE), whole)


def test_dense_layers_are_dropped_wherever_they_are_read() -> None:
    net = lively("densenet_bc_40_12")
    layer = "features.denseblock2.denselayer3"
    handle = net.get_submodule(layer).register_forward_hook(lambda m, args, output: output * 0)
    expected = net(PICTURE)
    handle.remove()
    assert torch.equal(answer(net, Drop(layer)), expected)
    concats = [f"features.denseblock2.denselayer{i}.concat" for i in (4, 5, 6)] + ["features.denseblock2.concat"]
    assert torch.equal(answer(net, *(Scale(concat, layer, 0) for concat in concats)), expected)


def test_a_part_by_source_and_by_number_are_one() -> None:
    net = lively("densenet_bc_40_12")
    concat = "features.denseblock2.denselayer4.concat"
    for number, source in enumerate(["features.transition1", "features.denseblock2.denselayer1"]):
        assert torch.equal(answer(net, Scale(concat, source, 0)), answer(net, Scale(concat, number, 0)))
    assert plan(net, [Hold(concat, "features.transition1.pool", 0.5)]).merges == {concat: (Hold(concat, 0, 0.5),)}
