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
from torch import Tensor, nn

from lightning_resnets.graph import trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import (
    BypassBlock,
    Intervention,
    InterventionError,
    KeepChannels,
    RemoveBlock,
    ScaleInput,
    SetInput,
    SwapBlocks,
    ZeroChannels,
    intervene,
    plan_interventions,
)
from lightning_resnets.interventions.edits import apply_merge_edits
from lightning_resnets.interventions.incremental import IncrementalRunner
from lightning_resnets.interventions.merge_inputs import concat_inputs
from lightning_resnets.interventions.record import HookPointError, record_activations
from lightning_resnets.models.registry import create_model
from tests.helpers.reference_forward import IMAGES, WIDTHS, Patient, Slow, compositions, patient

IMAGE = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def lively(name: str) -> nn.Module:
    """A model whose norms do something: fresh gammas of 1 and means of 0 would hide mistakes."""
    torch.manual_seed(0)
    model = create_model(name)
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
def model() -> Iterator[nn.Module]:
    model = lively("resnet20")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    yield model
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert not [
        name
        for m in model.modules()
        for name, table in vars(m).items()
        if name.endswith("_hooks") and table
    ]


def answer(model: nn.Module, *ops: Intervention | Sequence[Intervention]) -> Tensor:
    with intervene(model, *ops):
        return model(IMAGE)


def rewritten(model: nn.Module, block: str, forward: Callable[..., Tensor]) -> Tensor:
    """The answer of a copy whose block runs another, hand-written forward."""
    other = copy.deepcopy(model)
    module = other.get_submodule(block)
    module.forward = types.MethodType(forward, module)
    return other(IMAGE)


def branch(self: nn.Module, x: Tensor) -> Tensor:
    return self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))  # type: ignore[operator]


def shortcut(self: nn.Module, x: Tensor) -> Tensor:
    return x if self.downsample is None else self.downsample(x)  # type: ignore[operator]


@pytest.mark.parametrize("block", ["layer1.0", "layer2.0", "layer3.2"])
def test_a_cut_shortcut_is_a_block_without_it(model: nn.Module, block: str) -> None:
    expected = rewritten(model, block, lambda self, x: torch.relu(branch(self, x)))
    cut = answer(model, ScaleInput(f"{block}.add", "shortcut", 0))
    assert torch.equal(cut, expected)
    assert not torch.equal(cut, answer(model))


@pytest.mark.parametrize("block", ["layer1.1", "layer3.0"])
def test_a_dropped_block_is_its_shortcut(model: nn.Module, block: str) -> None:
    expected = rewritten(model, block, lambda self, x: torch.relu(shortcut(self, x)))
    assert torch.equal(answer(model, RemoveBlock(block)), expected)
    assert torch.equal(answer(model, ScaleInput(f"{block}.add", "branch", 0)), expected)
    assert torch.equal(answer(model, RemoveBlock(f"{block}.add")), expected)


def test_every_shortcut_cut_is_the_plain_net(model: nn.Module) -> None:
    plain = create_model("plain20").eval()
    plain.load_state_dict(model.state_dict())
    cuts = [ScaleInput(f"layer{stage}.{i}.add", 0, 0) for stage in (1, 2, 3) for i in range(3)]
    assert torch.equal(answer(model, *cuts), plain(IMAGE))


def test_dropping_a_stage_drops_each_of_its_blocks(model: nn.Module) -> None:
    each = answer(model, *(RemoveBlock(f"layer2.{i}") for i in range(3)))
    assert torch.equal(answer(model, RemoveBlock("layer2")), each)


@settings(deadline=None, max_examples=12)
@given(gain=st.floats(-3, 3, allow_subnormal=False))
def test_any_gain_weighs_one_operand(gain: float) -> None:
    model = ready()
    expected = rewritten(model, "layer2.1", lambda self, x: torch.relu(x * gain + branch(self, x)))
    assert torch.equal(answer(model, ScaleInput("layer2.1.add", "shortcut", gain)), expected)


def test_gain_one_is_the_net_to_the_bit_and_no_hook(model: nn.Module) -> None:
    with intervene(model, ScaleInput("layer1.0.add", 0, 1), ScaleInput("layer1.0.add", 1, 1.0)):
        assert not model.get_submodule("layer1.0.add")._forward_pre_hooks
        assert torch.equal(model(IMAGE), answer(model))


