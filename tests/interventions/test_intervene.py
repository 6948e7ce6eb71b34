"""Interventions against forward passes written by hand; the model is unchanged afterwards."""

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

from lightning_resnets.errors import HookPointError
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
from lightning_resnets.interventions.apply_edits import apply_merge_edits
from lightning_resnets.interventions.incremental import IncrementalRunner
from lightning_resnets.interventions.merge_inputs import concat_inputs
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.models.registry import create_model
from tests.helpers.reference_forward import (
    IMAGES,
    WIDTHS,
    AllMergesModel,
    ReferenceForward,
    compositions,
    make_all_merges_model,
)

IMAGE = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def make_active_model(name: str) -> nn.Module:
    """Build a model with active norms: weights of 1 and means of 0 would hide mistakes."""
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
    return make_active_model("resnet20")


@pytest.fixture
def model() -> Iterator[nn.Module]:
    model = make_active_model("resnet20")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    yield model
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert not [
        name
        for m in model.modules()
        for name, table in vars(m).items()
        if name.endswith("_hooks") and table
    ]


def run_with(model: nn.Module, *interventions: Intervention | Sequence[Intervention]) -> Tensor:
    with intervene(model, *interventions):
        return model(IMAGE)


def run_rewritten(model: nn.Module, block: str, forward: Callable[..., Tensor]) -> Tensor:
    """Run a copy whose block has another, hand-written forward."""
    other = copy.deepcopy(model)
    module = other.get_submodule(block)
    module.forward = types.MethodType(forward, module)
    return other(IMAGE)


def branch(self: nn.Module, x: Tensor) -> Tensor:
    return self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))  # type: ignore[operator]


def shortcut(self: nn.Module, x: Tensor) -> Tensor:
    return x if self.downsample is None else self.downsample(x)  # type: ignore[operator]


@pytest.mark.parametrize("block", ["layer1.0", "layer2.0", "layer3.2"])
def test_cutting_a_shortcut_matches_a_block_without_it(model: nn.Module, block: str) -> None:
    expected = run_rewritten(model, block, lambda self, x: torch.relu(branch(self, x)))
    cut = run_with(model, ScaleInput(f"{block}.add", "shortcut", 0))
    assert torch.equal(cut, expected)
    assert not torch.equal(cut, run_with(model))


@pytest.mark.parametrize("block", ["layer1.1", "layer3.0"])
def test_a_removed_block_is_its_shortcut(model: nn.Module, block: str) -> None:
    expected = run_rewritten(model, block, lambda self, x: torch.relu(shortcut(self, x)))
    assert torch.equal(run_with(model, RemoveBlock(block)), expected)
    assert torch.equal(run_with(model, ScaleInput(f"{block}.add", "branch", 0)), expected)
    assert torch.equal(run_with(model, RemoveBlock(f"{block}.add")), expected)


def test_cutting_every_shortcut_gives_the_plain_model(model: nn.Module) -> None:
    plain = create_model("plain20").eval()
    plain.load_state_dict(model.state_dict())
    cuts = [ScaleInput(f"layer{stage}.{i}.add", 0, 0) for stage in (1, 2, 3) for i in range(3)]
    assert torch.equal(run_with(model, *cuts), plain(IMAGE))


def test_removing_a_stage_removes_each_of_its_blocks(model: nn.Module) -> None:
    each = run_with(model, *(RemoveBlock(f"layer2.{i}") for i in range(3)))
    assert torch.equal(run_with(model, RemoveBlock("layer2")), each)


@settings(deadline=None, max_examples=12)
@given(gain=st.floats(-3, 3, allow_subnormal=False))
def test_any_factor_scales_one_operand(gain: float) -> None:
    model = ready()
    expected = run_rewritten(
        model, "layer2.1", lambda self, x: torch.relu(x * gain + branch(self, x))
    )
    assert torch.equal(run_with(model, ScaleInput("layer2.1.add", "shortcut", gain)), expected)


def test_factor_one_adds_no_hook(model: nn.Module) -> None:
    with intervene(model, ScaleInput("layer1.0.add", 0, 1), ScaleInput("layer1.0.add", 1, 1.0)):
        assert not model.get_submodule("layer1.0.add")._forward_pre_hooks
        assert torch.equal(model(IMAGE), run_with(model))


