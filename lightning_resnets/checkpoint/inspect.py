"""Report the model in a file, the confidence of its identification, and what does not match."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lightning_resnets.checkpoint.build_model import nonfinite_notes
from lightning_resnets.checkpoint.card_of_identification import identification_notes
from lightning_resnets.checkpoint.card_overrides import NORMALIZATION, CardOverrides
from lightning_resnets.checkpoint.custom_outputs import select_logits
from lightning_resnets.checkpoint.identify.choose import PartReading
from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.identify.open_options import explain_alternative
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
    format_reported,
)
from lightning_resnets.errors import sanitize
from lightning_resnets.formats.read import CheckpointContents
from lightning_resnets.utils.format import format_shape, join_first
from lightning_resnets.utils.parameters import count_parameters

MAX_LISTED = 10  # names of a list in the text; JSON has all
LABEL_WIDTH = 15
OWN_CARD = "the file's own card"
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")

Row = tuple[str, str]


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
    """Return the entries of the JSON report on an identification, or on a card's certainty."""
    if identification is None:
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
    path = Path(path)
    opened = open_checkpoint(path, model, select, overrides)
    contents = opened.contents
    if opened.identification is None:
        # Building the model checks that its weights fit the card, whose options set the count.
        parameters = count_parameters(build_opened(opened, path.name, model))
    else:
        # A match may lack weights, so the file is counted, not the model.
        parameters = sum(w.numel() for w in parameter_tensors(opened.state_dict))
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


def format_report(report: InspectionReport) -> list[str]:
    """Format the report as text.

    Args:
        report: the report.

    Returns:
        Lines: a label of fixed width, then a text, free of control characters.
    """
    rows = [*_file_rows(report), *_model_rows(report)]
    # A file with its own card has no match to explain.
    if report.identification:
        rows += _match_rows(report.identification)
    rows += [("metric", f"{name} {value:.4f}") for name, value in report.card.metrics.items()]
    if reported := report.reported():
        rows.append(("file says", format_reported(reported)))
    rows += [("note", note) for note in _notes_not_in_rows(report)]
    return [sanitize(f"{label:<{LABEL_WIDTH}}{text}".rstrip()) for label, text in rows]


def _file_rows(report: InspectionReport) -> list[Row]:
    """Return the row on the file's format and size."""
    contents = report.contents
    text = f"{report.path.name}: {contents.format}, {report.bytes / 1e6:.1f} MB"
    if contents.wrapper:
        text += f", weights under '{contents.wrapper}'"
    return [("file", text)]


def _model_rows(report: InspectionReport) -> list[Row]:
    """Return the rows on the model, its classes and its preprocessing."""
    card = report.card
    model = card.arch
    # Shown as they would be passed to create_model.
    if card.model_kwargs:
        kwargs = ", ".join(f"{name}={value!r}" for name, value in card.model_kwargs.items())
        model += f" with {kwargs}"
    classes = describe_classes(card)
    naming = OWN_CARD
    if found := report.identification:
        naming = f"{found.dialect}; {found.confidence}: {found.reason}"
    if not report.fits:
        return [
            ("closest model", model),
            ("", f"{report.parameters:,} of its parameters are in the file"),
            ("key naming", naming),
            ("verdict", "does not match: cannot be loaded as this model"),
        ]
    return [
        ("model", model),
        ("", f"{report.parameters:,} parameters, {classes}"),
        ("key naming", naming),
        ("preprocessing", format_preprocessing(card)),
    ]


def describe_classes(card: ModelCard) -> str:
    """Describe a model's classes, and whether their names are known.

    Args:
        card: the model card.

    Returns:
        Such as "10 classes of CIFAR-10", or "10 classes (names unknown)".
    """
    if not card.class_names:
        return "no classes (a feature extractor)"
    text = f"{len(card.class_names):,} classes"
    if card.dataset:
        text += f" of {card.dataset_title}"
    if "class_names" not in card.assumed:
        return text
    return f"{text} (assumed)" if card.dataset else f"{text} (names unknown)"


def _match_rows(identification: Identification) -> list[Row]:
    """Return the rows on an identification: alternatives, conversions, keys that do not match."""
    rows = list[Row]()
    if identification.alternatives:
        named = [explain_alternative(name) for name in identification.alternatives]
        rows.append(("also matches", join_first(named, MAX_LISTED)))
    rows += [("converted", change) for change in identification.conversions]
    rows += format_list("ignored", identification.ignored_keys)
    rows += format_list("missing", identification.missing_keys)
    rows += format_list("unexpected", identification.unexpected_keys)
    mismatched = list[str]()
    for name, file, model in identification.mismatched_keys:
        mismatched.append(f"{name} {format_shape(file)}, the model has {format_shape(model)}")
    rows += format_list("mismatched", mismatched)
    if identification.fits:
        rows.append(("verdict", "every weight matches"))
    return rows


def _notes_not_in_rows(report: InspectionReport) -> list[str]:
    """Return the report's notes without the one that repeats the row `key naming`."""
    notes = list(report.notes())
    found = report.identification
    if found and found.fits and found.confidence != "certain":
        # The row already gives model, confidence and alternatives.
        notes.remove(identification_notes(found, report.card)[0])
    return notes


def format_list(label: str, names: Iterable[str]) -> list[Row]:
    """Format one row per name, at most MAX_LISTED.

    Args:
        label: label of the first row.
        names: the names.

    Returns:
        Rows of label and name; the last counts the names left out.
    """
    every = list(names)
    shown = every[:MAX_LISTED]
    if len(every) > MAX_LISTED:
        # JSON has the whole list.
        shown.append(f"and {len(every) - MAX_LISTED:,} more")
    # The label stands before the first name only.
    labels = [label, *[""] * MAX_LISTED]
    return list(zip(labels, shown, strict=False))


def format_preprocessing(card: ModelCard) -> str:
    """Format how an image becomes the model's input.

    Args:
        card: the model card.

    Returns:
        One line: size, crop, channel order, value range, mean and standard deviation.
    """
    _, height, width = card.input_size
    text = f"{width}×{height}"
    if card.crop_pct < 1:
        text += f" cropped from {round(height / card.crop_pct)} ({card.interpolation})"
    # Caffe's models take 0..255 and only subtract the mean.
    is_byte_range = all(abs(255 * value - 1) < 1e-6 for value in card.std)
    scale = 255 if is_byte_range else 1
    mean = ", ".join(f"{scale * value:.5g}" for value in card.mean)
    text += f", {card.channel_order} 0..{scale}, mean {mean}"
    if not is_byte_range:
        text += f", std {', '.join(f'{value:.5g}' for value in card.std)}"
    if card.bn_eps:
        text += f"; batch norm epsilon {card.bn_eps:g}"
    if set(NORMALIZATION) & set(card.assumed):
        text += " (assumed)"
    return text
