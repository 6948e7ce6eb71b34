"""Parameter counts, names and widths of merges, and the formula of the scaled residual."""

import pytest
import torch

from lightning_resnets import Concat, Gate, create_model
from lightning_resnets.utils.parameters import count_parameters
from lightning_resnets.utils.skip_init import skip_init
from tests.helpers.trained_like import randomize_batch_norms


def test_parameter_counts() -> None:
    with skip_init():
        assert count_parameters(create_model("googlenet", 1000)) == 6_624_904
        assert count_parameters(create_model("inception_resnet_v2", 1000)) == 55_843_464
        assert (
            count_parameters(create_model("bn_inception", 1000, bias=True)) == 11_295_240
        )  # pytorchcv's, which has biases
        assert count_parameters(create_model("inception_v3", 1000)) == 23_834_568


def test_every_module_has_a_concat_and_with_se_a_gate() -> None:
    with skip_init():
        model = create_model("se_bn_inception")
    concats = [name for name, module in model.named_modules() if isinstance(module, Concat)]
    gates = [name for name, module in model.named_modules() if isinstance(module, Gate)]
    assert concats == [
        f"inception{name}.concat"
        for name in ("3a", "3b", "3c", *(f"4{c}" for c in "abcde"), "5a", "5b")
    ]
    assert gates == [name.replace("concat", "se.gate") for name in concats]
    with pytest.raises(ValueError, match="one of standard in this block, got 'pre'"):
        create_model("se_bn_inception", se_placement="pre")


def test_widths_of_bn_inception() -> None:
    model = create_model("bn_inception", num_classes=3).eval()
    widths: list[tuple[int, ...]] = []
    for module in model.modules():
        if isinstance(module, Concat):
            module.register_forward_hook(lambda _, __, out: widths.append(tuple(out.shape[1:3])))
    with torch.inference_mode():
        model(torch.randn(1, 3, 64, 64))
    assert widths == [
        (256, 8),
        (320, 8),
        (576, 4),
        (576, 4),
        (576, 4),
        (608, 4),
        (608, 4),
        (1056, 2),
        (1024, 2),
        (1024, 2),
    ]


def test_the_branch_is_scaled_before_it_is_added() -> None:
    model = randomize_batch_norms(
        create_model("inception_resnet_v2", num_classes=3, depths=(1, 1, 1))
    )
    for name, factor in (
        ("repeat.0", 0.17),
        ("repeat_1.0", 0.10),
        ("repeat_2.0", 0.20),
        ("block8", 1.0),
    ):
        block = model.get_submodule(name)
        x = torch.randn(1, block.conv2d.out_channels, 5, 5)  # type: ignore[union-attr, arg-type]
        branches = [
            block.get_submodule(f"branch{i}")(x) for i in range(3 if name == "repeat.0" else 2)
        ]
        total = x + factor * block.conv2d(torch.cat(branches, 1))  # type: ignore[operator]
        with torch.no_grad():
            assert torch.allclose(
                block(x), total if name == "block8" else torch.relu(total), atol=1e-4
            )


def test_googlenet_window_option_sets_the_kernel_size() -> None:
    conv = create_model("googlenet", window=5).get_submodule("inception3a.branch3.1.conv")
    assert conv.kernel_size == (5, 5)
    assert conv.padding == (2, 2)
