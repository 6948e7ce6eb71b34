"""`lightning-resnets inspect`: identify the model in a checkpoint."""

import json
import sys

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.inspect import inspect_checkpoint
from lightning_resnets.checkpoint.inspect_steps import format_steps
from lightning_resnets.checkpoint.inspect_text import format_report
from lightning_resnets.cli.args import CommandParser
from lightning_resnets.cli.card_options import add_card_options, read_overrides


def main(args: list[str]) -> None:
    """Run `lightning-resnets inspect CHECKPOINT [--model NAME] [--select NAME] [--json]`.

    Exits with status 1 if the weights do not match the model.

    Args:
        args: command-line arguments after the command.

    Raises:
        ValueError: an argument is wrong, or the file cannot be read.
    """
    options = build_parser().parse_args(args)
    path = resolve_checkpoint(options.checkpoint)
    report = inspect_checkpoint(
        path, options.model, options.select, overrides=read_overrides(options)
    )
    if options.json:
        print(json.dumps(report.to_dict()))
    else:
        print("\n".join(format_report(report)))
        if options.verbose:
            print("\n".join(format_steps(report)))
    # A script can ask for the status without reading the report.
    if not report.fits:
        sys.exit(1)


def build_parser() -> CommandParser:
    """Build the parser of `inspect`."""
    parser = CommandParser(
        "inspect",
        "Report the architecture in a checkpoint, its key naming, the confidence of the match,\n"
        "and keys that are missing or unexpected. Exit status 1: the weights do not match.",
    )
    parser.add_checkpoint()
    add_card_options(parser)
    parser.add_argument(
        "--verbose", action="store_true", help="print what each step from file to model found"
    )
    parser.add_json()
    return parser
