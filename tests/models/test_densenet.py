"""Parameter counts of the paper, growth of the widths, and the memory-efficient form."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from lightning_resnets import create_model
from lightning_resnets.graph import trace
from lightning_resnets.models.densenet import DenseBlock, DenseLayer, DenseNet
from lightning_resnets.utils.parameters import count_parameters


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        ("densenet_40_12", 10, 1_019_722),
        ("densenet_100_12", 10, 6_979_642),
        ("densenet_100_24", 10, 27_249_082),
        ("densenet_bc_100_12", 10, 769_162),
        ("densenet_bc_250_24", 10, 15_324_406),
        ("densenet_bc_190_40", 10, 25_624_430),
        ("densenet_bc_40_36", 10, 1_542_682),
        ("densenet_bc_40_48", 10, 2_733_130),
        ("densenet_bc_40_60", 10, 4_261_690),
        ("densenet121", 1000, 7_978_856),
        ("densenet161", 1000, 28_681_000),
        ("densenet169", 1000, 14_149_480),
        ("densenet201", 1000, 20_013_928),
    ],
)
def test_parameter_counts(name: str, classes: int, count: int) -> None:
    with torch.device("meta"):
        assert count_parameters(create_model(name, classes)) == count


def test_parameters_of_bc_40_12_match_the_formula() -> None:
    growth = 12
    width = 24
    count = 3 * 9 * 24
    for block in range(3):
        for _ in range(6):
            count += 2 * width + width * 4 * growth + 2 * 4 * growth + 4 * growth * 9 * growth
            width += growth
        if block < 2:
            count += 2 * width + width * (width // 2)
            width //= 2
    count += 2 * width + width * 10 + 10
    assert count_parameters(create_model("densenet_bc_40_12")) == count == 176_122


@pytest.mark.parametrize("bottleneck", [0, 4])
def test_a_layer_has_all_outputs_before_it_as_input(bottleneck: int) -> None:
    block = DenseBlock(3, 8, 4, bottleneck, 0.0).eval()
    x = torch.randn(1, 8, 5, 5)
    y = block(x)
    assert y.shape == (1, 8 + 3 * 4, 5, 5)
    assert torch.equal(y[:, :8], x)
    third = block.get_submodule("denselayer3")
    assert isinstance(third, DenseLayer)
    assert torch.equal(y[:, 16:], third(y[:, :16]))


def test_dropout_is_optional() -> None:
    assert "Dropout" not in repr(create_model("densenet_bc_40_12"))
    assert "Dropout(p=0.2" in repr(create_model("densenet_bc_40_12", dropout=0.2))


@pytest.mark.parametrize("bottleneck", [0, 4])
def test_memory_efficient_outputs_gradients_and_statistics_are_equal(
    bottleneck: int,
) -> None:
    results: list[dict[str, torch.Tensor]] = []
    for memory_efficient in (False, True):
        torch.manual_seed(0)
        model = DenseNet((2, 2), 4, 8, 3, "cifar", bottleneck, memory_efficient=memory_efficient)
        logits = model(torch.randn(4, 3, 8, 8))
        logits.sum().backward()
        gradients = {
            name: weight.grad
            for name, weight in model.named_parameters()
            if weight.grad is not None
        }
        assert len(gradients) == len(list(model.parameters()))
        results.append({"logits": logits, **dict(model.named_buffers()), **gradients})
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    assert results[1]["features.denseblock1.denselayer1.norm1.num_batches_tracked"] == 1


def test_memory_efficient_keeps_less() -> None:
    sizes: list[int] = []
    for memory_efficient in (False, True):
        kept: dict[int, int] = {}
        model = DenseNet((12,), 4, 8, 3, "cifar", memory_efficient=memory_efficient)
        with saved_tensors_hooks(
            lambda t, kept=kept: kept.setdefault(t.data_ptr(), t.numel()) and t, lambda t: t
        ):
            model(torch.randn(2, 3, 16, 16))
        sizes.append(sum(kept.values()))
    assert sizes[1] < 0.6 * sizes[0]


def test_both_forms_have_the_same_graph() -> None:
    assert trace(create_model("densenet_bc_40_12", memory_efficient=True)) == trace(
        create_model("densenet_bc_40_12")
    )
