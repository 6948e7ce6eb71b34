"""The nets that ship: the page is made of their cards, the accuracy of a card is that of its file."""

from dataclasses import replace

import pytest
import torch
from official import cifar10

from lightning_resnets.checkpoint.read import load, read
from lightning_resnets.checkpoint.shipped import folder, shipped
from lightning_resnets.checkpoint.table import command, page
from lightning_resnets.data import cifar
from lightning_resnets.data.cifar import CIFAR10

NETS = {"densenet_bc_40_12", "plain20", "plain56", "resnet20", "resnet56", "seresnet20"}


def test_the_page_is_what_the_cards_say() -> None:
    assert (folder() / "README.md").read_text() == page(shipped())


def test_the_command_names_the_epochs_where_they_are_not_those_of_the_recipe() -> None:
    file = shipped()["resnet20-cifar10"]
    card = read(file)
    assert command("fit", card, file) == "lightning-resnets fit --config resnet20-cifar10 --data.root DIR"
    shorter = replace(card, trained=dict(card.trained) | {"epochs": 30})
    assert command("fit", shorter, file).endswith("--config resnet20-cifar10 --data.root DIR --trainer.max_epochs 30")


def test_every_promised_net_ships_small_and_trained_on_everything() -> None:
    cards = {read(path).arch: (read(path), path) for path in shipped().values()}
    assert set(cards) >= NETS
    for card, path in cards.values():
        assert path.stat().st_size < 5_000_000
        assert card.trained["pictures"] == 50_000
        assert card.data == "cifar10"
        assert path.stem == card.recipe
        assert card.metrics["test_error"] == pytest.approx(1 - card.metrics["test_accuracy"], abs=1e-6)
    accuracy = {arch: card.metrics["test_accuracy"] for arch, (card, _) in cards.items()}
    assert min(accuracy[arch] for arch in NETS - {"plain56"}) >= 0.9
    assert 1 - accuracy["plain56"] > 2 * (1 - accuracy["resnet56"])  # as the README says
    assert cards["plain56"][0].trained["epochs"] == cards["resnet56"][0].trained["epochs"]


@pytest.mark.parametrize("name", shipped())
def test_the_sample_is_classified_about_as_well_as_the_card_claims(name: str) -> None:
    net, card = load(shipped()[name])
    data = cifar.CIFAR10Sample(eval_batch_size=250)
    data.setup("test")
    with torch.inference_mode():
        batches = list(data.test_dataloader())[: 1 if "densenet" in name else 4]  # a DenseNet takes seconds for all
        right = sum(int((net(images).argmax(1) == labels).sum()) for images, labels in batches)
    assert right / (250 * len(batches)) == pytest.approx(card.metrics["test_accuracy"], abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped())
def test_the_accuracy_of_the_card_is_that_of_the_file(name: str) -> None:
    net, card = load(shipped()[name])
    data = CIFAR10(str(cifar10()))
    data.setup("test")
    with torch.inference_mode():
        right = sum(int((net(images).argmax(1) == labels).sum()) for images, labels in data.test_dataloader())
    assert right / 10_000 == pytest.approx(card.metrics["test_accuracy"], abs=0.002)
