"""Let the user say what a file does not: normalization, channel order and class names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lightning_resnets.checkpoint.card_values import are_finite_numbers
from lightning_resnets.checkpoint.model_card import CHANNEL_ORDERS, ModelCard
from lightning_resnets.errors import CheckpointError

MIN_STD = 1e-6  # the input is divided by it

NORMALIZATION = ("mean", "std", "channel_order")  # entries of a card


@dataclass(frozen=True, slots=True, kw_only=True)
class CardOverrides:
    """Entries of a model card that the user gives; None keeps the file's own or the assumed one.

    Attributes:
        mean: mean of each channel for pixels in 0..1, or one for all; 0 with std=1 leaves pixels
            in 0..1.
        std: standard deviation of each channel, or one for all.
        channel_order: "RGB" or "BGR".
        class_names: names of the classes, in the order of the logits.
    """

    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    channel_order: str | None = None
    class_names: Sequence[str] | None = None

    def apply(self, card: ModelCard) -> ModelCard:
        """Replace entries of a card; they no longer count as assumed.

        Args:
            card: the card.

        Returns:
            The card with the user's entries.

        Raises:
            CheckpointError: an entry has the wrong length or range.
        """
        entries = self._normalization(card.input_size[0])
        if self.class_names is not None:
            names = _check_class_names(self.class_names, len(card.class_names))
            entries["class_names"] = names
            # A dataset that was guessed from the number of classes was a wrong guess.
            if "class_names" in card.assumed and names != card.class_names:
                entries["dataset"] = ""
        return replace(card, **entries, assumed=_still_assumed(card.assumed, entries))

    def _normalization(self, channels: int) -> dict[str, Any]:
        """Return the given entries on normalization, one number for each channel."""
        entries = dict[str, Any]()
        for name in ("mean", "std"):
            value = getattr(self, name)
            if value is not None:
                entries[name] = _per_channel(name, value, channels)
        if "std" in entries:
            _check_std(entries["std"])
        if self.channel_order is not None:
            _check_channel_order(self.channel_order)
            entries["channel_order"] = self.channel_order
        return entries


def _still_assumed(assumed: Sequence[str], given: dict[str, Any]) -> tuple[str, ...]:
    """Return the assumed entries that the user did not give."""
    settled = set(given)
    # Whoever gives both knows the order of their numbers.
    if {"mean", "std"} <= settled:
        settled.update(NORMALIZATION)
    return tuple(name for name in assumed if name not in settled)


def _per_channel(name: str, value: float | Sequence[float], channels: int) -> tuple[float, ...]:
    """Return one number per channel; raise CheckpointError for anything else."""
    values = tuple(value) if isinstance(value, Sequence) else (value,)
    # Text and nested lists are sequences too.
    if not are_finite_numbers(values) or len(values) not in (1, channels):
        raise CheckpointError(
            f"{name} must be one number, or one for each of the {channels} channels, got {value!r}."
        )
    if len(values) == 1:
        values *= channels
    # Numbers in 0..255 are a common mistake.
    if max(values) > 1 or min(values) < 0:
        raise CheckpointError(
            f"{name} must lie in 0..1, as the pixels do, got {value!r} (divide by 255)."
        )
    return tuple(float(number) for number in values)


def _check_std(std: Sequence[float]) -> None:
    """Raise CheckpointError for a standard deviation of 0."""
    if min(std) <= MIN_STD:
        raise CheckpointError(f"std must be above 0, got {min(std):g} (1 leaves pixels unscaled).")


def _check_channel_order(order: str) -> None:
    """Raise CheckpointError for an unknown channel order."""
    if order not in CHANNEL_ORDERS:
        raise CheckpointError(
            f"channel_order must be {' or '.join(CHANNEL_ORDERS)}, got {order!r}."
        )


def _check_class_names(names: Sequence[str], num_classes: int) -> tuple[str, ...]:
    """Return the names; raise CheckpointError unless there is one for each logit."""
    if len(names) != num_classes:
        raise CheckpointError(
            f"There are {len(names):,} class names, but the model has {num_classes:,} classes. "
            "Give one name for each, in the order of the logits."
        )
    return tuple(str(name) for name in names)
