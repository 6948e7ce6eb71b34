"""Squeeze-and-excitation: the five places of section 6.5 against their formulas, widths as timm has them."""

import pytest
import torch
from torch import Tensor

from lightning_resnets import create_model
from lightning_resnets.models.residual_blocks import BasicBlock, Bottleneck
from lightning_resnets.models.squeeze_excite import SqueezeExcite, reduced_channels
from lightning_resnets.utils.skip_init import skip_init
from tests.models.test_resnet import parameters, scramble

X = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(0))


def block(place: str, **options: object) -> BasicBlock:
    made = scramble(BasicBlock(8, 8, se_kwargs=4, se_placement=place, **options)).requires_grad_(
        False
    )  # type: ignore[arg-type]
    assert isinstance(made, BasicBlock)
    return made


def expected(made: BasicBlock, place: str, x: Tensor) -> Tensor:
    se = made.se
    assert se is not None

    def at(here: str, x: Tensor) -> Tensor:
        weight = torch.sigmoid(se.fc2(torch.relu(se.fc1(x.mean((2, 3), keepdim=True)))))
        return x * weight if here == place else x

    inner = torch.relu(at("3x3", made.bn1(made.conv1(at("pre", x)))))
    branch = at("standard", made.bn2(made.conv2(inner)))
    return at("post", torch.relu(at("identity", x) + branch))


@pytest.mark.parametrize("place", ["standard", "pre", "post", "identity", "3x3"])
def test_each_place_is_its_formula(place: str) -> None:
    made = block(place)
    assert torch.allclose(made(X), expected(made, place, X), atol=1e-6)


def test_the_places_differ() -> None:
    outputs = []
    state = block("standard").state_dict()
    for place in ("standard", "pre", "post", "identity", "3x3"):
        made = block(place)
        made.load_state_dict(state)
        outputs.append(made(X))
    assert not any(torch.equal(a, b) for i, a in enumerate(outputs) for b in outputs[:i])


def test_a_bottlenecks_se_has_the_width_of_its_place() -> None:
    widths = {
        place: Bottleneck(32, 16, 2, se_kwargs=4, se_placement=place).se
        for place in ("standard", "pre", "3x3")
    }  # type: ignore[arg-type]
    assert {place: se.fc1.in_channels for place, se in widths.items() if se} == {
        "standard": 64,
        "pre": 32,
        "3x3": 16,
    }


def test_the_papers_sizes_of_se_resnet50_by_reduction_and_place() -> None:
    """SE journal, tables 10 and 15: 45.7, 35.7, 30.7, 28.1, 26.9 million for r of 2 to 32; 25.8 for SE_3x3."""
    with skip_init():
        sizes = [
            parameters(create_model("seresnet50", 1000, se_reduction=r)) for r in (2, 4, 8, 16, 32)
        ]
        inner = parameters(create_model("seresnet50", 1000, se_placement="3x3"))
    assert [round(size / 1e6, 1) for size in (*sizes, inner)] == pytest.approx(
        [45.7, 35.7, 30.7, 28.1, 26.9, 25.8], abs=0.11
    )


def test_bias_and_squeeze() -> None:
    plain = SqueezeExcite(8, 2, bias=False, pool="max")
    assert {name for name, _ in plain.named_parameters()} == {"fc1.weight", "fc2.weight"}
    weight = torch.sigmoid(plain.fc2(torch.relu(plain.fc1(X.amax((2, 3), keepdim=True)))))
    assert torch.equal(plain(X), X * weight)
    assert parameters(create_model("seresnet20", se_bias=False)) == 272_095 - sum(
        3 * (c + c // 16) for c in (16, 32, 64)
    )


@pytest.mark.parametrize("channels", [8, 64, 128, 192, 200, 256, 512, 2048])
def test_widths_round_as_timm_rounds(channels: int) -> None:
    from timm.layers.squeeze_excite import SEModule

    if channels >= 16:
        assert reduced_channels(channels, 16, 8) == SEModule(channels).fc1.out_channels
    assert reduced_channels(channels, 4) == channels // 4


def test_mistakes_get_a_sentence() -> None:
    with pytest.raises(
        ValueError, match="cannot stand at 'behind' in this block; take standard, pre"
    ):
        create_model("seresnet20", se_placement="behind")
    with pytest.raises(ValueError, match="plain model has no shortcut"):
        create_model("plain20", se_reduction=4, se_placement="identity")
    with pytest.raises(ValueError, match="by mean or max, not by 'median'"):
        create_model("seresnet20", se_pool="median")