def test_a_cut_cuts_what_is_not_finite() -> None:
    endless = torch.tensor([torch.inf, torch.nan])
    assert torch.equal(apply_merge_edits([endless], [ScaleInput("add", 0, 0.0)])[0], torch.zeros(2))


def test_a_dense_connection_is_cut_by_its_number() -> None:
    model = lively("densenet_bc_40_12")

    def forward(self: nn.Module, *parts: Tensor) -> Tensor:
        x = torch.cat([parts[0], torch.zeros_like(parts[1]), *parts[2:]], 1)
        x = self.conv1(self.relu1(self.norm1(x)))  # type: ignore[operator]
        return self.conv2(self.relu2(self.norm2(x)))  # type: ignore[operator]

    layer = "features.denseblock2.denselayer4"
    expected = rewritten(model, layer, forward)
    assert torch.equal(answer(model, ScaleInput(f"{layer}.concat", 1, 0)), expected)
    assert not torch.equal(expected, answer(model))


def test_a_gate_held_open_is_a_block_without_se() -> None:
    model = lively("seresnet20")
    other = copy.deepcopy(model)
    other.layer2[1].se = None  # type: ignore[index,union-attr]
    assert torch.equal(answer(model, SetInput("layer2.1.se.gate", "weight", 1.0)), other(IMAGE))
    assert not torch.equal(answer(model), other(IMAGE))


def test_a_gate_held_channel_by_channel() -> None:
    model = lively("seresnet20")
    weight = torch.rand(32, 1, 1)

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return x * weight

    expected = rewritten(model, "layer2.1.se", forward)
    assert torch.equal(answer(model, SetInput("layer2.1.se.gate", 1, weight)), expected)


def test_operations_act_in_their_order() -> None:
    given, ones = [torch.full((2,), 3.0)], torch.ones(2)
    hold, halve = SetInput("m", 0, 1.0), ScaleInput("m", 0, 0.5)
    assert torch.equal(apply_merge_edits(given, [hold, halve])[0], ones / 2)
    assert torch.equal(apply_merge_edits(given, [halve, hold])[0], ones)
    assert torch.equal(apply_merge_edits(given, [halve, halve])[0], ones * 0.75)
    assert torch.equal(given[0], ones * 3)


def test_nested_operations_add_up_and_go_one_by_one(model: nn.Module) -> None:
    first, second = RemoveBlock("layer1.1"), ScaleInput("layer2.2.add", "shortcut", 0.3)
    both, one = answer(model, first, second), answer(model, first)
    with intervene(model, first):
        assert torch.equal(answer(model, second), both)
        assert torch.equal(model(IMAGE), one)


def test_the_net_is_whole_after_an_error_inside(model: nn.Module) -> None:
    before = answer(model)
    with (
        pytest.raises(ZeroDivisionError),
        intervene(model, RemoveBlock("layer1.0"), ScaleInput("layer1.1.add", 0, 0)),
    ):
        raise ZeroDivisionError
    assert torch.equal(answer(model), before)


@pytest.mark.parametrize(
    ("op", "error", "sentence"),
    [
        (
            ScaleInput("layer1.0.ad", 0, 0),
            HookPointError,
            "no part called 'layer1.0.ad'; near it are layer1.0.add",
        ),
        (
            ScaleInput("conv1", 0, 0),
            InterventionError,
            "'conv1' is no place where paths meet: this model has .*add",
        ),
        (
            ScaleInput("layer1.0.add", "weight", 0),
            InterventionError,
            "no operand 'weight': its operands are shortcut and branch",
        ),
        (ScaleInput("layer1.0.add", 2, 0), InterventionError, "no operand '2'"),
        (SetInput("layer1.0.add", -1, 0), InterventionError, "no operand '-1'"),
        (RemoveBlock("layer1.0.conv1"), InterventionError, "'layer1.0.conv1' holds no add"),
        (RemoveBlock("layer9"), HookPointError, "no part called 'layer9'"),
    ],
)
def test_what_does_not_fit_is_said_at_once(
    model: nn.Module, op: Intervention, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence), intervene(model, RemoveBlock("layer1.1"), op):
        raise AssertionError("the block must not begin")