def test_factor_zero_removes_non_finite_values() -> None:
    endless = torch.tensor([torch.inf, torch.nan])
    assert torch.equal(apply_merge_edits([endless], [ScaleInput("add", 0, 0.0)])[0], torch.zeros(2))


def test_a_dense_connection_is_cut_by_number() -> None:
    model = make_active_model("densenet_bc_40_12")

    def forward(self: nn.Module, *parts: Tensor) -> Tensor:
        x = torch.cat([parts[0], torch.zeros_like(parts[1]), *parts[2:]], 1)
        x = self.conv1(self.relu1(self.norm1(x)))  # type: ignore[operator]
        return self.conv2(self.relu2(self.norm2(x)))  # type: ignore[operator]

    layer = "features.denseblock2.denselayer4"
    expected = run_rewritten(model, layer, forward)
    assert torch.equal(run_with(model, ScaleInput(f"{layer}.concat", 1, 0)), expected)
    assert not torch.equal(expected, run_with(model))


def test_a_gate_set_to_one_is_a_block_without_se() -> None:
    model = make_active_model("seresnet20")
    other = copy.deepcopy(model)
    other.layer2[1].se = None  # type: ignore[index,union-attr]
    assert torch.equal(run_with(model, SetInput("layer2.1.se.gate", "weight", 1.0)), other(IMAGE))
    assert not torch.equal(run_with(model), other(IMAGE))


def test_a_gate_is_set_channel_by_channel() -> None:
    model = make_active_model("seresnet20")
    weight = torch.rand(32, 1, 1)

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return x * weight

    expected = run_rewritten(model, "layer2.1.se", forward)
    assert torch.equal(run_with(model, SetInput("layer2.1.se.gate", 1, weight)), expected)


def test_interventions_act_in_order() -> None:
    given, ones = [torch.full((2,), 3.0)], torch.ones(2)
    hold, halve = SetInput("m", 0, 1.0), ScaleInput("m", 0, 0.5)
    assert torch.equal(apply_merge_edits(given, [hold, halve])[0], ones / 2)
    assert torch.equal(apply_merge_edits(given, [halve, hold])[0], ones)
    assert torch.equal(apply_merge_edits(given, [halve, halve])[0], ones * 0.75)
    assert torch.equal(given[0], ones * 3)


def test_nested_interventions_compose(model: nn.Module) -> None:
    first, second = RemoveBlock("layer1.1"), ScaleInput("layer2.2.add", "shortcut", 0.3)
    both, one = run_with(model, first, second), run_with(model, first)
    with intervene(model, first):
        assert torch.equal(run_with(model, second), both)
        assert torch.equal(model(IMAGE), one)


def test_the_model_is_restored_after_an_error(model: nn.Module) -> None:
    before = run_with(model)
    with (
        pytest.raises(ZeroDivisionError),
        intervene(model, RemoveBlock("layer1.0"), ScaleInput("layer1.1.add", 0, 0)),
    ):
        raise ZeroDivisionError
    assert torch.equal(run_with(model), before)


@pytest.mark.parametrize(
    ("op", "error", "message"),
    [
        (
            ScaleInput("layer1.0.ad", 0, 0),
            HookPointError,
            "no module called 'layer1.0.ad'; similar names are layer1.0.add",
        ),
        (
            ScaleInput("conv1", 0, 0),
            InterventionError,
            "'conv1' is not a merge: this model has .*add",
        ),
        (
            ScaleInput("layer1.0.add", "weight", 0),
            InterventionError,
            "no operand 'weight': its operands are shortcut and branch",
        ),
        (ScaleInput("layer1.0.add", 2, 0), InterventionError, "no operand '2'"),
        (SetInput("layer1.0.add", -1, 0), InterventionError, "no operand '-1'"),
        (RemoveBlock("layer1.0.conv1"), InterventionError, "'layer1.0.conv1' contains no Add"),
        (RemoveBlock("layer9"), HookPointError, "no module called 'layer9'"),
    ],
)
def test_invalid_interventions_raise_at_once(
    model: nn.Module, op: Intervention, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message), intervene(model, RemoveBlock("layer1.1"), op):
        raise AssertionError("the block must not begin")


