"""Pre-activation and wide models: the papers' parameter counts, and the blocks against their formulas."""

import pytest
import torch

from lightning_resnets import Add, create_model
from lightning_resnets.models.preact_resnet import PreActBasicBlock, PreActBottleneck
from lightning_resnets.utils.skip_init import skip_init
from tests.models.test_resnet import parameters, scramble


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
    """Those of pytorchcv's models of the same names; the papers print 1.7, 1.7, 10.2, 11.0 and 36.5 million."""
    with skip_init():
        assert parameters(create_model(name)) == count


def se_parameters(channels: int) -> int:
    """Of fc1 and fc2 with biases, with the paper's reduction of 16."""
    narrow = channels // 16
    return 2 * channels * narrow + narrow + channels


@pytest.mark.parametrize(
    ("layers", "count", "theirs"), [(110, 1_744_760, 1_744_664), (164, 1_905_362, 1_904_882)]
)
def test_with_se_there_are_its_two_layers_a_block_more(
    layers: int, count: int, theirs: int
) -> None:
    """Both have 18 blocks a stage, and the SE paper gives no counts.

    pytorchcv prints fewer: its models of these names have a batch norm behind the first convolution (2 x 16 more) and
    none behind the last sum (2 x 64 and 2 x 256 fewer). With the options for that form the counts are pytorchcv's.
    """
    widths = (16, 32, 64) if layers == 110 else (64, 128, 256)
    with skip_init():
        plain, model = create_model(f"preresnet{layers}"), create_model(f"sepreresnet{layers}")
        other = create_model(f"sepreresnet{layers}", stem_norm=True, last_norm=False)
    assert parameters(model) == count == parameters(plain) + 18 * sum(map(se_parameters, widths))
    assert parameters(other) == theirs == count + 2 * 16 - 2 * widths[-1]


def relu(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(min=0)


def test_a_block_of_equal_width_adds_what_it_was_given_untouched() -> None:
    block = scramble(PreActBasicBlock(8, 8))
    x = torch.randn(2, 8, 6, 6)
    branch = block.conv2(relu(block.bn2(block.conv1(relu(block.bn1(x))))))  # type: ignore[operator]
    assert torch.allclose(block(x), x + branch, atol=1e-6)


@pytest.mark.parametrize("make", [PreActBasicBlock, PreActBottleneck])
def test_a_block_that_projects_activates_before_the_paths_part(
    make: type[PreActBasicBlock],
) -> None:
    block = scramble(make(8, 4, 2))
    x = torch.randn(2, 8, 6, 6)
    active = relu(block.bn1(x))  # type: ignore[operator]
    assert torch.allclose(block(x), block.downsample(active) + block.branch(active), atol=1e-6)  # type: ignore[operator]


def test_the_first_block_activates_before_the_paths_part_and_no_other_of_its_stage() -> None:
    model = scramble(create_model("preresnet20"))
    x = torch.randn(1, 16, 8, 8)
    for index in (0, 1):
        block = model.get_submodule(f"layer1.{index}")
        assert isinstance(block, PreActBasicBlock)
        active = relu(block.bn1(x))
        shortcut = active if index == 0 else x
        assert torch.allclose(block(x), shortcut + block.branch(active), atol=1e-6)


@pytest.mark.parametrize(("stride_in", "strides"), [("1x1", (2, 1)), ("3x3", (1, 2))])
def test_where_a_bottleneck_strides(stride_in: str, strides: tuple[int, int]) -> None:
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


def test_every_block_has_one_add_and_a_plain_one_none() -> None:
    assert sum(isinstance(module, Add) for module in create_model("preresnet164").modules()) == 54
    assert not any(
        isinstance(module, Add)
        for module in create_model("preresnet20", shortcut_type="none").modules()
    )
