"""The user's normalization and class names replace those of a card, and are no longer assumed."""

from typing import Any

import pytest
import torch

from lightning_resnets.checkpoint.card_overrides import CardOverrides
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.errors import CheckpointError
from lightning_resnets.preprocessing import preprocess

CARD = ModelCard(
    arch="resnet20",
    class_names=("a", "b"),
    input_size=(3, 32, 32),
    mean=(0.4, 0.5, 0.6),
    std=(0.2, 0.2, 0.2),
    assumed=("mean", "std", "channel_order", "class_names"),
)


def test_nothing_given_changes_nothing() -> None:
    assert CardOverrides().apply(CARD) == CARD


def test_one_number_stands_for_all_channels() -> None:
    card = CardOverrides(mean=0.5, std=(0.25,)).apply(CARD)
    assert (card.mean, card.std) == ((0.5,) * 3, (0.25,) * 3)
    assert card.assumed == ("class_names",)


def test_only_what_is_given_is_settled() -> None:
    assert CardOverrides(mean=(0.1, 0.2, 0.3)).apply(CARD).assumed == (
        "std",
        "channel_order",
        "class_names",
    )
    card = CardOverrides(channel_order="BGR", class_names=["x", "y"]).apply(CARD)
    assert (card.channel_order, card.class_names) == ("BGR", ("x", "y"))
    assert card.assumed == ("mean", "std")


def test_mean_0_and_std_1_leave_pixels_in_0_to_1() -> None:
    card = CardOverrides(mean=0, std=1).apply(CARD)
    image = torch.arange(32 * 32 * 3).remainder(256).to(torch.uint8).view(32, 32, 3)
    values = preprocess(image.numpy(), card.input_size, card.mean, card.std)
    torch.testing.assert_close(values[0], image.permute(2, 0, 1) / 255)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"mean": (0.1, 0.2)}, "one number, or one for each of the 3 channels"),
        ({"mean": (123.7, 116.3, 103.5)}, "divide by 255"),
        ({"mean": -0.1}, "must lie in 0..1"),
        ({"mean": float("nan")}, "one number"),
        ({"std": 0}, "std must be above 0"),
        ({"std": "0.5"}, "one number"),
        ({"channel_order": "GRB"}, "RGB or BGR, got 'GRB'"),
        ({"class_names": ["a", "b", "c"]}, "3 class names, but the model has 2 classes"),
    ],
)
def test_invalid_entries_raise(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        CardOverrides(**entries).apply(CARD)


def test_card_keeps_what_was_assumed_when_it_is_written() -> None:
    assert ModelCard.from_dict(CARD.to_dict()) == CARD
    known = CardOverrides(mean=0.5, std=0.5, class_names=["a", "b"]).apply(CARD)
    # Older releases read a card without the entry.
    assert "assumed" not in known.to_dict()
    with pytest.raises(CheckpointError, match="'assumed' must be a list of entries"):
        ModelCard.from_dict({**CARD.to_dict(), "assumed": ["nonsense"]})
