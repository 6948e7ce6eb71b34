"""Options that say what a checkpoint does not: normalization, channel order and class names."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_resnets.checkpoint.card_overrides import NORMALIZATION, CardOverrides
from lightning_resnets.checkpoint.model_card import CHANNEL_ORDERS, ModelCard
from lightning_resnets.data.datasets import DATASETS
from lightning_resnets.errors import CheckpointError

# argparse has no public name for it.
ArgumentGroup = Any

Channels = tuple[float, ...]  # one number per channel, or one for all

CHANNEL_OPTIONS = ("--mean", "--std")


def add_card_options(parser: ArgumentParser) -> None:
    """Add the options that say what a checkpoint does not: normalization and class names.

    Args:
        parser: parser of a command.
    """
    group = parser.add_argument_group("what the checkpoint does not say")
    _add_normalization_options(group)
    group.add_argument(
        "--class-names",
        metavar="FILE",
        help="text file with one class name a line, or cifar10, or imagenet",
    )


def _add_normalization_options(group: ArgumentGroup) -> None:
    """Add the options on mean, standard deviation and channel order."""
    group.add_argument(
        "--mean",
        type=parse_channels,
        metavar="R,G,B",
        help="mean of the pixels in 0..1, for each channel or for all",
    )
    group.add_argument(
        "--std", type=parse_channels, metavar="R,G,B", help="their standard deviation, likewise"
    )
    group.add_argument(
        "--no-normalize", action="store_true", help="pixels in 0..1, as --mean 0 --std 1"
    )
    group.add_argument(
        "--channel-order", choices=CHANNEL_ORDERS, help="order of the channels (OpenCV: BGR)"
    )


def read_overrides(options: Namespace) -> CardOverrides:
    """Read the options of `add_card_options`.

    Args:
        options: parsed arguments.

    Returns:
        The entries of the model card that the user gives.

    Raises:
        CheckpointError: options exclude each other, or the file of names cannot be read.
    """
    mean, std = _read_normalization(options)
    return CardOverrides(
        mean=mean,
        std=std,
        channel_order=options.channel_order,
        class_names=_read_class_names(options.class_names),
    )


def _read_normalization(options: Namespace) -> tuple[Channels | None, Channels | None]:
    """Return mean and standard deviation; None for one that is not given."""
    if not options.no_normalize:
        return options.mean, options.std
    if options.mean is not None or options.std is not None:
        raise CheckpointError("--no-normalize excludes --mean and --std. Give one of them.")
    # (x - 0) / 1; one number serves all channels.
    return (0.0,), (1.0,)


def _read_class_names(name: str | None) -> tuple[str, ...] | None:
    """Return the class names of a dataset or a text file; None if none are given."""
    if name is None:
        return None
    # A dataset's name goes before a file of the same name.
    dataset = DATASETS.get(name)
    if dataset is not None and dataset.load_class_names is not None:
        return dataset.load_class_names()
    try:
        text = Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"Cannot read the class names in '{name}' ({error}). Give a text file with one name a "
            "line, or cifar10, or imagenet."
        ) from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def assumption_notes(card: ModelCard) -> tuple[str, ...]:
    """Say what was assumed of a model's input, and how to correct it.

    Args:
        card: the model card.

    Returns:
        One sentence, or nothing.
    """
    if not set(NORMALIZATION) & set(card.assumed):
        return ()
    # Written as the options that would give the same.
    mean = ",".join(f"{value:.4g}" for value in card.mean)
    std = ",".join(f"{value:.4g}" for value in card.std)
    note = (
        f"The normalization is assumed (--mean {mean} --std {std}): the file does not say it. "
        "Give --mean and --std, or --no-normalize; `evaluate --try-preprocessing` compares them."
    )
    return (note,)


def join_channel_values(args: Sequence[str]) -> list[str]:
    """Join the numbers behind --mean and --std by commas: `--mean 0.5 0.5 0.5`.

    Args:
        args: command-line arguments.

    Returns:
        The same with one value behind each of the two options.
    """
    joined = list[str]()
    is_open = False
    for arg in args:
        if is_open and _is_number(arg):
            joined[-1] += f",{arg}"
            continue
        joined.append(arg)
        # Only numbers behind a number can belong to the same option.
        is_open = len(joined) > 1 and joined[-2] in CHANNEL_OPTIONS and _is_number(arg)
    return joined


def _is_number(text: str) -> bool:
    """Return whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def parse_channels(text: str) -> Channels:
    """Parse numbers separated by commas, one per channel or one for all.

    Args:
        text: the user's input.

    Returns:
        The numbers.

    Raises:
        ArgumentTypeError: the text is anything else.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ArgumentTypeError(
            f"must be numbers separated by commas, such as 0.5 or 0.49,0.48,0.45, got '{text}'"
        ) from None