def test_what_only_the_pass_can_tell_is_said_there(model: nn.Module) -> None:
    with pytest.raises(
        InterventionError, match=r"shape \(5, 1, 1\) does not fit operand 0 of 'layer1.0.add'"
    ):
        answer(model, SetInput("layer1.0.add", 0, torch.ones(5, 1, 1)))
    dense = lively("densenet_bc_40_12")
    with pytest.raises(
        InterventionError, match="has 2 operands, numbered from 0: there is no number 7"
    ):
        answer(dense, ScaleInput("features.denseblock1.denselayer2.concat", 7, 0))
    with pytest.raises(InterventionError, match="its operands are numbered from 0"):
        plan_interventions(
            dense, [ScaleInput("features.denseblock1.denselayer2.concat", "shortcut", 0)]
        )


def test_the_plan_speaks_in_numbers(model: nn.Module) -> None:
    ops = [
        RemoveBlock("layer1.0"),
        ScaleInput("layer1.0.add", "shortcut", 0.5),
        SetInput("layer1.1.add", "branch", 2),
        ScaleInput("layer1.2.add", 0, 1),
    ]
    assert plan_interventions(model, ops).merges == {
        "layer1.0.add": (ScaleInput("layer1.0.add", 1, 0.0), ScaleInput("layer1.0.add", 0, 0.5)),
        "layer1.1.add": (SetInput("layer1.1.add", 1, 2),),
    }


def test_holds_are_equal_by_value() -> None:
    assert SetInput("m", 0, torch.ones(2)) == SetInput("m", 0, torch.ones(2))
    assert SetInput("m", 0, torch.ones(2)) != SetInput("m", 0, torch.zeros(2))
    assert SetInput("m", 0, 1.0) != SetInput("m", 1, 1.0)
    assert SetInput("m", 0, 1.0) != ScaleInput("m", 0, 1.0)
    assert len({SetInput("m", 0, 1.0), SetInput("m", 0, 1.0)}) == 1


def test_half_precision_nets_keep_their_numbers() -> None:
    operand = torch.ones(1, 2, 2, 2, dtype=torch.bfloat16)
    for op in (SetInput("m", 0, 0.3), ScaleInput("m", 0, 0.3), ScaleInput("m", 0, 0.0)):
        assert apply_merge_edits([operand], [op])[0].dtype is torch.bfloat16


@settings(deadline=None, max_examples=60)
@given(ops=compositions())
def test_any_composition_is_the_forward_pass_written_out_by_hand(ops: list[Intervention]) -> None:
    model, slow = patient(), Slow(patient(), ops)
    expected, points = slow(IMAGES), list(WIDTHS)
    intact, before = model(IMAGES), dict(model.named_parameters())
    with (
        record_activations(model, points) as outer,
        intervene(model, *ops),
        record_activations(model, points) as inner,
    ):
        assert torch.equal(model(IMAGES), expected)
    for seen in (outer, inner):
        for point in points:
            assert torch.equal(seen.outputs[point], slow.seen[point]), point
        for merge, parts in seen.operands.items():
            assert all(map(torch.equal, parts, slow.met[merge])), merge
    assert torch.equal(model(IMAGES), intact)
    assert all(weight is before[name] for name, weight in model.named_parameters())


@settings(deadline=None, max_examples=30)
@given(ops=compositions())
def test_the_same_on_a_revealed_net(ops: list[Intervention]) -> None:
    model = insert_merges(patient(), (3, 6, 6))
    expected = Slow(patient(), ops)(IMAGES)
    with intervene(model, *ops):
        assert torch.equal(model(IMAGES), expected)


class Asking(Patient):
    """The same model with a question that torch.fx cannot follow."""

    def forward(self, x: Tensor) -> Tensor:
        if bool((x != x).any()):
            raise ValueError
        return super().forward(x)


@settings(deadline=None, max_examples=15)
@given(ops=compositions())
def test_the_same_on_a_net_whose_steps_were_recorded(ops: list[Intervention]) -> None:
    model, plain = Asking().eval().requires_grad_(False), patient()
    model.load_state_dict(plain.state_dict())
    shown = insert_merges(model, (3, 6, 6))
    assert shown.meta["followed"] == "recorder"
    with intervene(shown, *ops):
        assert torch.equal(shown(IMAGES), Slow(plain, ops)(IMAGES))


