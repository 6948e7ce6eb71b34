"""The `evaluate` command."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.cli.args import ModelArgumentParser
from lightning_resnets.evaluation import DATASETS, evaluate, no_progress, require_root


def print_progress(done: int, right: int, total: int) -> None:
    """One line on the error stream that is written over again and again."""
    sys.stderr.write(f"\r{done:,} of {total:,} images, {right / done:.2%} right ")
    sys.stderr.flush()


def clear_progress_line() -> None:
    sys.stderr.write(f"\r{'':60}\r")


def parse_positive_int(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 on")
    return int(text)


def main(args: list[str]) -> None:
    """`lightning-resnets evaluate FILE --data NAME --root DIR [--batch-size N] [--limit N] [--threads N] [--json]`."""
    parser = ModelArgumentParser(
        "evaluate",
        "Count how many images a model gets right, at first (top-1) and among five (top-5).",
    )
    parser.add_argument("--data", required=True, choices=DATASETS, help="what the images are")
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="where they lie (not for the sample, which ships)"
    )
    parser.add_argument(
        "--batch-size",
        type=parse_positive_int,
        metavar="N",
        help="images at once (what is fastest)",
    )
    parser.add_argument(
        "--limit",
        type=parse_positive_int,
        metavar="N",
        help="no more than N images, evenly from all",
    )
    parser.add_argument(
        "--threads",
        type=parse_positive_int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="that decode images (one a core)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(args)
    root = require_root(given.data, given.root)
    opened = load_checkpoint(
        resolve_checkpoint(given.file), **({"model": given.model} if given.model else {})
    )
    for note in opened.notes:
        print(f"note: {note}", file=sys.stderr)
    shown = sys.stderr.isatty()
    try:
        score = evaluate(
            opened,
            given.data,
            root,
            given.batch_size,
            given.limit,
            given.threads,
            print_progress if shown else no_progress,
        )
    finally:
        if shown:
            clear_progress_line()
    print(json.dumps(asdict(score)) if given.json else score)
