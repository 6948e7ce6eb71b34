"""The `inspect` command."""

import json
import sys

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.inspect import format_report, inspect_checkpoint
from lightning_resnets.cli.args import ModelArgumentParser


def main(args: list[str]) -> None:
    """`lightning-resnets inspect FILE [--model NAME] [--json]`."""
    parser = ModelArgumentParser(
        "inspect", "Say which model a file holds, how sure that is, and what does not fit."
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, all lists whole"
    )
    given = parser.parse_args(args)
    report = inspect_checkpoint(resolve_checkpoint(given.file), given.model)
    if given.json:
        print(json.dumps(report.to_dict()))
    else:
        print("\n".join(format_report(report)))
    if not report.fits:
        sys.exit(1)
