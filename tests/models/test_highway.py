"""The layer against its formula, sizes of the papers, and a closed gate."""

import pytest
import torch

from lightning_resnets import Add, Gate, create_model
from lightning_resnets.models.highway import HighwayLayer
from lightning_resnets.utils.parameters import count_parameters


def test_layer_matches_its_formula() -> None:
    layer = HighwayLayer(4).requires_grad_(False)
    x = torch.randn(2, 4, 6, 6)
    gate = torch.sigmoid(layer.gate_conv(x))
    assert torch.allclose(layer(x), torch.relu(layer.conv(x)) * gate + x * (1 - gate), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "layers", "budget"), [("highway19", 19, 2.3e6), ("highway32", 32, 1.25e6)]
)
def test_layers_and_parameters_are_those_of_the_papers(
    name: str, layers: int, budget: float
) -> None:
    model = create_model(name)
    gates = sum(isinstance(module, Gate) for module in model.modules())
    adds = sum(isinstance(module, Add) for module in model.modules())
    weighted = sum(
        isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)) for module in model.modules()
    )
    assert weighted - adds == layers  # each highway layer has a second convolution for its gate
    assert gates == 2 * adds
    assert count_parameters(model) == pytest.approx(budget, rel=0.01)


def test_a_closed_gate_carries_everything() -> None:
    model = create_model("highway19", gate_bias=-3.0)
    biases = [
        module.gate_conv.bias for module in model.modules() if isinstance(module, HighwayLayer)
    ]
    assert len(biases) == 13
    assert all(bool((bias == -3).all()) for bias in biases if bias is not None)
    layer = HighwayLayer(4, gate_bias=-200.0)
    layer.reset_parameters()
    x = torch.randn(1, 4, 5, 5)
    assert torch.equal(layer(x), x)


def test_dropout_is_optional() -> None:
    assert "Dropout" not in repr(create_model("highway32"))
    assert "Dropout(p=0.2" in repr(create_model("highway32", dropout=0.2))
