"""The page of bundled models matches their cards, and their accuracy matches too."""

from dataclasses import replace

import pytest
import torch

from lightning_resnets.checkpoint.bundled import (
    bundled_checkpoints,
    bundled_dir,
    fit_command,
    render_page,
)
from lightning_resnets.checkpoint.load import load_model, read_card
from lightning_resnets.data.cifar10 import CIFAR10, CIFAR10Sample
from tests.helpers.cifar10_files import cifar10 as official_cifar10_dir

MODELS = {"densenet_bc_40_12", "plain20", "plain56", "resnet20", "resnet56", "seresnet20"}


def test_page_is_up_to_date() -> None:
    assert (bundled_dir() / "README.md").read_text() == render_page(bundled_checkpoints())


def test_fit_command_names_epochs_that_differ_from_the_recipe() -> None:
    file = bundled_checkpoints()["resnet20-cifar10"]
    card = read_card(file)
    assert (
        fit_command(card) == "lightning-resnets fit --config resnet20-cifar10 --data.data_dir DIR"
    )
    shorter = replace(card, training=dict(card.training) | {"epochs": 30})
    assert fit_command(shorter).endswith(
        "--config resnet20-cifar10 --data.data_dir DIR --trainer.max_epochs 30"
    )


def test_bundled_models_are_complete_small_and_trained_on_all_images() -> None:
    cards = {
        read_card(path).arch: (read_card(path), path) for path in bundled_checkpoints().values()
    }
    assert set(cards) >= MODELS
    for card, path in cards.values():
        assert path.stat().st_size < 5_000_000
        assert card.training["train_images"] == 50_000
        assert card.dataset == "cifar10"
        assert path.stem == card.recipe
        assert card.metrics["test_error"] == pytest.approx(
            1 - card.metrics["test_accuracy"], abs=1e-6
        )
    accuracy = {arch: card.metrics["test_accuracy"] for arch, (card, _) in cards.items()}
    assert min(accuracy[arch] for arch in MODELS - {"plain56"}) >= 0.9
    assert 1 - accuracy["plain56"] > 2 * (1 - accuracy["resnet56"])  # as the README says
    assert cards["plain56"][0].training["epochs"] == cards["resnet56"][0].training["epochs"]


@pytest.mark.parametrize("name", bundled_checkpoints())
def test_accuracy_on_the_sample_is_close_to_the_card(name: str) -> None:
    model, card = load_model(bundled_checkpoints()[name])
    data = CIFAR10Sample(eval_batch_size=250)
    data.setup("test")
    with torch.inference_mode():
        batches = list(data.test_dataloader())[
            : 1 if "densenet" in name else 4
        ]  # a DenseNet takes seconds for all
        right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in batches)
    assert right / (250 * len(batches)) == pytest.approx(card.metrics["test_accuracy"], abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled_checkpoints())
def test_accuracy_on_the_test_set_equals_the_card(name: str) -> None:
    model, card = load_model(bundled_checkpoints()[name])
    data = CIFAR10(str(official_cifar10_dir()))
    data.setup("test")
    with torch.inference_mode():
        right = sum(
            int((model(images).argmax(1) == labels).sum())
            for images, labels in data.test_dataloader()
        )
    assert right / 10_000 == pytest.approx(card.metrics["test_accuracy"], abs=0.002)
