"""Blocks that change places against models whose modules were put in each other's place."""

import copy

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import intervene
from lightning_resnets.interventions.edits import RemoveBlock, SwapBlocks, ZeroChannels
from lightning_resnets.interventions.record import HookPointError, record_activations
from lightning_resnets.interventions.swap_blocks import swapped
from lightning_resnets.models.registry import create_model
from tests.helpers.reference_forward import IMAGES, patient


def moved(model: nn.Module, one: str, other: str) -> nn.Module:
    """A copy with the modules themselves in each other's place."""
    model = copy.deepcopy(model)
    first, second = model.get_submodule(one), model.get_submodule(other)
    model.set_submodule(one, second)
    model.set_submodule(other, first)
    return model


def lively(name: str) -> nn.Module:
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
def test_swapped_blocks_are_modules_put_in_each_others_place(
    name: str, one: str, other: str
) -> None:
    model, images = lively(name), torch.randn(2, 3, 16, 16)
    modules, weights, intact = list(model.modules()), list(model.parameters()), model(images)
    twin, shown = moved(model, one, other), insert_merges(model, (3, 16, 16))
    for own in (model, shown):
        with intervene(own, SwapBlocks(one, other)):
            assert torch.equal(own(images), twin(images))
        assert torch.equal(own(images), intact)
    assert not torch.equal(twin(images), intact)
    assert all(now is before for now, before in zip(model.modules(), modules, strict=True))
    assert all(now is before for now, before in zip(model.parameters(), weights, strict=True))


def test_names_stay_with_the_places() -> None:
    model = patient()
    twin = moved(model, "a", "b")
    with (
        intervene(twin, ZeroChannels("a.conv", 0), RemoveBlock("b")),
        record_activations(twin, ["a.conv", "b.add"]) as theirs,
    ):
        expected = twin(IMAGES)
    for ops in (
        [SwapBlocks("a", "b"), ZeroChannels("a.conv", 0), RemoveBlock("b")],
        [ZeroChannels("a.conv", 0), RemoveBlock("b"), SwapBlocks("a", "b")],
    ):
        with record_activations(model, ["a.conv", "b.add"]) as seen, intervene(model, *ops):
            assert torch.equal(model(IMAGES), expected)
        assert all(
            torch.equal(seen.outputs[point], theirs.outputs[point]) for point in seen.outputs
        )
        assert all(map(torch.equal, seen.operands["b.add"], theirs.operands["b.add"]))


def test_swaps_follow_one_another_and_nest() -> None:
    model, first, second = patient(), SwapBlocks("a", "b"), SwapBlocks("b", "c")
    expected = moved(moved(model, "a", "b"), "b", "c")(IMAGES)
    with intervene(model, first, second):
        assert torch.equal(model(IMAGES), expected)
    with intervene(model, first), intervene(model, second):
        assert torch.equal(model(IMAGES), expected)
    with intervene(model, first, first, SwapBlocks("c", "c")):
        assert torch.equal(model(IMAGES), patient()(IMAGES))


def test_swaps_end_in_any_order() -> None:
    model, whole = patient(), patient()(IMAGES)
    first, second = intervene(model, SwapBlocks("a", "b")), intervene(model, SwapBlocks("b", "c"))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.equal(model(IMAGES), moved(patient(), "b", "c")(IMAGES))
    second.__exit__(None, None, None)
    assert torch.equal(model(IMAGES), whole)


STRIDED = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1, 2))


class Scaled(nn.Module):
    """A block with a setting and a weight of its own."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps, self.gamma = eps, nn.Parameter(torch.rand(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma + self.eps


def test_settings_go_with_the_weights_and_modes_stay() -> None:
    model = nn.Sequential(Scaled(0.1), nn.ReLU(), Scaled(0.2)).requires_grad_(False)
    model[0].eval()
    twin = moved(model, "0", "2")
    with swapped(model, [SwapBlocks("0", "2")]):
        assert torch.equal(model(IMAGES), twin(IMAGES))
        assert [module.training for module in model] == [False, True, True]
    with pytest.raises(ZeroDivisionError), swapped(model, [SwapBlocks("0", "2")]):
        raise ZeroDivisionError
    assert torch.equal(model(IMAGES), moved(twin, "0", "2")(IMAGES))


@pytest.mark.parametrize(
    ("model", "swap", "sentence"),
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
            "'layer2.0' has a part 'downsample' and 'layer2.1' has none",
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
def test_blocks_of_another_build_stay(model: str, swap: SwapBlocks, sentence: str) -> None:
    with (
        pytest.raises(InterventionError) as said,
        intervene(STRIDED if model == "strided" else create_model(model), swap),
    ):
        raise AssertionError("the block must not begin")
    assert str(said.value).startswith(f"'{swap.first}' and '{swap.second}' cannot change places: ")
    assert sentence in str(said.value)
    assert str(said.value).endswith(".")


def test_a_block_that_is_none() -> None:
    with (
        pytest.raises(HookPointError, match="no part called 'layer1"),
        intervene(create_model("resnet20"), SwapBlocks("conv1", "layer1.9")),
    ):
        raise AssertionError("the block must not begin")
