"""`lightning-resnets models`: list the built-in models with their cost and published error."""

import fnmatch
from collections.abc import Iterator, Sequence

from lightning_resnets.cli.args import CommandParser
from lightning_resnets.models.registry import MODELS
from lightning_resnets.models.summary import ModelSummary, summarize_model
from lightning_resnets.utils.format import format_count, format_shape

COLUMNS = ("model", "parameters", "MACs", "input", "published error", "source")


# The last column is not padded.
COLUMN_WIDTHS = (max(map(len, MODELS)), 11, 7, 9, 15, 0)


LEFT_ALIGNED = {"model", "input", "source"}


def main(args: list[str]) -> None:
    """Run `lightning-resnets models [PATTERN]`.

    Args:
        args: command-line arguments after the command.

    Raises:
        ValueError: an argument is wrong, or no model matches the pattern.
    """
    options = build_parser().parse_args(args)
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
        The header, then one line per model.

    Raises:
        ValueError: no model matches.
    """
    # Before the header: a wrong pattern prints nothing else.
    names = match_names(pattern)
    yield align_columns(COLUMNS)
    # The largest models take seconds to trace, so each line is printed at once.
    for name in names:
        yield align_columns(format_row(summarize_model(name)))


def format_row(summary: ModelSummary) -> tuple[str, ...]:
    """Format the cells of one model.

    Args:
        summary: counts and published error of the model.

    Returns:
        One text for each of `COLUMNS`.
    """
    published = summary.published
    return (
        summary.name,
        f"{summary.parameters:,}",
        format_count(summary.macs),
        format_shape(summary.input_size),
        f"{published.error:.2f} %" if published else "–",
        published.source if published else "",
    )


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
