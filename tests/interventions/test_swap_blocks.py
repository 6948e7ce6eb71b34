"""Swapped blocks against models whose modules were exchanged."""

import copy

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.errors import HookPointError, InterventionError
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import intervene
from lightning_resnets.interventions.edits import RemoveBlock, SwapBlocks, ZeroChannels
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.interventions.swap_blocks import swapped
from lightning_resnets.models.registry import create_model
from tests.helpers.reference_forward import IMAGES, make_all_merges_model


def exchange_modules(model: nn.Module, one: str, other: str) -> nn.Module:
    """Return a copy with the modules themselves exchanged."""
    model = copy.deepcopy(model)
    first, second = model.get_submodule(one), model.get_submodule(other)
    model.set_submodule(one, second)
    model.set_submodule(other, first)
    return model


def make_active_model(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = create_model(name)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("resnet20", "layer1.0", "layer1.2"),
        ("seresnet20", "layer3.1", "layer3.2"),
        ("resnet20", "layer2.1.conv1", "layer2.1.conv2"),
    ],
)
def test_swapped_blocks_match_exchanged_modules(name: str, one: str, other: str) -> None:
    model, images = make_active_model(name), torch.randn(2, 3, 16, 16)
    modules, weights, intact = list(model.modules()), list(model.parameters()), model(images)
    reference, with_merges = exchange_modules(model, one, other), insert_merges(model, (3, 16, 16))
    for own in (model, with_merges):
        with intervene(own, SwapBlocks(one, other)):
            assert torch.equal(own(images), reference(images))
        assert torch.equal(own(images), intact)
    assert not torch.equal(reference(images), intact)
    assert all(now is before for now, before in zip(model.modules(), modules, strict=True))
    assert all(now is before for now, before in zip(model.parameters(), weights, strict=True))


def test_names_stay_with_the_places() -> None:
    model = make_all_merges_model()
    reference = exchange_modules(model, "a", "b")
    with (
        intervene(reference, ZeroChannels("a.conv", 0), RemoveBlock("b")),
        record_activations(reference, ["a.conv", "b.add"]) as theirs,
    ):
        expected = reference(IMAGES)
    for interventions in (
        [SwapBlocks("a", "b"), ZeroChannels("a.conv", 0), RemoveBlock("b")],
        [ZeroChannels("a.conv", 0), RemoveBlock("b"), SwapBlocks("a", "b")],
    ):
        with (
            record_activations(model, ["a.conv", "b.add"]) as recording,
            intervene(model, *interventions),
        ):
            assert torch.equal(model(IMAGES), expected)
        assert all(
            torch.equal(recording.outputs[point], theirs.outputs[point])
            for point in recording.outputs
        )
        assert all(map(torch.equal, recording.operands["b.add"], theirs.operands["b.add"]))


def test_swaps_compose_and_nest() -> None:
    model, first, second = make_all_merges_model(), SwapBlocks("a", "b"), SwapBlocks("b", "c")
    expected = exchange_modules(exchange_modules(model, "a", "b"), "b", "c")(IMAGES)
    with intervene(model, first, second):
        assert torch.equal(model(IMAGES), expected)
    with intervene(model, first), intervene(model, second):
        assert torch.equal(model(IMAGES), expected)
    with intervene(model, first, first, SwapBlocks("c", "c")):
        assert torch.equal(model(IMAGES), make_all_merges_model()(IMAGES))


def test_swaps_end_in_any_order() -> None:
    model, whole = make_all_merges_model(), make_all_merges_model()(IMAGES)
    first, second = intervene(model, SwapBlocks("a", "b")), intervene(model, SwapBlocks("b", "c"))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.equal(model(IMAGES), exchange_modules(make_all_merges_model(), "b", "c")(IMAGES))
    second.__exit__(None, None, None)
    assert torch.equal(model(IMAGES), whole)


STRIDED = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1, 2))


class Scaled(nn.Module):
    """A block with a setting and a weight."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps, self.gamma = eps, nn.Parameter(torch.rand(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma + self.eps


def test_settings_move_and_modes_stay() -> None:
    model = nn.Sequential(Scaled(0.1), nn.ReLU(), Scaled(0.2)).requires_grad_(False)
    model[0].eval()
    reference = exchange_modules(model, "0", "2")
    with swapped(model, [SwapBlocks("0", "2")]):
        assert torch.equal(model(IMAGES), reference(IMAGES))
        assert [module.training for module in model] == [False, True, True]
    with pytest.raises(ZeroDivisionError), swapped(model, [SwapBlocks("0", "2")]):
        raise ZeroDivisionError
    assert torch.equal(model(IMAGES), exchange_modules(reference, "0", "2")(IMAGES))


@pytest.mark.parametrize(
    ("model", "swap", "message"),
    [
        (
            "resnet20",
            SwapBlocks("layer1.0", "layer2.1"),
            "'conv1.weight' has shape (16, 16, 3, 3) in one and (32, 32, 3, 3)",
        ),
        ("resnet20", SwapBlocks("layer1", "layer1.0"), "one holds the other"),
        (
            "resnet20",
            SwapBlocks("layer1.0.conv1", "layer1.0.bn1"),
            "the block is a Conv2d in one and a BatchNorm2d in the",
        ),
        (
            "resnet18",
            SwapBlocks("layer2.0", "layer2.1"),
            "'layer2.0' has a submodule 'downsample' and 'layer2.1' does not",
        ),
        (
            "densenet_bc_40_12",
            SwapBlocks("features.norm5", "features.conv0"),
            "the block is a BatchNorm2d in one and a Conv2d",
        ),
        (
            "strided",
            SwapBlocks("0", "1"),
            "the block has stride (1, 1) in one and (2, 2) in the other",
        ),
    ],
)
def test_blocks_of_another_build_raise(model: str, swap: SwapBlocks, message: str) -> None:
    with (
        pytest.raises(InterventionError) as caught,
        intervene(STRIDED if model == "strided" else create_model(model), swap),
    ):
        raise AssertionError("the block must not begin")
    assert str(caught.value).startswith(f"'{swap.first}' and '{swap.second}' cannot be swapped: ")
    assert message in str(caught.value)
    assert str(caught.value).endswith(".")


def test_unknown_blocks_raise() -> None:
    with (
        pytest.raises(HookPointError, match="no module called 'layer1"),
        intervene(create_model("resnet20"), SwapBlocks("conv1", "layer1.9")),
    ):
        raise AssertionError("the block must not begin")