def test_values_and_operands_are_checked_in_the_forward_pass(model: nn.Module) -> None:
    with pytest.raises(
        InterventionError, match=r"shape \(5, 1, 1\) does not fit operand 0 of 'layer1.0.add'"
    ):
        run_with(model, SetInput("layer1.0.add", 0, torch.ones(5, 1, 1)))
    dense = make_active_model("densenet_bc_40_12")
    with pytest.raises(
        InterventionError, match="has 2 operands, numbered from 0: there is no number 7"
    ):
        run_with(dense, ScaleInput("features.denseblock1.denselayer2.concat", 7, 0))
    with pytest.raises(InterventionError, match="its operands are numbered from 0"):
        plan_interventions(
            dense, [ScaleInput("features.denseblock1.denselayer2.concat", "shortcut", 0)]
        )


def test_plans_have_operand_numbers(model: nn.Module) -> None:
    interventions = [
        RemoveBlock("layer1.0"),
        ScaleInput("layer1.0.add", "shortcut", 0.5),
        SetInput("layer1.1.add", "branch", 2),
        ScaleInput("layer1.2.add", 0, 1),
    ]
    assert plan_interventions(model, interventions).merges == {
        "layer1.0.add": (ScaleInput("layer1.0.add", 1, 0.0), ScaleInput("layer1.0.add", 0, 0.5)),
        "layer1.1.add": (SetInput("layer1.1.add", 1, 2),),
    }


def test_set_inputs_are_equal_by_value() -> None:
    assert SetInput("m", 0, torch.ones(2)) == SetInput("m", 0, torch.ones(2))
    assert SetInput("m", 0, torch.ones(2)) != SetInput("m", 0, torch.zeros(2))
    assert SetInput("m", 0, 1.0) != SetInput("m", 1, 1.0)
    assert SetInput("m", 0, 1.0) != ScaleInput("m", 0, 1.0)
    assert len({SetInput("m", 0, 1.0), SetInput("m", 0, 1.0)}) == 1


def test_half_precision_is_kept() -> None:
    operand = torch.ones(1, 2, 2, 2, dtype=torch.bfloat16)
    for op in (SetInput("m", 0, 0.3), ScaleInput("m", 0, 0.3), ScaleInput("m", 0, 0.0)):
        assert apply_merge_edits([operand], [op])[0].dtype is torch.bfloat16


@settings(deadline=None, max_examples=60)
@given(interventions=compositions())
def test_any_composition_matches_the_reference(interventions: list[Intervention]) -> None:
    model, reference = (
        make_all_merges_model(),
        ReferenceForward(make_all_merges_model(), interventions),
    )
    expected, points = reference(IMAGES), list(WIDTHS)
    intact, before = model(IMAGES), dict(model.named_parameters())
    with (
        record_activations(model, points) as outer,
        intervene(model, *interventions),
        record_activations(model, points) as inner,
    ):
        assert torch.equal(model(IMAGES), expected)
    for recording in (outer, inner):
        for point in points:
            assert torch.equal(recording.outputs[point], reference.outputs[point]), point
        for merge, parts in recording.operands.items():
            assert all(map(torch.equal, parts, reference.operands[merge])), merge
    assert torch.equal(model(IMAGES), intact)
    assert all(weight is before[name] for name, weight in model.named_parameters())


@settings(deadline=None, max_examples=30)
@given(interventions=compositions())
def test_any_composition_matches_with_inserted_merges(interventions: list[Intervention]) -> None:
    model = insert_merges(make_all_merges_model(), (3, 6, 6))
    expected = ReferenceForward(make_all_merges_model(), interventions)(IMAGES)
    with intervene(model, *interventions):
        assert torch.equal(model(IMAGES), expected)


class DataDependent(AllMergesModel):
    """The same model with a condition that torch.fx cannot trace."""

    def forward(self, x: Tensor) -> Tensor:
        if bool((x != x).any()):
            raise ValueError
        return super().forward(x)


