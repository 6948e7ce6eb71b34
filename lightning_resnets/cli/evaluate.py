"""`lightning-resnets evaluate`: measure the accuracy of a checkpoint on a dataset."""

import json
import os
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from lightning_resnets.cli.args import CommandParser, load_input, parse_positive_int
from lightning_resnets.cli.progress import evaluation_progress
from lightning_resnets.data.datasets import DATASETS, require_data_dir
from lightning_resnets.evaluation import EvaluationResult, evaluate


def main(args: list[str]) -> None:
    """Run `lightning-resnets evaluate CHECKPOINT --dataset NAME [options]`.

    Args:
        args: command-line arguments after the command.

    Raises:
        ValueError: an argument is wrong, or the checkpoint or an image cannot be read.
    """
    options = build_parser().parse_args(args)
    result = _evaluate(options)
    print(json.dumps(asdict(result)) if options.json else result)


def _evaluate(options: Namespace) -> EvaluationResult:
    """Load the checkpoint and count its correct predictions, with a progress bar."""
    # Checked first: loading a checkpoint takes seconds.
    data_dir = require_data_dir(options.dataset, options.data_dir)
    loaded = load_input(options)
    for note in loaded.notes:
        print(f"note: {note}", file=sys.stderr)
    with evaluation_progress() as progress:
        return evaluate(
            loaded,
            options.dataset,
            data_dir,
            options.batch_size,
            options.num_images,
            options.num_workers,
            progress,
        )


def build_parser() -> CommandParser:
    """Build the parser of `evaluate`."""
    parser = CommandParser("evaluate", "Measure the top-1 and top-5 accuracy of a checkpoint.")
    parser.add_checkpoint()
    _add_data_options(parser)
    parser.add_argument(
        "--batch-size",
        type=parse_positive_int,
        metavar="N",
        help="batch size (default: chosen by image size)",
    )
    parser.add_argument(
        "--num-workers",
        type=parse_positive_int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="threads that decode images (default: one per CPU core)",
    )
    parser.add_json()
    return parser


def _add_data_options(parser: CommandParser) -> None:
    """Add the options that select the images."""
    parser.add_argument("--dataset", required=True, choices=DATASETS, help="dataset to evaluate on")
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="folder of the dataset (not for sample, which is bundled)",
    )
    parser.add_argument(
        "--num-images",
        type=parse_positive_int,
        metavar="N",
        help="evaluate at most N images, evenly spaced over the dataset (default: all)",
    )
