"""Parameter counts of the papers, blocks against their formulas, and plain networks."""

import pytest
import torch
from torch import nn

from lightning_resnets import Add, Gate, create_model
from lightning_resnets.models.residual_blocks import BasicBlock, Bottleneck
from lightning_resnets.models.shortcuts import PadShortcut
from lightning_resnets.models.squeeze_excite import SqueezeExcite
from lightning_resnets.utils.parameters import count_parameters
from lightning_resnets.utils.skip_init import skip_init
from tests.helpers.trained_like import randomize_batch_norms


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet20", 269_722),
        ("resnet32", 464_154),
        ("resnet44", 658_586),
        ("resnet56", 853_018),
        ("resnet110", 1_727_962),
        pytest.param("resnet1202", 19_421_274, marks=pytest.mark.slow),
        ("plain20", 269_722),
        pytest.param("plain1202", 19_421_274, marks=pytest.mark.slow),
        ("plain110", 1_727_962),
        ("seresnet20", 272_095),
        ("seresnet56", 860_137),
        ("seresnet110", 1_742_200),
    ],
)
def test_cifar_parameter_counts(name: str, count: int) -> None:
    with skip_init():
        assert count_parameters(create_model(name)) == count


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet20", 272_474),
        ("resnet56", 855_770),
        ("resnet110", 1_730_714),
        ("seresnet56", 862_889),
    ],
)
def test_cifar_parameter_counts_with_projections(name: str, count: int) -> None:
    assert count_parameters(create_model(name, shortcut_type="B")) == count


def test_shortcut_c_projects_in_every_block() -> None:
    model = create_model("resnet20", shortcut_type="C")
    assert all(
        block.downsample is not None for block in model.modules() if isinstance(block, BasicBlock)
    )
    more = sum(count * (width * width + 2 * width) for count, width in ((3, 16), (2, 32), (2, 64)))
    assert count_parameters(model) == 272_474 + more
    with pytest.raises(ValueError, match="'A', 'B', 'C' or 'none', got 'D'"):
        create_model("resnet20", shortcut_type="D")


@pytest.mark.parametrize(("stride_in", "strides"), [("1x1", (2, 1)), ("3x3", (1, 2))])
def test_stride_in_selects_the_strided_convolution(
    stride_in: str, strides: tuple[int, int]
) -> None:
    block = Bottleneck(64, 32, 2, stride_in=stride_in)  # type: ignore[arg-type]
    assert (block.conv1.stride[0], block.conv2.stride[0]) == strides
    with pytest.raises(ValueError, match="stride_in must be 1x1 or 3x3, got '5x5'"):
        Bottleneck(64, 32, 2, stride_in="5x5")  # type: ignore[arg-type]


def test_plain_imagenet_models_lack_only_the_shortcuts() -> None:
    with skip_init():
        model = create_model("resnet18", shortcut_type="A")
        plain = create_model("plain18")
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert not any(isinstance(module, (Add, PadShortcut)) for module in plain.modules())


def test_pad_shortcut_subsamples_and_pads_with_zeros() -> None:
    x = torch.randn(2, 16, 8, 8)
    y = PadShortcut(16, 32, 2)(x)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert not y[:, :8].any()
    assert not y[:, 24:].any()


def test_basic_block_matches_its_formula() -> None:
    block = randomize_batch_norms(BasicBlock(8, 8, se_reduction=4)).requires_grad_(False)
    x = torch.randn(2, 8, 6, 6)
    assert isinstance(block, BasicBlock)
    branch = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x)))))
    se = block.se
    assert isinstance(se, SqueezeExcite)
    weight = torch.sigmoid(se.fc2(torch.relu(se.fc1(branch.mean((2, 3), keepdim=True)))))
    assert torch.allclose(block(x), torch.relu(x + branch * weight), atol=1e-6)


def test_plain_models_have_the_same_weights_and_no_add() -> None:
    model = create_model("resnet20")
    plain = create_model("plain20")
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in plain.state_dict().items()
    }
    assert sum(isinstance(m, Add) for m in model.modules()) == 9
    assert not any(isinstance(m, (Add, PadShortcut)) for m in plain.modules())


def test_with_zero_branches_only_a_residual_model_depends_on_its_input() -> None:
    for name, is_residual in (("resnet20", True), ("plain20", False)):
        model = create_model(name).eval()
        for module in model.modules():
            if isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)
        a = model(torch.randn(1, 3, 32, 32))
        b = model(torch.randn(1, 3, 32, 32))
        assert torch.equal(a, b) is not is_residual


def test_zero_init_last_makes_every_block_start_as_the_identity() -> None:
    model = create_model("resnet20", zero_init_last=True)
    block = model.get_submodule("layer1.1")
    x = torch.rand(2, 16, 8, 8)
    assert torch.equal(block(x), x)


def test_se_gates_have_their_names() -> None:
    model = create_model("seresnet20")
    gates = [name for name, module in model.named_modules() if isinstance(module, Gate)]
    assert gates == [f"layer{s}.{b}.se.gate" for s in (1, 2, 3) for b in range(3)]


def test_no_module_works_in_place() -> None:
    assert not any(
        getattr(m, "inplace", False)
        for name in ("resnet20", "seresnet50")
        for m in create_model(name).modules()
    )


def test_a_reduction_larger_than_the_width_raises() -> None:
    with pytest.raises(ValueError, match="se_reduction must be 1 to 16 for 16 channels, got 32"):
        create_model("seresnet20", se_reduction=32)
