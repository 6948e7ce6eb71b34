"""Residual models: the papers' parameter counts, a block against its formula, and the twin without shortcuts."""

import pytest
import torch
from torch import nn

from lightning_resnets import Add, Gate, create_model
from lightning_resnets.models.residual_blocks import BasicBlock, Bottleneck, PadShortcut
from lightning_resnets.models.squeeze_excite import SqueezeExcite
from lightning_resnets.utils.skip_init import skip_init


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def scramble(model: nn.Module, seed: int = 0) -> nn.Module:
    """Batch norms as if trained, so that no branch is silent."""
    rng = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=rng) + 0.5)
            for tensor in (module.bias.data, module.running_mean):
                assert tensor is not None
                tensor.copy_(torch.randn(tensor.shape, generator=rng) * 0.1)
    return model.eval()


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
        assert parameters(create_model(name)) == count


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
    assert parameters(create_model(name, shortcut_type="B")) == count


def test_with_shortcut_c_every_block_has_a_projection() -> None:
    model = create_model("resnet20", shortcut_type="C")
    assert all(
        block.downsample is not None for block in model.modules() if isinstance(block, BasicBlock)
    )
    more = sum(count * (width * width + 2 * width) for count, width in ((3, 16), (2, 32), (2, 64)))
    assert parameters(model) == 272_474 + more
    with pytest.raises(ValueError, match="A, B, C or none, not 'D'"):
        create_model("resnet20", shortcut_type="D")


@pytest.mark.parametrize(("stride_in", "strides"), [("1x1", (2, 1)), ("3x3", (1, 2))])
def test_the_stride_of_a_bottleneck_lies_where_it_is_asked_for(
    stride_in: str, strides: tuple[int, int]
) -> None:
    block = Bottleneck(64, 32, 2, stride_in=stride_in)  # type: ignore[arg-type]
    assert (block.conv1.stride[0], block.conv2.stride[0]) == strides
    with pytest.raises(ValueError, match="in its 1x1 or its 3x3, not in '5x5'"):
        Bottleneck(64, 32, 2, stride_in="5x5")  # type: ignore[arg-type]


def test_the_plain_twins_for_imagenet_lack_shortcuts_alone() -> None:
    with skip_init():
        model, twin = create_model("resnet18", shortcut_type="A"), create_model("plain18")
    assert model.state_dict().keys() == twin.state_dict().keys()
    assert not any(isinstance(module, (Add, PadShortcut)) for module in twin.modules())


def test_pad_is_subsampling_and_zeros() -> None:
    x = torch.randn(2, 16, 8, 8)
    y = PadShortcut(16, 32, 2)(x)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert not y[:, :8].any()
    assert not y[:, 24:].any()


def test_a_block_is_the_formula() -> None:
    block = scramble(BasicBlock(8, 8, se_kwargs=4)).requires_grad_(False)
    x = torch.randn(2, 8, 6, 6)
    assert isinstance(block, BasicBlock)
    branch = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x)))))
    se = block.se
    assert isinstance(se, SqueezeExcite)
    weight = torch.sigmoid(se.fc2(torch.relu(se.fc1(branch.mean((2, 3), keepdim=True)))))
    assert torch.allclose(block(x), torch.relu(x + branch * weight), atol=1e-6)


def test_the_plain_twin_has_the_same_weights_and_no_merge() -> None:
    model, twin = create_model("resnet20"), create_model("plain20")
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in twin.state_dict().items()
    }
    assert sum(isinstance(m, Add) for m in model.modules()) == 9
    assert not any(isinstance(m, (Add, PadShortcut)) for m in twin.modules())


def test_with_silent_branches_only_the_residual_net_hears_its_input() -> None:
    for name, hears in (("resnet20", True), ("plain20", False)):
        model = create_model(name).eval()
        for module in model.modules():
            if isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)
        a, b = model(torch.randn(1, 3, 32, 32)), model(torch.randn(1, 3, 32, 32))
        assert torch.equal(a, b) is not hears


def test_zero_gamma_makes_every_block_the_identity_at_first() -> None:
    model = create_model("resnet20", zero_init_last=True)
    block = model.get_submodule("layer1.1")
    x = torch.rand(2, 16, 8, 8)
    assert torch.equal(block(x), x)


def test_se_gates_and_the_last_activations_are_where_their_names_say() -> None:
    model = create_model("seresnet20")
    gates = [name for name, module in model.named_modules() if isinstance(module, Gate)]
    assert gates == [f"layer{s}.{b}.se.gate" for s in (1, 2, 3) for b in range(3)]


def test_nothing_in_place() -> None:
    assert not any(
        getattr(m, "inplace", False)
        for name in ("resnet20", "seresnet50")
        for m in create_model(name).modules()
    )


def test_a_reduction_that_leaves_no_channel_is_refused() -> None:
    with pytest.raises(ValueError, match="SE reduction 32 leaves nothing of 16 channels"):
        create_model("seresnet20", se_reduction=32)
