"""The five placements of section 6.5 against their formulas, and the widths against timm."""

import pytest
import torch
from torch import Tensor

from lightning_resnets import create_model
from lightning_resnets.models.residual_blocks import BasicBlock, Bottleneck
from lightning_resnets.models.squeeze_excite import SqueezeExcite, reduced_channels
from lightning_resnets.utils.parameters import count_parameters
from lightning_resnets.utils.skip_init import skip_init
from tests.helpers.trained_like import randomize_batch_norms

PLACEMENTS = ("standard", "pre", "post", "identity", "3x3")
X = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(0))


def make_block(placement: str) -> BasicBlock:
    block = BasicBlock(8, 8, se_reduction=4, se_placement=placement)  # type: ignore[arg-type]
    randomize_batch_norms(block).requires_grad_(False)
    return block


def expected_output(block: BasicBlock, placement: str, x: Tensor) -> Tensor:
    se = block.se
    assert se is not None

    def at(here: str, x: Tensor) -> Tensor:
        weight = torch.sigmoid(se.fc2(torch.relu(se.fc1(x.mean((2, 3), keepdim=True)))))
        return x * weight if here == placement else x

    inner = torch.relu(at("3x3", block.bn1(block.conv1(at("pre", x)))))
    branch = at("standard", block.bn2(block.conv2(inner)))
    return at("post", torch.relu(at("identity", x) + branch))


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_each_placement_matches_its_formula(placement: str) -> None:
    block = make_block(placement)
    assert torch.allclose(block(X), expected_output(block, placement, X), atol=1e-6)


def test_placements_differ() -> None:
    outputs = []
    state = make_block("standard").state_dict()
    for placement in PLACEMENTS:
        block = make_block(placement)
        block.load_state_dict(state)
        outputs.append(block(X))
    assert not any(torch.equal(a, b) for i, a in enumerate(outputs) for b in outputs[:i])


def test_se_of_a_bottleneck_has_the_width_of_its_placement() -> None:
    widths = {
        placement: Bottleneck(32, 16, 2, se_reduction=4, se_placement=placement).se  # type: ignore[arg-type]
        for placement in ("standard", "pre", "3x3")
    }
    assert {placement: se.fc1.in_channels for placement, se in widths.items() if se} == {
        "standard": 64,
        "pre": 32,
        "3x3": 16,
    }


def test_se_resnet50_has_the_sizes_of_the_paper() -> None:
    """Compare with tables 10 and 15: 45.7 to 26.9 million for r of 2 to 32; 25.8 for SE_3x3."""
    with skip_init():
        sizes = [
            count_parameters(create_model("seresnet50", 1000, se_reduction=r))
            for r in (2, 4, 8, 16, 32)
        ]
        inner = count_parameters(create_model("seresnet50", 1000, se_placement="3x3"))
    assert [round(size / 1e6, 1) for size in (*sizes, inner)] == pytest.approx(
        [45.7, 35.7, 30.7, 28.1, 26.9, 25.8], abs=0.11
    )


def test_bias_and_pool_options() -> None:
    plain = SqueezeExcite(8, 2, bias=False, pool="max")
    assert {name for name, _ in plain.named_parameters()} == {"fc1.weight", "fc2.weight"}
    weight = torch.sigmoid(plain.fc2(torch.relu(plain.fc1(X.amax((2, 3), keepdim=True)))))
    assert torch.equal(plain(X), X * weight)
    assert count_parameters(create_model("seresnet20", se_bias=False)) == 272_095 - sum(
        3 * (c + c // 16) for c in (16, 32, 64)
    )


@pytest.mark.parametrize("channels", [8, 64, 128, 192, 200, 256, 512, 2048])
def test_widths_round_as_in_timm(channels: int) -> None:
    from timm.layers.squeeze_excite import SEModule

    if channels >= 16:
        assert reduced_channels(channels, 16, 8) == SEModule(channels).fc1.out_channels
    assert reduced_channels(channels, 4) == channels // 4


def test_invalid_options_raise() -> None:
    with pytest.raises(ValueError, match=r"se_placement must be 'standard', .*, got 'behind'"):
        create_model("seresnet20", se_placement="behind")
    with pytest.raises(ValueError, match="requires a shortcut; a plain model has none"):
        create_model("plain20", se_reduction=4, se_placement="identity")
    with pytest.raises(ValueError, match="se_pool must be 'mean' or 'max', got 'median'"):
        create_model("seresnet20", se_pool="median")
