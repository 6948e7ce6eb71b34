"""The `export` command."""

import argparse
import json
from dataclasses import asdict
from typing import Any

from lightning_resnets.checkpoint.export_model import (
    SUFFIXES,
    describe_input,
    export_model,
    require_onnx,
)
from lightning_resnets.cli.args import (
    OutputArgumentParser,
    check_output_path,
    load_input,
    output_summary,
)
from lightning_resnets.errors import CheckpointError


def main(args: list[str]) -> None:
    """`lightning-resnets export FILE OUT [options]`; raises ValueError, one sentence."""
    options = build_parser().parse_args(args)
    out = check_output_path(options, SUFFIXES, "; `lightning-resnets convert` writes weights")
    if out.suffix.lower() == ".onnx":
        require_onnx()
    elif options.opset:
        raise CheckpointError("--opset is a number of ONNX: leave it out for .pt2, or write .onnx.")
    source = load_input(options)
    found = export_model(
        source.model, source.card, out, options.batch, options.opset, options.with_input
    )
    report: dict[str, Any] = {
        "file": str(out),
        "model": source.card.arch,
        "parameters": sum(weight.numel() for weight in source.model.parameters()),
        "bytes": out.stat().st_size,
        "batch": options.batch or "dynamic",
        "size": source.card.input_size,
        "input": describe_input(options.with_input),
        **asdict(found),
        "notes": source.notes,
    }
    if options.json:
        print(json.dumps(report, ensure_ascii=False))
        return
    print(output_summary(out, source.model, source.card.arch))
    sides = "×".join(map(str, (options.batch or "N", *source.card.input_size)))
    print(
        f"input {sides}, {report['input']}; output {len(source.card.class_names)} logits; {found.form}"
    )
    print(
        f"checked with {found.checked_with}: {found.num_images} images, logits differ by {found.max_relative_error:.1e} of the "
        f"largest, {found.top1_matches} of {found.num_images} with the same class first"
    )
    for note in source.notes:
        print(f"Note: {note}")


def build_parser() -> argparse.ArgumentParser:
    parser = OutputArgumentParser(
        "export", "Write the model as ONNX or torch.export and check its logits.", SUFFIXES
    )
    parser.add_argument(
        "--batch",
        type=parse_batch_size,
        default=0,
        metavar="N",
        help="a fixed number of images, or `dynamic`",
    )
    parser.add_argument(
        "--opset", type=int, metavar="N", help="ONNX operator set (18 or later; the exporter's own)"
    )
    parser.add_argument(
        "--with-input", action="store_true", help="take RGB images in 0..1 and normalize inside"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def parse_batch_size(text: str) -> int:
    """A number of images; 0 for `dynamic`."""
    if text == "dynamic":
        return 0
    if not text.isdecimal() or not 0 < int(text) <= 4096:
        raise argparse.ArgumentTypeError(
            f"'{text}' is neither a number from 1 to 4096 nor `dynamic`"
        )
    return int(text)