@settings(deadline=None, max_examples=8)
@given(ops=compositions(3))
def test_a_batch_is_its_pictures_one_by_one(ops: list[Intervention]) -> None:
    ops = [
        op
        for op in ops
        if not (isinstance(op, SetInput) and isinstance(op.value, Tensor) and op.value.dim() == 4)
    ]
    model = patient()
    with intervene(model, *ops):
        assert torch.allclose(
            model(IMAGES), torch.cat([model(one[None]) for one in IMAGES]), atol=1e-5
        )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@settings(deadline=None, max_examples=15)
@given(ops=compositions(3))
def test_the_same_on_a_gpu(ops: list[Intervention]) -> None:
    expected, model = Slow(patient(), ops)(IMAGES), patient().cuda()
    with intervene(model, *ops):
        torch.testing.assert_close(model(IMAGES.cuda()).cpu(), expected, rtol=1e-3, atol=1e-3)


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
    model = Foreign().eval()
    shown = insert_merges(model, (3, 6, 6))

    def silenced(module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        output = output.clone()
        output[:, 1] = 0
        return output

    handle = model.one.register_forward_hook(silenced)
    expected = model(IMAGES)
    handle.remove()
    with (
        intervene(shown, ZeroChannels("one", 1)),
        record_activations(shown, ["one", "one.add"]) as seen,
    ):
        with pytest.raises(RuntimeError):
            shown(
                torch.ones(1, 7, 6, 6)
            )  # a pass that ends on its way must not move the next one's count
        assert torch.equal(shown(IMAGES), expected)
    assert not seen.outputs["one"][:, 1].any()
    assert seen.outputs["one"].any()
    model.one.register_forward_hook(lambda m, args, output: shown_first.append(output.clone()))
    shown_first: list[Tensor] = []
    model(IMAGES)
    with intervene(
        shown, ScaleInput("other.add", "shortcut", 0)
    ):  # the sum had the branch first: by name it makes no odds
        branch = model.other.conv2(model.other.conv1(shown_first[0]).relu())
        assert torch.equal(shown(IMAGES), branch.relu().mean((2, 3)))


class Shared(nn.Module):
    """One module by two names."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 3, 1)
        self.other = self.one

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.one(x)).mean((2, 3))


def test_a_module_by_another_of_its_names() -> None:
    model = Shared().eval()
    shown = insert_merges(model, (3, 6, 6))
    for own in (model, shown):
        with intervene(own, ZeroChannels("one", 2)):
            expected = own(IMAGES)
        with intervene(own, ZeroChannels("other", 2)), record_activations(own, ["other"]) as seen:
            assert torch.equal(own(IMAGES), expected)
        assert not seen.outputs["other"][:, 2].any()
    logits, _ = IncrementalRunner(model, trace_nodes(model, (3, 6, 6))).run_image(
        IMAGES, ["other"], [ZeroChannels("other", 2)]
    )
    assert torch.equal(logits, expected)


@pytest.mark.slow
def test_a_dense_layer_of_torchvisions_net_is_dropped_by_its_name() -> None:
    from torchvision.models import densenet121

    torch.manual_seed(0)
    theirs, images = densenet121(num_classes=10).eval(), torch.randn(1, 3, 64, 64)
    shown, layer = insert_merges(theirs, (3, 64, 64)), "features.denseblock2.denselayer3"
    handle = theirs.get_submodule(layer).register_forward_hook(lambda m, args, output: output * 0)
    expected = theirs(images)
    handle.remove()
    concats = [
        name
        for name, parts in concat_inputs(shown).items()
        if any(layer in part.module_names and part.is_dense_growth for part in parts)
    ]
    assert len(concats) == 12 - 3 + 1
    with intervene(shown, RemoveBlock(layer)):
        assert torch.equal(shown(images), expected)
    with intervene(shown, *(ScaleInput(concat, layer, 0) for concat in concats)):
        assert torch.equal(shown(images), expected)


def test_operations_compare_as_values() -> None:
    assert ZeroChannels("a", 1) == ZeroChannels("a", [1]) == ZeroChannels("a", range(1, 2))
    assert KeepChannels("a", {2, 0}) == KeepChannels("a", (0, 2)) != ZeroChannels("a", (0, 2))
    assert SetInput("m", 0, 1.0, 3) == SetInput("m", 0, 1.0, [3]) != SetInput("m", 0, 1.0)
    assert SetInput("m", 0, torch.ones(1, 2)) != SetInput("m", 0, torch.ones(2))
    assert SetInput("m", 0, torch.ones(2)) != SetInput("m", 0, torch.ones(2, dtype=torch.float64))
    assert (
        len(
            {
                SwapBlocks("a", "b"),
                SwapBlocks("a", "b"),
                BypassBlock("a"),
                BypassBlock("a"),
                ZeroChannels("a", [0]),
                ZeroChannels("a", 0),
            }
        )
        == 3
    )


@pytest.mark.parametrize(
    ("op", "sentence"),
    [
        (
            ZeroChannels("a.conv", 4),
            r"^'a.conv' gives 4 channels, numbered from 0: there is no number 4\.$",
        ),
        (
            KeepChannels("fc", [0, 7]),
            r"^'fc' gives 5 channels, numbered from 0: there is no number 7\.$",
        ),
        (
            SetInput("a.se.gate", 1, 0, 9),
            r"^Operand 1 of 'a.se.gate' has 4 channels, numbered from 0: there is no number 9",
        ),
        (
            SetInput("a.se.gate", 1, torch.ones(3)),
            r"shape \(3,\) does not fit operand 1 of 'a.se.gate', .*\(2, 4, 1, 1\)\.",
        ),
        (
            SetInput("a.add", 1, torch.ones(3), (0, 2)),
            r"shape \(3,\) does not fit channels 0, 2 of operand 1 of 'a.add'",
        ),
        (
            BypassBlock("stem"),
            r"^'stem' cannot be passed by: what it is given, of shape \(2, 3, 6, 6\), does not take the pl",
        ),
        (
            BypassBlock("a.add"),
            r"^'a.add' cannot be passed by: what it is given, that is no single tensor",
        ),
    ],
)
def test_what_only_the_tensors_can_tell_is_said_in_the_pass(
    op: Intervention, sentence: str
) -> None:
    model = patient()
    with pytest.raises(InterventionError, match=sentence), intervene(model, op):
        model(IMAGES)
    assert not [
        name
        for m in model.modules()
        for name, table in vars(m).items()
        if name.endswith("_hooks") and table
    ]


@pytest.mark.parametrize(
    ("op", "error", "sentence"),
    [
        (ZeroChannels("a.convv", 0), HookPointError, "near it are a.conv"),
        (BypassBlock("d"), HookPointError, "no part called 'd'"),
        (
            RemoveBlock("stem"),
            InterventionError,
            "^'stem' holds no add, so there is no branch to drop, and no dense layer: name",
        ),
        (RemoveBlock("dense.concat"), InterventionError, "no dense layer"),
        (
            ScaleInput("dense.denselayer3.concat", "dense.denselayer3", 0),
            InterventionError,
            r"^'dense\S+' has no operand '\S+3': .* and come from c, dense.denselayer1, dense.denselayer2\.$",
        ),
    ],
)
def test_what_does_not_fit_the_patient_is_said_at_once(
    op: Intervention, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence), intervene(patient(), op):
        raise AssertionError("the block must not begin")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ZeroChannels("a", -1), r"There is no channel -1: .*\."),
        (lambda: SetInput("m", 0, 0, [2, 2]), r"Channel 2 is named twice: .*\."),
        (lambda: KeepChannels("a", [0.5]), r"Channels are whole numbers from 0, not \[0\.5\]\."),  # type: ignore[list-item]
        (lambda: SetInput("m", 0, 0, "all"), r"Channels are whole numbers from 0, not 'all'\."),  # type: ignore[arg-type]
        (lambda: SetInput("m", 0, "1"), r"A value to hold is a number or a tensor, not '1'\."),  # type: ignore[arg-type]
        (lambda: ScaleInput("m", 0, "0.5"), r"A gain is a finite number, .* not '0\.5'\."),  # type: ignore[arg-type]
        (lambda: ScaleInput("m", 0, float("nan")), r"A gain is a finite number, .* not nan\."),
        (lambda: ScaleInput("m", 0, -float("inf")), r"A gain is a finite number, .* not -inf\."),
    ],
)
def test_numbers_that_are_none(make: Callable[[], Intervention], sentence: str) -> None:
    with pytest.raises(InterventionError, match=f"^{sentence}$"):
        make()


NONE: Any = None


@pytest.mark.parametrize(
    "op",
    [
        "layer1.0",
        None,
        3,
        ["layer1.0"],
        RemoveBlock,
        RemoveBlock(NONE),
        SwapBlocks("layer1.0", NONE),
    ],
)
def test_what_is_no_operation(model: nn.Module, op: Any) -> None:
    with (
        pytest.raises(
            InterventionError, match=r" is no operation: give Scale, .*Drop\('layer1\.0'\)\.$"
        ),
        intervene(model, op),
    ):
        raise AssertionError("the block must not begin")


def test_operations_in_lists_are_operations(model: nn.Module) -> None:
    one, other = RemoveBlock("layer1.1"), ScaleInput("layer2.2.add", "shortcut", 0.3)
    assert torch.equal(answer(model, [one, other]), answer(model, one, other))
    assert torch.equal(answer(model, []), answer(model))


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("mode", ["plain", "inference", "autocast", "training"])
def test_every_way_of_running_a_net(batch: int, form: torch.memory_format, mode: str) -> None:
    ops = [
        RemoveBlock("b"),
        ScaleInput("a.add", "shortcut", 0.5),
        SetInput("c.se.gate", "weight", 0.5),
        ZeroChannels("stem", 1),
    ]
    model, slow = patient().train(mode == "training").to(memory_format=form), Slow(patient(), ops)
    slow.model = copy.deepcopy(model)
    images = IMAGES[:1].repeat(batch, 1, 1, 1).to(memory_format=form)
    cast = torch.autocast("cpu", torch.bfloat16, enabled=mode == "autocast")
    with torch.inference_mode(mode == "inference"), cast:
        expected = slow(images)
        with intervene(model, *ops), record_activations(model, ["b", "c.add"]) as seen:
            found = model(images)
        same = (
            torch.equal if form is torch.contiguous_format else torch.allclose
        )  # by hand the layout is not kept
        assert same(found, expected)
        assert same(seen.outputs["b"], slow.seen["b"])
        assert expected.dtype is (torch.bfloat16 if mode == "autocast" else torch.float32)
        assert torch.equal(
            model(images), patient().train(mode == "training").to(memory_format=form)(images)
        )


def test_a_copy_made_under_surgery_stays_under_it_and_the_net_does_not(model: nn.Module) -> None:
    whole, cut = answer(model), answer(model, RemoveBlock("layer1.1"))
    with intervene(model, RemoveBlock("layer1.1")), record_activations(model, ["layer2"]):
        other = copy.deepcopy(model)
    assert torch.equal(model(IMAGE), whole)
    assert torch.equal(other(IMAGE), cut)
    assert torch.equal(copy.deepcopy(model)(IMAGE), whole)


def test_blocks_may_end_in_any_order(model: nn.Module) -> None:
    whole, last = answer(model), answer(model, SwapBlocks("layer1.1", "layer1.2"))
    first, second, seen = (
        intervene(model, RemoveBlock("layer1.1")),
        intervene(model, SwapBlocks("layer1.1", "layer1.2")),
        record_activations(model, ["fc"]),
    )
    for block in (first, second, seen):
        block.__enter__()
    first.__exit__(None, None, None)
    assert torch.equal(model(IMAGE), last)
    seen.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert torch.equal(model(IMAGE), whole)


def test_dense_layers_are_dropped_wherever_they_are_read() -> None:
    model = lively("densenet_bc_40_12")
    layer = "features.denseblock2.denselayer3"
    handle = model.get_submodule(layer).register_forward_hook(lambda m, args, output: output * 0)
    expected = model(IMAGE)
    handle.remove()
    assert torch.equal(answer(model, RemoveBlock(layer)), expected)
    concats = [f"features.denseblock2.denselayer{i}.concat" for i in (4, 5, 6)] + [
        "features.denseblock2.concat"
    ]
    assert torch.equal(
        answer(model, *(ScaleInput(concat, layer, 0) for concat in concats)), expected
    )


def test_a_part_by_source_and_by_number_are_one() -> None:
    model = lively("densenet_bc_40_12")
    concat = "features.denseblock2.denselayer4.concat"
    for number, source in enumerate(["features.transition1", "features.denseblock2.denselayer1"]):
        assert torch.equal(
            answer(model, ScaleInput(concat, source, 0)),
            answer(model, ScaleInput(concat, number, 0)),
        )
    assert plan_interventions(
        model, [SetInput(concat, "features.transition1.pool", 0.5)]
    ).merges == {concat: (SetInput(concat, 0, 0.5),)}
