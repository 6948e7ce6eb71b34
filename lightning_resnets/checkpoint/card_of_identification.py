"""The model card of a file that has none, and what the user should know about it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lightning_resnets.checkpoint.card_overrides import NORMALIZATION
from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.checkpoint.reported import find_class_names
from lightning_resnets.data.datasets import class_names
from lightning_resnets.utils.format import join_first, plural, printable_key

MAX_ALTERNATIVES = 4  # in a note


def card_from_identification(
    identification: Identification, metadata: Mapping[str, Any] | None = None
) -> ModelCard:
    """Build the card of a file that has none.

    Args:
        identification: the match.
        metadata: plain values beside the weights, which may name the classes.

    Returns:
        A card with the match's preprocessing, which is assumed, and the class names, where known.
    """
    names, dataset, are_assumed = _choose_class_names(identification, metadata)
    # Weights do not tell how images were normalized, nor what the classes are.
    assumed = (*NORMALIZATION, "class_names") if are_assumed else NORMALIZATION
    return ModelCard(
        arch=identification.arch,
        model_kwargs=identification.model_kwargs,
        class_names=names,
        dataset=dataset,
        bn_eps=identification.bn_eps,
        dialect=identification.dialect,
        assumed=assumed,
        **asdict(identification.preprocessing),
    )


def _choose_class_names(
    identification: Identification, metadata: Mapping[str, Any] | None
) -> tuple[tuple[str, ...], str, bool]:
    """Return class names, their dataset, and True if the names are a guess."""
    # Ten classes may be of anything; a thousand are nearly always ImageNet's.
    guess = identification.dataset if identification.dataset == "imagenet" else ""
    input_size = identification.preprocessing.input_size
    names, dataset = class_names(identification.num_classes, guess, input_size)
    own_names = find_class_names(metadata, identification.num_classes)
    if own_names is None:
        return names, dataset, True
    # The file's own names replace the guess.
    if own_names != names:
        dataset = ""
    return own_names, dataset, False


def identification_notes(identification: Identification, card: ModelCard) -> tuple[str, ...]:
    """Return notes on what was assumed.

    Args:
        identification: the match.
        card: its card.

    Returns:
        Sentences; none for a match that is certain.
    """
    notes = list[str]()
    if identification.confidence != "certain":
        notes.append(_alternatives_note(identification))
    if identification.other_models:
        copies = join_first(identification.other_models)
        notes.append(
            f"The file contains several models. '{identification.prefix.rstrip('.')}' was chosen; "
            f"--select chooses another: {copies}."
        )
    if card.dataset and not identification.dataset and "class_names" in card.assumed:
        notes.append(
            f"Its {identification.num_classes:,} classes are assumed to be those of "
            f"{card.dataset_title}."
        )
    return (*notes, *identification.assumptions)


def _alternatives_note(identification: Identification) -> str:
    """Name the model, and the others that the file may contain as well."""
    others = ", ".join(identification.alternatives[:MAX_ALTERNATIVES])
    hint = f" (also matches {others}; choose with --model)" if others else ""
    return f"Identified as {identification.arch}{hint}."


def mismatch_message(file: str, identification: Identification, model: str | None) -> str:
    """Explain why a file does not match the closest model.

    Args:
        file: file name.
        identification: the match, with missing, unexpected or mismatched keys.
        model: the user's name for the model, or None.

    Returns:
        Sentences with the first key of each kind.
    """
    differences = ", ".join(_count_differences(identification))
    # With --model there is nothing else to name.
    problem = f"does not match --model {model}"
    remedy = "Rename or remove what does not match."
    if model is None:
        problem = f"has no model card and is closest to {identification.arch}"
        remedy = "Rename or remove what does not match, or choose the right model with --model."
    return (
        f"'{file}' {problem}: {differences}. `lightning-resnets inspect` lists all of them. "
        f"{remedy}"
    )


def _count_differences(identification: Identification) -> list[str]:
    """Count the keys that do not match, and name the first of each kind."""
    reasons = (
        ("missing", identification.missing_keys),
        ("unexpected", identification.unexpected_keys),
        ("of another shape", [name for name, *_ in identification.mismatched_keys]),
    )
    return [
        f"{plural(len(names), 'weight')} {reason} ({printable_key(names[0])})"
        for reason, names in reasons
        if names
    ]