@settings(deadline=None, max_examples=15)
@given(interventions=compositions())
def test_any_composition_matches_on_a_recorded_model(interventions: list[Intervention]) -> None:
    model, plain = DataDependent().eval().requires_grad_(False), make_all_merges_model()
    model.load_state_dict(plain.state_dict())
    with_merges = insert_merges(model, (3, 6, 6))
    assert with_merges.meta["traced_by"] == "recorder"
    with intervene(with_merges, *interventions):
        assert torch.equal(with_merges(IMAGES), ReferenceForward(plain, interventions)(IMAGES))


@settings(deadline=None, max_examples=8)
@given(interventions=compositions(3))
def test_a_batch_matches_its_images_one_by_one(interventions: list[Intervention]) -> None:
    interventions = [
        op
        for op in interventions
        if not (isinstance(op, SetInput) and isinstance(op.value, Tensor) and op.value.dim() == 4)
    ]
    model = make_all_merges_model()
    with intervene(model, *interventions):
        assert torch.allclose(
            model(IMAGES), torch.cat([model(one[None]) for one in IMAGES]), atol=1e-5
        )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@settings(deadline=None, max_examples=15)
@given(interventions=compositions(3))
def test_any_composition_matches_on_a_gpu(interventions: list[Intervention]) -> None:
    expected, model = (
        ReferenceForward(make_all_merges_model(), interventions)(IMAGES),
        make_all_merges_model().cuda(),
    )
    with intervene(model, *interventions):
        torch.testing.assert_close(model(IMAGES.cuda()).cpu(), expected, rtol=1e-3, atol=1e-3)


class ThirdParty(nn.Module):
    """Blocks as in torchvision: one ReLU for two places, sums in place."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.one, self.other = ThirdPartyBlock(), ThirdPartyBlock()

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.one(x)).mean((2, 3))


class ThirdPartyBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.conv2(self.relu(self.conv1(x)))
        branch += x
        return self.relu(branch)


def test_channels_of_a_block_with_inserted_merges_are_zeroed() -> None:
    torch.manual_seed(0)
    model = ThirdParty().eval()
    with_merges = insert_merges(model, (3, 6, 6))

    def silenced(module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        output = output.clone()
        output[:, 1] = 0
        return output

    handle = model.one.register_forward_hook(silenced)
    expected = model(IMAGES)
    handle.remove()
    with (
        intervene(with_merges, ZeroChannels("one", 1)),
        record_activations(with_merges, ["one", "one.add"]) as recording,
    ):
        with pytest.raises(RuntimeError):
            with_merges(
                torch.ones(1, 7, 6, 6)
            )  # a pass that ends on its way must not move the next one's count
        assert torch.equal(with_merges(IMAGES), expected)
    assert not recording.outputs["one"][:, 1].any()
    assert recording.outputs["one"].any()
    model.one.register_forward_hook(lambda m, args, output: shown_first.append(output.clone()))
    shown_first: list[Tensor] = []
    model(IMAGES)
    with intervene(
        with_merges, ScaleInput("other.add", "shortcut", 0)
    ):  # the sum had the branch first: by name it makes no odds
        branch = model.other.conv2(model.other.conv1(shown_first[0]).relu())
        assert torch.equal(with_merges(IMAGES), branch.relu().mean((2, 3)))


class Shared(nn.Module):
    """One module with two names."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 3, 1)
        self.other = self.one

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.one(x)).mean((2, 3))


def test_a_shared_module_is_found_by_all_names() -> None:
    model = Shared().eval()
    with_merges = insert_merges(model, (3, 6, 6))
    for own in (model, with_merges):
        with intervene(own, ZeroChannels("one", 2)):
            expected = own(IMAGES)
        with (
            intervene(own, ZeroChannels("other", 2)),
            record_activations(own, ["other"]) as recording,
        ):
            assert torch.equal(own(IMAGES), expected)
        assert not recording.outputs["other"][:, 2].any()
    logits, _ = IncrementalRunner(model, trace_nodes(model, (3, 6, 6))).run_image(
        IMAGES, ["other"], [ZeroChannels("other", 2)]
    )
    assert torch.equal(logits, expected)


