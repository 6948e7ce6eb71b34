"""Models at initialization are told from trained ones, whatever their norms."""

import pytest
import torch
from torch import nn

from lightning_resnets import InteractiveModel
from lightning_resnets.checkpoint import bundled_checkpoints
from lightning_resnets.checkpoint.untrained import has_initial_weights
from lightning_resnets.models.registry import create_model


def train_one_step(model: nn.Module, size: int = 32) -> None:
    """Take one step of gradient descent on noise."""
    model.train()
    images = torch.randn(4, 3, size, size)
    loss = nn.functional.cross_entropy(model(images), torch.tensor([0, 1, 2, 3]))
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    model.eval()


def layer_norm_model() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Flatten(), nn.Linear(3072, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 10))
    return nn.Sequential(*layers)


def plain_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(7200, 10))


@pytest.mark.parametrize("name", ["resnet20", "seresnet20", "densenet_bc_40_12", "plain20"])
def test_a_new_model_is_untrained_and_one_step_changes_that(name: str) -> None:
    model = create_model(name)
    assert has_initial_weights(model)
    train_one_step(model)
    assert not has_initial_weights(model)


@pytest.mark.parametrize("make", [layer_norm_model, plain_model])
def test_models_without_batch_norms_are_told_too(make: object) -> None:
    model = make()  # type: ignore[operator]
    assert has_initial_weights(model)
    train_one_step(model)
    assert not has_initial_weights(model)


def test_scales_drawn_at_random_do_not_hide_untouched_statistics() -> None:
    model = create_model("resnet20")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    assert has_initial_weights(model)


def test_a_fused_model_is_not_untrained() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    nn.init.constant_(model[0].bias, 0.7)  # type: ignore[arg-type]
    assert not has_initial_weights(model)


def test_a_model_without_weights_is_not_called_untrained() -> None:
    assert not has_initial_weights(nn.Sequential(nn.ReLU(), nn.Flatten()))


def test_bundled_models_are_trained() -> None:
    for name in bundled_checkpoints():
        assert not has_initial_weights(InteractiveModel.open(name).model), name
