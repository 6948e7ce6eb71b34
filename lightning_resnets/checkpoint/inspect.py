"""Report the model in a file, the confidence of its identification, and what does not match."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lightning_resnets.checkpoint.build_model import nonfinite_notes
from lightning_resnets.checkpoint.card_of_identification import identification_notes
from lightning_resnets.checkpoint.card_overrides import CardOverrides
from lightning_resnets.checkpoint.custom_outputs import select_logits
from lightning_resnets.checkpoint.identify.choose import PartReading
from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.checkpoint.open_checkpoint import (
    NO_OVERRIDES,
    OpenedCheckpoint,
    build_opened,
    open_checkpoint,
)
from lightning_resnets.checkpoint.reported import (
    ReportedValue,
    find_reported_values,
)
from lightning_resnets.errors import CheckpointError
from lightning_resnets.formats.read import CheckpointContents
from lightning_resnets.utils.arguments import check_path
from lightning_resnets.utils.parameters import count_parameters

OWN_CARD = "the file's own card"
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, slots=True)
class InspectionReport:
    """The report on a file; nothing of it was executed.

    Attributes:
        path: the file.
        bytes: its size.
        contents: its weights and metadata.
        card: its own card, or the one of its identification.
        identification: the match of a file without a card, else None.
        parameters: number of parameters in the file that belong to the model.
        weight_notes: sentences on NaN or inf in the weights, and on a custom model's outputs.
        readings: the parts of the file that may be models, under their own names and ours.
    """

    path: Path
    bytes: int
    contents: CheckpointContents
    card: ModelCard
    identification: Identification | None
    parameters: int
    weight_notes: tuple[str, ...] = ()
    readings: tuple[PartReading, ...] = ()

    @property
    def fits(self) -> bool:
        """Return True if every weight matches the model."""
        return self.identification is None or self.identification.fits

    def to_dict(self) -> dict[str, Any]:
        """Return the report in JSON types."""
        return {
            "file": self.path.name,
            "bytes": self.bytes,
            "format": self.contents.format,
            "wrapper": self.contents.wrapper,
            "arch": self.card.arch,
            "parameters": self.parameters,
            "matches": self.fits,
            **_identification_dict(self.identification),
            "reported": {item.name: item.value for item in self.reported()},
            "notes": list(self.notes()),
            "card": self.card.to_dict(),
        }

    def reported(self) -> tuple[ReportedValue, ...]:
        """Return accuracies and epochs beside the weights, as the file has them."""
        return find_reported_values(self.contents.metadata)

    def notes(self) -> tuple[str, ...]:
        """Return sentences that the user should see beside the report."""
        # Without a match nothing was assumed.
        assumed: tuple[str, ...] = ()
        if self.identification and self.fits:
            assumed = identification_notes(self.identification, self.card)
        return (*self.contents.notes, *assumed, *self.weight_notes)


def _identification_dict(identification: Identification | None) -> dict[str, Any]:
    """Return the entries of the JSON report on an identification."""
    if identification is None:
        return _own_card_dict()
    # JSON has no tuples.
    mismatched = identification.mismatched_keys
    return {
        "dialect": identification.dialect,
        "confidence": identification.confidence,
        "reason": identification.reason,
        "alternatives": list(identification.alternatives),
        "assumptions": list(identification.assumptions),
        "prefix": identification.prefix,
        "other_models": list(identification.other_models),
        "missing_keys": list(identification.missing_keys),
        "unexpected_keys": list(identification.unexpected_keys),
        "mismatched_keys": [[name, list(file), list(model)] for name, file, model in mismatched],
        "ignored_keys": list(identification.ignored_keys),
        "conversions": list(identification.conversions),
    }


def _own_card_dict() -> dict[str, Any]:
    """Return the same entries for a file with a card, which leaves nothing open."""
    return {
        "dialect": "lightning_resnets",
        "confidence": "certain",
        "reason": OWN_CARD,
        "alternatives": [],
        "assumptions": [],
        "prefix": "",
        "other_models": [],
        "missing_keys": [],
        "unexpected_keys": [],
        "mismatched_keys": [],
        "ignored_keys": [],
        "conversions": [],
    }


def inspect_checkpoint(
    path: str | Path,
    model: str | None = None,
    select: str | None = None,
    overrides: CardOverrides = NO_OVERRIDES,
) -> InspectionReport:
    """Read a file and report its model.

    Args:
        path: the file.
        model: the user's name for the model, as in `load.load_model`.
        select: name of one of several models in the file, as in `load.load_model`.
        overrides: entries of the card that the user gives.

    Returns:
        The report.

    Raises:
        CheckpointError: the file cannot be read, matches no known model, or does not fit its card.
    """
    path = check_path("path", path, CheckpointError)
    return _report(path, open_checkpoint(path, model, select, overrides), model)


def _report(path: Path, opened: OpenedCheckpoint, model: str | None) -> InspectionReport:
    """Report on an opened file."""
    contents = opened.contents
    parameters = _count_parameters(opened, path.name, model)
    notes = (
        *nonfinite_notes(contents.state_dict, path.name),
        *_output_notes(opened, path.name, model),
    )
    return InspectionReport(
        path,
        contents.nbytes,
        contents,
        opened.card,
        opened.identification,
        parameters,
        notes,
        opened.readings,
    )


def _count_parameters(opened: OpenedCheckpoint, file: str, model: str | None) -> int:
    """Count the parameters of a file that belong to its model."""
    if opened.identification is None:
        # Building the model checks that its weights fit the card, whose options set the count.
        return count_parameters(build_opened(opened, file, model))
    # A match may lack weights, so the file is counted, not the model.
    return sum(weight.numel() for weight in parameter_tensors(opened.state_dict))


def _output_notes(opened: OpenedCheckpoint, file: str, model: str | None) -> tuple[str, ...]:
    """Return a note on a custom model that returns more than its logits."""
    is_custom = ":" in opened.card.arch
    fits = opened.identification is None or opened.identification.fits
    # Its weights must match before it can be run.
    if not is_custom or not fits:
        return ()
    return select_logits(build_opened(opened, file, model).eval(), opened.card, file)


def parameter_tensors(state: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the trained weights, without batch norm's statistics.

    Args:
        state: tensors by name.

    Returns:
        The tensors.
    """
    return [weight for name, weight in state.items() if not name.endswith(BUFFERS)]