@pytest.mark.slow
def test_a_dense_layer_of_torchvision_is_removed_by_name() -> None:
    from torchvision.models import densenet121

    torch.manual_seed(0)
    theirs, images = densenet121(num_classes=10).eval(), torch.randn(1, 3, 64, 64)
    with_merges, layer = insert_merges(theirs, (3, 64, 64)), "features.denseblock2.denselayer3"
    handle = theirs.get_submodule(layer).register_forward_hook(lambda m, args, output: output * 0)
    expected = theirs(images)
    handle.remove()
    concats = [
        name
        for name, parts in concat_inputs(with_merges).items()
        if any(layer in part.module_names and part.is_dense_growth for part in parts)
    ]
    assert len(concats) == 12 - 3 + 1
    with intervene(with_merges, RemoveBlock(layer)):
        assert torch.equal(with_merges(images), expected)
    with intervene(with_merges, *(ScaleInput(concat, layer, 0) for concat in concats)):
        assert torch.equal(with_merges(images), expected)


def test_interventions_compare_as_values() -> None:
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
    ("op", "message"),
    [
        (
            ZeroChannels("a.conv", 4),
            r"^'a.conv' returns 4 channels, numbered from 0: there is no number 4\.$",
        ),
        (
            KeepChannels("fc", [0, 7]),
            r"^'fc' returns 5 channels, numbered from 0: there is no number 7\.$",
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
            r"^'stem' cannot be bypassed: its input is of shape \(2, 3, 6, 6\) and its output of",
        ),
        (
            BypassBlock("a.add"),
            r"^'a.add' cannot be bypassed: its input is not a single tensor and its output",
        ),
    ],
)
def test_shapes_are_checked_in_the_forward_pass(op: Intervention, message: str) -> None:
    model = make_all_merges_model()
    with pytest.raises(InterventionError, match=message), intervene(model, op):
        model(IMAGES)
    assert not [
        name
        for m in model.modules()
        for name, table in vars(m).items()
        if name.endswith("_hooks") and table
    ]


@pytest.mark.parametrize(
    ("op", "error", "message"),
    [
        (ZeroChannels("a.convv", 0), HookPointError, "similar names are a.conv"),
        (BypassBlock("d"), HookPointError, "no module called 'd'"),
        (
            RemoveBlock("stem"),
            InterventionError,
            "^'stem' contains no Add and no dense layer, so it cannot be removed: use",
        ),
        (RemoveBlock("dense.concat"), InterventionError, "no dense layer"),
        (
            ScaleInput("dense.denselayer3.concat", "dense.denselayer3", 0),
            InterventionError,
            r"^'dense\S+' has no operand '\S+3': .* c, dense.denselayer1, dense.denselayer2\.$",
        ),
    ],
)
def test_invalid_interventions_of_the_small_model_raise_at_once(
    op: Intervention, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message), intervene(make_all_merges_model(), op):
        raise AssertionError("the block must not begin")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ZeroChannels("a", -1), r"channels are numbered from 0, got -1\."),
        (lambda: SetInput("m", 0, 0, [2, 2]), r"channel 2 is listed twice: list it once\."),
        (lambda: KeepChannels("a", [0.5]), r"channels must be integers from 0, got \[0\.5\]\."),  # type: ignore[list-item]
        (lambda: SetInput("m", 0, 0, "all"), r"channels must be integers from 0, got 'all'\."),  # type: ignore[arg-type]
        (lambda: SetInput("m", 0, "1"), r"value must be a number or a tensor, got '1'\."),  # type: ignore[arg-type]
        (lambda: ScaleInput("m", 0, "0.5"), r"factor must be a finite number, got '0\.5' .*"),  # type: ignore[arg-type]
        (lambda: ScaleInput("m", 0, float("nan")), r"factor must be a finite number, got nan .*"),
        (lambda: ScaleInput("m", 0, -float("inf")), r"factor must be a finite number, got -inf .*"),
    ],
)
def test_invalid_numbers_raise(make: Callable[[], Intervention], message: str) -> None:
    with pytest.raises(InterventionError, match=f"^{message}$"):
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
def test_other_objects_raise(model: nn.Module, op: Any) -> None:
    with (
        pytest.raises(
            InterventionError,
            match=r" is not an intervention: pass ScaleInput, .*RemoveBlock\('layer1\.0'\)\.$",
        ),
        intervene(model, op),
    ):
        raise AssertionError("the block must not begin")


