"""Parameter counts of the papers, and pre-activation blocks against their formulas."""

import pytest
import torch

from lightning_resnets import Add, create_model
from lightning_resnets.models.preact_resnet import PreActBasicBlock, PreActBottleneck
from lightning_resnets.utils.parameters import count_parameters
from lightning_resnets.utils.skip_init import skip_init
from tests.helpers.trained_like import randomize_batch_norms


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("preresnet20", 272_282),
        ("preresnet56", 855_578),
        ("preresnet110", 1_730_522),
        ("preresnet164", 1_703_258),
        ("preresnet1001", 10_327_706),
        ("wrn_16_8", 10_961_370),
        ("wrn_28_10", 36_479_194),
    ],
)
def test_parameter_counts(name: str, count: int) -> None:
    """Compare with pytorchcv; the papers print 1.7, 1.7, 10.2, 11.0 and 36.5 million."""
    with skip_init():
        assert count_parameters(create_model(name)) == count


def se_parameters(channels: int) -> int:
    """Count the parameters of fc1 and fc2 with biases and the paper's reduction of 16."""
    narrow = channels // 16
    return 2 * channels * narrow + narrow + channels


@pytest.mark.parametrize(
    ("layers", "count", "theirs"), [(110, 1_744_760, 1_744_664), (164, 1_905_362, 1_904_882)]
)
def test_se_adds_two_layers_to_each_block(layers: int, count: int, theirs: int) -> None:
    """Compare with the formula, as both have 18 blocks per stage and the SE paper gives no counts.

    pytorchcv has fewer parameters: its models have a batch norm behind the first convolution
    (2 x 16 more) and none behind the last sum (2 x 64 and 2 x 256 fewer). Our options for that form
    give the same counts.
    """
    widths = (16, 32, 64) if layers == 110 else (64, 128, 256)
    with skip_init():
        plain = create_model(f"preresnet{layers}")
        model = create_model(f"sepreresnet{layers}")
        other = create_model(f"sepreresnet{layers}", stem_norm=True, last_norm=False)
    assert (
        count_parameters(model)
        == count
        == count_parameters(plain) + 18 * sum(map(se_parameters, widths))
    )
    assert count_parameters(other) == theirs == count + 2 * 16 - 2 * widths[-1]


def relu(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(min=0)


def test_an_identity_shortcut_adds_the_input_unchanged() -> None:
    block = randomize_batch_norms(PreActBasicBlock(8, 8))
    x = torch.randn(2, 8, 6, 6)
    branch = block.conv2(relu(block.bn2(block.conv1(relu(block.bn1(x))))))  # type: ignore[operator]
    assert torch.allclose(block(x), x + branch, atol=1e-6)


@pytest.mark.parametrize("make", [PreActBasicBlock, PreActBottleneck])
def test_a_projection_shortcut_takes_the_activated_input(
    make: type[PreActBasicBlock],
) -> None:
    block = randomize_batch_norms(make(8, 4, 2))
    x = torch.randn(2, 8, 6, 6)
    active = relu(block.bn1(x))  # type: ignore[operator]
    assert torch.allclose(block(x), block.downsample(active) + block.branch(active), atol=1e-6)  # type: ignore[operator]


def test_only_the_first_block_of_a_stage_shares_its_activation() -> None:
    model = randomize_batch_norms(create_model("preresnet20"))
    x = torch.randn(1, 16, 8, 8)
    for index in (0, 1):
        block = model.get_submodule(f"layer1.{index}")
        assert isinstance(block, PreActBasicBlock)
        active = relu(block.bn1(x))
        shortcut = active if index == 0 else x
        assert torch.allclose(block(x), shortcut + block.branch(active), atol=1e-6)


@pytest.mark.parametrize(("stride_in", "strides"), [("1x1", (2, 1)), ("3x3", (1, 2))])
def test_stride_in_selects_the_strided_convolution(
    stride_in: str, strides: tuple[int, int]
) -> None:
    model = create_model("preresnet164", stride_in=stride_in)
    block = model.get_submodule("layer2.0")
    assert (block.conv1.stride[0], block.conv2.stride[0]) == strides  # type: ignore[union-attr, index]


def test_dropout_lies_between_the_convolutions() -> None:
    assert "Dropout" not in repr(create_model("wrn_16_8", widen_factor=1))
    block = create_model("wrn_16_8", widen_factor=1, dropout=0.3).get_submodule("layer1.0")
    assert list(dict(block.named_children())) == [
        "bn1",
        "relu1",
        "conv1",
        "bn2",
        "relu2",
        "dropout",
        "conv2",
        "add",
    ]


def test_every_block_has_one_add_unless_plain() -> None:
    assert sum(isinstance(module, Add) for module in create_model("preresnet164").modules()) == 54
    assert not any(
        isinstance(module, Add)
        for module in create_model("preresnet20", shortcut_type="none").modules()
    )
