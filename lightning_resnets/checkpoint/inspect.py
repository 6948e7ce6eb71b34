"""`lightning-resnets inspect FILE`: which model a file holds, how sure that is, and what does not fit."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.load import (
    build_from_card,
    card_from_identification,
    identification_notes,
    identify_contents,
    load_weights,
    model_state_dict,
    nonfinite_notes,
)
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.errors import sanitize
from lightning_resnets.formats.read import CheckpointContents, read_checkpoint

MAX_LISTED = 10  # names of a list that are printed; --json has all


OWN_CARD = "the file's own card"


@dataclass(frozen=True, slots=True)
class InspectionReport:
    """All that can be said of a file without running anything of it; `finding` is None where it has a card."""

    path: Path
    bytes: int
    contents: CheckpointContents
    card: ModelCard
    identification: Identification | None
    parameters: int
    nonfinite_notes: tuple[str, ...] = ()  # a sentence where weights are not finite

    @property
    def fits(self) -> bool:
        return self.identification is None or self.identification.fits

    def to_dict(self) -> dict[str, Any]:
        """The report in JSON types."""
        found = self.identification
        return {
            "file": self.path.name,
            "bytes": self.bytes,
            "format": self.contents.format,
            "wrapper": self.contents.wrapper,
            "arch": self.card.arch,
            "parameters": self.parameters,
            "dialect": found.dialect if found else "lightning_resnets",
            "confidence": found.confidence if found else "certain",
            "reason": found.reason if found else OWN_CARD,
            "alternatives": list(found.alternatives) if found else [],
            "matches": self.fits,
            "missing_keys": list(found.missing_keys) if found else [],
            "unexpected_keys": list(found.unexpected_keys) if found else [],
            "mismatched_keys": [
                [name, list(file), list(model)] for name, file, model in found.mismatched_keys
            ]
            if found
            else [],
            "ignored_keys": list(found.ignored_keys) if found else [],
            "conversions": list(found.conversions) if found else [],
            "notes": list(self.notes()),
            "card": self.card.to_dict(),
        }

    def notes(self) -> tuple[str, ...]:
        """Sentences worth showing beside the report."""
        taken = (
            identification_notes(self.identification, self.card)
            if self.identification and self.fits
            else ()
        )
        return (*self.contents.notes, *taken, *self.nonfinite_notes)


def inspect_checkpoint(path: str | Path, model: str | None = None) -> InspectionReport:
    """Read a file and say what it holds; raises CheckpointError where it is like no known model or does not fit its card

    `model` is a name that you give yourself, as in `read.load`.
    """
    path = Path(path)
    held = read_checkpoint(path)
    finding = identify_contents(held, path.name, model) if held.card is None else None
    card = card_from_identification(finding) if finding else ModelCard.from_dict(held.card or {})
    if finding:
        count = sum(weight.numel() for weight in trainable_tensors(finding.state_dict))
    else:
        built = build_from_card(card, path.name, model)
        load_weights(
            built,
            model_state_dict(held),
            card.arch,
            path.name,
        )
        count = sum(weight.numel() for weight in built.parameters())
    burst = nonfinite_notes(held.state_dict, path.name)
    return InspectionReport(path, path.stat().st_size, held, card, finding, count, burst)


def trainable_tensors(state: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """The weights that were trained, without batch norm's statistics."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return [weight for name, weight in state.items() if not name.endswith(statistics)]


def format_report(report: InspectionReport) -> list[str]:
    """The report as a person reads it."""
    card, found, held = report.card, report.identification, report.contents
    options = (
        f" with {', '.join(f'{name}={value!r}' for name, value in card.model_kwargs.items())}"
        if card.model_kwargs
        else ""
    )
    classes = f"{len(card.class_names):,} classes" + (
        f" of {card.dataset_title}" if card.dataset else ""
    )
    inside = f", weights under '{held.wrapper}'" if held.wrapper else ""
    fits = report.fits
    rows = [
        ("file", f"{report.path.name}: {held.format}, {report.bytes / 1e6:.1f} MB{inside}"),
        ("model" if fits else "nearest", f"{card.arch}{options}"),
        ("", f"{report.parameters:,} parameters{f', {classes}' if fits else ' of it in the file'}"),
        ("names", f"{found.dialect}; {found.confidence}: {found.reason}" if found else OWN_CARD),
    ]
    if found and not fits:
        rows.append(("verdict", "does not fit: cannot be opened as this model"))
    if fits:
        rows.append(("image", format_preprocessing(card)))
    if found:
        if found.alternatives:
            rows.append(("or", ", ".join(found.alternatives[:MAX_LISTED])))
        rows += [("done", change) for change in found.conversions]
        rows += format_list("left out", found.ignored_keys)
        rows += format_list("missing", found.missing_keys)
        rows += format_list("unexpected", found.unexpected_keys)
        rows += format_list(
            "reshaped",
            [
                f"{name} {format_shape(here)}, the model has {format_shape(there)}"
                for name, here, there in found.mismatched_keys
            ],
        )
        if fits:
            rows.append(("verdict", "every weight has its place"))
    for name, value in card.metrics.items():
        rows.append(("measured", f"{name} {value:.4f}"))
    said = (
        identification_notes(found, card) if found and found.confidence != "certain" else ()
    )  # the first says what `names` says
    rows += [("note", note) for note in report.notes() if note not in said[:1]]
    return [sanitize(f"{label:<11}{text}".rstrip()) for label, text in rows]


def format_list(label: str, names: Any) -> list[tuple[str, str]]:
    """One row a name, at most LISTED of them, the label on the first."""
    names = list(names)
    rows = [
        (f"{label}" if not place else "", name) for place, name in enumerate(names[:MAX_LISTED])
    ]
    return rows + (
        [("", f"and {len(names) - MAX_LISTED:,} more")] if len(names) > MAX_LISTED else []
    )


def format_preprocessing(card: ModelCard) -> str:
    """How an image becomes the model's input, in one line."""
    _, height, width = card.input_size
    cut = (
        f" cut from {round(height / card.crop_pct)} ({card.interpolation})"
        if card.crop_pct < 1
        else ""
    )
    whole = all(abs(255 * value - 1) < 1e-6 for value in card.std)
    scale = 255 if whole else 1
    mean = ", ".join(f"{scale * value:.5g}" for value in card.mean)
    std = "" if whole else f", std {', '.join(f'{value:.5g}' for value in card.std)}"
    epsilon = f"; batch norm epsilon {card.bn_eps:g}" if card.bn_eps else ""
    return f"{width}×{height}{cut}, {card.channel_order} {'0..255' if whole else '0..1'}, mean {mean}{std}{epsilon}"


def format_shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"