def test_lists_of_interventions_are_flattened(model: nn.Module) -> None:
    one, other = RemoveBlock("layer1.1"), ScaleInput("layer2.2.add", "shortcut", 0.3)
    assert torch.equal(run_with(model, [one, other]), run_with(model, one, other))
    assert torch.equal(run_with(model, []), run_with(model))


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("mode", ["plain", "inference", "autocast", "training"])
def test_all_memory_formats_and_modes(batch: int, form: torch.memory_format, mode: str) -> None:
    interventions = [
        RemoveBlock("b"),
        ScaleInput("a.add", "shortcut", 0.5),
        SetInput("c.se.gate", "weight", 0.5),
        ZeroChannels("stem", 1),
    ]
    model, reference = (
        make_all_merges_model().train(mode == "training").to(memory_format=form),
        ReferenceForward(make_all_merges_model(), interventions),
    )
    reference.model = copy.deepcopy(model)
    images = IMAGES[:1].repeat(batch, 1, 1, 1).to(memory_format=form)
    cast = torch.autocast("cpu", torch.bfloat16, enabled=mode == "autocast")
    with torch.inference_mode(mode == "inference"), cast:
        expected = reference(images)
        with (
            intervene(model, *interventions),
            record_activations(model, ["b", "c.add"]) as recording,
        ):
            found = model(images)
        same = (
            torch.equal if form is torch.contiguous_format else torch.allclose
        )  # by hand the layout is not kept
        assert same(found, expected)
        assert same(recording.outputs["b"], reference.outputs["b"])
        assert expected.dtype is (torch.bfloat16 if mode == "autocast" else torch.float32)
        assert torch.equal(
            model(images),
            make_all_merges_model().train(mode == "training").to(memory_format=form)(images),
        )


def test_a_copy_made_inside_the_block_is_free_of_the_interventions(model: nn.Module) -> None:
    whole = run_with(model)
    with intervene(model, RemoveBlock("layer1.1")), record_activations(model, ["layer2"]):
        other = copy.deepcopy(model)
    assert torch.equal(model(IMAGE), whole)
    assert torch.equal(other(IMAGE), whole)
    assert torch.equal(copy.deepcopy(model)(IMAGE), whole)


def test_with_blocks_may_end_in_any_order(model: nn.Module) -> None:
    whole, last = run_with(model), run_with(model, SwapBlocks("layer1.1", "layer1.2"))
    first, second, recording = (
        intervene(model, RemoveBlock("layer1.1")),
        intervene(model, SwapBlocks("layer1.1", "layer1.2")),
        record_activations(model, ["fc"]),
    )
    for block in (first, second, recording):
        block.__enter__()
    first.__exit__(None, None, None)
    assert torch.equal(model(IMAGE), last)
    recording.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert torch.equal(model(IMAGE), whole)


def test_a_removed_dense_layer_is_zero_for_every_consumer() -> None:
    model = make_active_model("densenet_bc_40_12")
    layer = "features.denseblock2.denselayer3"
    handle = model.get_submodule(layer).register_forward_hook(lambda m, args, output: output * 0)
    expected = model(IMAGE)
    handle.remove()
    assert torch.equal(run_with(model, RemoveBlock(layer)), expected)
    concats = [f"features.denseblock2.denselayer{i}.concat" for i in (4, 5, 6)] + [
        "features.denseblock2.concat"
    ]
    assert torch.equal(
        run_with(model, *(ScaleInput(concat, layer, 0) for concat in concats)), expected
    )


def test_an_operand_by_source_and_by_number_are_equal() -> None:
    model = make_active_model("densenet_bc_40_12")
    concat = "features.denseblock2.denselayer4.concat"
    for number, source in enumerate(["features.transition1", "features.denseblock2.denselayer1"]):
        assert torch.equal(
            run_with(model, ScaleInput(concat, source, 0)),
            run_with(model, ScaleInput(concat, number, 0)),
        )
    assert plan_interventions(
        model, [SetInput(concat, "features.transition1.pool", 0.5)]
    ).merges == {concat: (SetInput(concat, 0, 0.5),)}
