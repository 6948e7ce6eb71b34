"""`lightning-resnets export`: write a model as ONNX or torch.export."""

import argparse
import json
from argparse import Namespace
from dataclasses import asdict
from typing import Any

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.export_check import ExportCheck
from lightning_resnets.checkpoint.export_model import (
    SUFFIXES,
    describe_input,
    export_model,
    require_onnx,
)
from lightning_resnets.checkpoint.load import LoadedCheckpoint
from lightning_resnets.cli.args import (
    CommandParser,
    check_output_path,
    format_output_summary,
    load_input,
    parse_int_in_range,
)
from lightning_resnets.cli.card_options import add_card_options
from lightning_resnets.errors import CheckpointError
from lightning_resnets.utils.format import format_shape
from lightning_resnets.utils.parameters import count_parameters

MAX_BATCH_SIZE = 4096  # images; the check of the export runs a batch of this size


def main(args: list[str]) -> None:
    """Run `lightning-resnets export CHECKPOINT OUT [options]`.

    Args:
        args: command-line arguments after the command.

    Raises:
        ValueError: an argument is wrong, a package is missing, or the model cannot be exported.
    """
    options = build_parser().parse_args(args)
    _check_options(options)
    loaded = load_input(options)
    check = _export(options, loaded)
    if options.json:
        print(json.dumps(_json_report(options, loaded, check), ensure_ascii=False))
    else:
        _print_report(options, loaded, check)


def _check_options(options: Namespace) -> None:
    """Check OUT, its format and the packages that it needs, before the checkpoint is loaded."""
    hint = "; `lightning-resnets convert` writes weights"
    source = resolve_checkpoint(options.checkpoint)
    check_output_path(options.out, SUFFIXES, options.overwrite, source, hint)
    if options.out.suffix.lower() == ".onnx":
        require_onnx()
    elif options.opset:
        raise CheckpointError("--opset applies to .onnx only. Remove it, or write .onnx.")


def _export(options: Namespace, loaded: LoadedCheckpoint) -> ExportCheck:
    """Write the file and compare its logits with the model's."""
    return export_model(
        loaded.model,
        loaded.card,
        options.out,
        options.batch_size,
        options.opset,
        options.include_preprocessing,
    )


def _json_report(
    options: Namespace, loaded: LoadedCheckpoint, check: ExportCheck
) -> dict[str, Any]:
    """Collect the written file, its input and the result of the check."""
    return {
        "file": str(options.out),
        "arch": loaded.card.arch,
        "parameters": count_parameters(loaded.model),
        "bytes": options.out.stat().st_size,
        # 0 stands for a batch size that is chosen at run time.
        "batch": options.batch_size or "dynamic",
        "size": loaded.card.input_size,
        "preprocessing": describe_input(options.include_preprocessing),
        **asdict(check),
        "notes": loaded.notes,
    }


def _print_report(options: Namespace, loaded: LoadedCheckpoint, check: ExportCheck) -> None:
    """Print the same as text."""
    card = loaded.card
    print(format_output_summary(options.out, loaded.model, card.arch))
    shape = format_shape((options.batch_size or "N", *card.input_size))
    preprocessing = describe_input(options.include_preprocessing)
    # What whoever runs the file must feed it and gets back.
    outputs = f"output {len(card.class_names)} logits"
    print(f"input {shape}, {preprocessing}; {outputs}; {check.format}")
    print(
        f"checked with {check.checked_with} on {check.num_images} images: "
        f"maximum relative error of the logits {check.max_relative_error:.1e}, "
        f"same top-1 class for {check.top1_matches} of {check.num_images}"
    )
    for note in loaded.notes:
        print(f"Note: {note}")


def build_parser() -> CommandParser:
    """Build the parser of `export`."""
    parser = CommandParser(
        "export", "Write a model as ONNX (.onnx) or torch.export (.pt2) and check its logits."
    )
    parser.add_checkpoint()
    parser.add_out(SUFFIXES)
    add_card_options(parser)
    parser.add_argument(
        "--batch-size",
        type=parse_batch_size,
        default=0,
        metavar="N",
        help="fixed batch size, or `dynamic` (default)",
    )
    parser.add_argument(
        "--opset", type=int, metavar="N", help="ONNX opset, 18 or later (default: the exporter's)"
    )
    parser.add_argument(
        "--include-preprocessing",
        action="store_true",
        help="take RGB images in 0..1 and normalize them inside the exported model",
    )
    parser.add_json()
    return parser


def parse_batch_size(text: str) -> int:
    """Parse a batch size.

    Args:
        text: the user's input.

    Returns:
        The number of images; 0 for `dynamic`.

    Raises:
        argparse.ArgumentTypeError: the text is neither `dynamic` nor a number from 1 to 4096.
    """
    if text == "dynamic":
        return 0
    number = parse_int_in_range(text, MAX_BATCH_SIZE)
    if number is None:
        raise argparse.ArgumentTypeError(
            f"must be `dynamic` or a number from 1 to {MAX_BATCH_SIZE}, got '{text}'"
        )
    return number
