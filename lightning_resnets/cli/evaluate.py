"""`lightning-resnets evaluate`: measure the accuracy of a checkpoint on a dataset."""

import json
import os
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning_resnets.checkpoint.load import LoadedCheckpoint
from lightning_resnets.cli.args import CommandParser, load_input, parse_positive_int
from lightning_resnets.cli.card_options import add_card_options, assumption_notes
from lightning_resnets.cli.progress import analysis_progress, evaluation_progress
from lightning_resnets.data.datasets import DATASETS, require_data_dir
from lightning_resnets.evaluation.accuracy import EvaluationResult, evaluate
from lightning_resnets.evaluation.try_preprocessing import (
    PreprocessingTrial,
    format_trials,
    try_preprocessings,
    verdict,
)


def main(args: list[str]) -> None:
    """Run `lightning-resnets evaluate CHECKPOINT --dataset NAME [options]`.

    Args:
        args: command-line arguments after the command.

    Raises:
        ValueError: an argument is wrong, or the checkpoint or an image cannot be read.
    """
    options = build_parser().parse_args(args)
    # Checked first: loading a checkpoint takes seconds.
    data_dir = require_data_dir(options.dataset, options.data_dir)
    loaded = load_input(options)
    for note in (*loaded.notes, *assumption_notes(loaded.card)):
        print(f"note: {note}", file=sys.stderr)
    if options.try_preprocessing:
        trials = _try_preprocessing(options, loaded, data_dir)
        text = format_trials(trials)
        values = _trials_to_json(trials)
    else:
        result = _evaluate(options, loaded, data_dir)
        text = str(result)
        values = asdict(result)
    # Standard output is either text or one JSON object; notes go to standard error.
    print(json.dumps(values) if options.json else text)


def _try_preprocessing(
    options: Namespace, loaded: LoadedCheckpoint, data_dir: Path
) -> tuple[PreprocessingTrial, ...]:
    """Measure the usual normalizations, with a progress bar."""
    with analysis_progress("normalizations") as progress:
        return try_preprocessings(
            loaded, options.dataset, data_dir, options.num_images, options.num_workers, progress
        )


def _trials_to_json(trials: tuple[PreprocessingTrial, ...]) -> dict[str, Any]:
    """Return trials and verdict in JSON types."""
    rows = list[dict[str, Any]]()
    for trial in trials:
        card = trial.card
        rows.append(
            {
                "name": trial.name,
                "mean": list(card.mean),
                "std": list(card.std),
                "channel_order": card.channel_order,
                "top1": trial.top1,
                "total": len(trial.hits),
            }
        )
    return {"trials": rows, "verdict": verdict(trials)}


def _evaluate(options: Namespace, loaded: LoadedCheckpoint, data_dir: Path) -> EvaluationResult:
    """Count the correct predictions of a model, with a progress bar."""
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
    add_card_options(parser)
    _add_data_options(parser)
    _add_speed_options(parser)
    parser.add_argument(
        "--try-preprocessing",
        action="store_true",
        help="compare the usual normalizations on a few images, and name the best",
    )
    parser.add_json()
    return parser


def _add_speed_options(parser: CommandParser) -> None:
    """Add the options that change the speed and not the result."""
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
