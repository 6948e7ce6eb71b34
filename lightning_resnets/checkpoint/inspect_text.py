"""Format the report on a file as lines of text."""

from collections.abc import Iterable

from lightning_resnets.checkpoint.card_of_identification import identification_notes
from lightning_resnets.checkpoint.card_overrides import NORMALIZATION
from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.identify.open_options import explain_alternative
from lightning_resnets.checkpoint.inspect import OWN_CARD, InspectionReport
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.checkpoint.reported import format_reported
from lightning_resnets.errors import sanitize
from lightning_resnets.utils.format import format_shape, join_first, printable_key

# Names of a list in the text; JSON has all.
MAX_LISTED = 10
# "key naming", "preprocessing" and the like, with two spaces behind the longest.
LABEL_WIDTH = 15

Row = tuple[str, str]


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
    rows += [
        ("metric", f"{printable_key(name)} {value:.4f}")
        for name, value in report.card.metrics.items()
    ]
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
        text += f" of {printable_key(card.dataset_title)}"
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
    rows += format_list("ignored", map(printable_key, identification.ignored_keys))
    rows += format_list("missing", map(printable_key, identification.missing_keys))
    rows += format_list("unexpected", map(printable_key, identification.unexpected_keys))
    mismatched = list[str]()
    for name, file, model in identification.mismatched_keys:
        shapes = f"{format_shape(file)}, the model has {format_shape(model)}"
        mismatched.append(f"{printable_key(name)} {shapes}")
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
    # Caffe's models take 0..255 and only subtract the mean: a std of 1/255, up to rounding.
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
