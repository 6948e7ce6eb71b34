"""`lightning-resnets models`: list the built-in models with their cost and published error."""

import fnmatch
import json
from collections.abc import Iterator, Sequence

from lightning_resnets.cli.args import CommandParser
from lightning_resnets.models.published_results import PublishedResult
from lightning_resnets.models.registry import MODELS
from lightning_resnets.models.summary import ModelSummary, summarize_model
from lightning_resnets.utils.format import format_count, format_shape

COLUMNS = ("model", "depth", "parameters", "MACs", "input", "published error", "source")

# The last column is not padded.
COLUMN_WIDTHS = (max(map(len, MODELS)), 5, 11, 7, 9, 15, 0)

LEFT_ALIGNED = {"model", "input", "source"}


def main(args: list[str]) -> None:
    """Run `lightning-resnets models [PATTERN]`.

    Args:
        args: command-line arguments after the command.

    Raises:
        ValueError: an argument is wrong, or no model matches the pattern.
    """
    options = build_parser().parse_args(args)
    if options.json:
        print(format_json(options.pattern))
        return
    for line in format_table(options.pattern):
        print(line, flush=True)


def build_parser() -> CommandParser:
    """Build the parser of `models`."""
    parser = CommandParser("models", "List the built-in models.")
    parser.add_argument(
        "pattern",
        metavar="PATTERN",
        nargs="?",
        default="",
        help="part of the name, or a pattern with * ? [], such as 'densenet_bc_*'",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def match_names(pattern: str = "") -> list[str]:
    """Select models by name.

    Args:
        pattern: part of the name, or a shell pattern if it has *, ? or [.

    Returns:
        Matching names in the order of the registry.

    Raises:
        ValueError: no model matches.
    """
    has_wildcard = any(mark in pattern for mark in "*?[")
    shell_pattern = pattern if has_wildcard else f"*{pattern}*"
    names = [name for name in MODELS if fnmatch.fnmatchcase(name, shell_pattern)]
    if not names:
        raise ValueError(
            f"No model name matches '{pattern}'. `lightning-resnets models` lists all models."
        )
    return names


def format_table(pattern: str = "") -> Iterator[str]:
    """Format the table of models, each line as soon as the model is counted.

    Args:
        pattern: which models, as in `match_names`.

    Yields:
        The header, then one line per model, then the notes on published errors.

    Raises:
        ValueError: no model matches.
    """
    names = match_names(pattern)
    yield align_columns(COLUMNS)
    notes: list[str] = []
    # The largest models take seconds to trace, so each line is printed at once.
    for name in names:
        summary = summarize_model(name)
        number = _number_note(summary, notes)
        yield align_columns(format_row(summary, number))
    if notes:
        yield ""
        yield from (f"[{number}] {note}" for number, note in enumerate(notes, 1))


def _number_note(summary: ModelSummary, notes: list[str]) -> int | None:
    """Return the number of a model's note, from 1; a new note is added to the list."""
    if summary.published is None or not summary.published.note:
        return None
    note = summary.published.note
    # Models of one paper share their note.
    if note not in notes:
        notes.append(note)
    return notes.index(note) + 1


def format_row(summary: ModelSummary, note_number: int | None = None) -> tuple[str, ...]:
    """Format the cells of one model.

    Args:
        summary: counts and published error of the model.
        note_number: number of the note on its published error, if there is one.

    Returns:
        One text for each of `COLUMNS`.
    """
    return (
        summary.name,
        str(summary.depth),
        f"{summary.parameters:,}",
        format_count(summary.macs),
        format_shape(summary.input_size),
        _format_error(summary.published, note_number),
        summary.published.source if summary.published else "",
    )


def _format_error(published: PublishedResult | None, note_number: int | None) -> str:
    """Format a published error with the number of its note in front, so that errors align."""
    if published is None:
        return "–"
    error = f"{published.error:.2f} %"
    if note_number is None:
        return error
    return f"[{note_number}] {error}"


def format_json(pattern: str = "") -> str:
    """Format the models as JSON.

    Args:
        pattern: which models, as in `match_names`.

    Returns:
        A list of objects; the published error, its source and note are null where there is none.

    Raises:
        ValueError: no model matches.
    """
    rows = [_json_row(summarize_model(name)) for name in match_names(pattern)]
    return json.dumps(rows, indent=1, ensure_ascii=False)


def _json_row(summary: ModelSummary) -> dict[str, object]:
    """Return one model as an object of JSON."""
    row: dict[str, object] = {
        "model": summary.name,
        "depth": summary.depth,
        "parameters": summary.parameters,
        "macs": summary.macs,
        "input_size": summary.input_size,
        "published_error": None,
        "source": None,
        "note": None,
    }
    published = summary.published
    if published is not None:
        row |= {"published_error": published.error, "source": published.source}
        row["note"] = published.note or None
    return row


def align_columns(cells: Sequence[str]) -> str:
    """Pad cells to the widths of the columns: text to the left, numbers to the right.

    Args:
        cells: one text for each of `COLUMNS`.

    Returns:
        The line, without trailing spaces.
    """
    aligned: list[str] = []
    for column, width, cell in zip(COLUMNS, COLUMN_WIDTHS, cells, strict=True):
        is_text = column in LEFT_ALIGNED
        aligned.append(cell.ljust(width) if is_text else cell.rjust(width))
    return "  ".join(aligned).rstrip()
