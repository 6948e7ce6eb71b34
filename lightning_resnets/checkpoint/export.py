"""`lightning-resnets export FILE OUT`: the net as ONNX or torch.export, its logits checked against the net's own."""

import argparse
import importlib
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from lightning_resnets.checkpoint.agreement import Agreement, Normalise, agreement, first_line, inputs, quiet
from lightning_resnets.checkpoint.card import Card, CheckpointError
from lightning_resnets.checkpoint.write import OutArguments, opened, ready, replacing, summary

ENDINGS = (".onnx", ".pt2")
MOST = 1e-4  # what logits may differ by, as a share of the largest


def main(args: list[str]) -> None:
    """`lightning-resnets export FILE OUT [options]`; raises ValueError, one sentence."""
    options = arguments().parse_args(args)
    out = ready(options, ENDINGS, "; `lightning-resnets convert` writes weights")
    if out.suffix.lower() == ".onnx":
        need_onnx()
    elif options.opset:
        raise CheckpointError("--opset is a number of ONNX: leave it out for .pt2, or write .onnx.")
    source = opened(options)
    found = export(source.net, source.card, out, options.batch, options.opset, options.with_input)
    report: dict[str, Any] = {
        "file": str(out),
        "net": source.card.arch,
        "parameters": sum(weight.numel() for weight in source.net.parameters()),
        "bytes": out.stat().st_size,
        "batch": options.batch or "dynamic",
        "size": source.card.size,
        "input": meaning(options.with_input),
        **asdict(found),
        "notes": source.notes,
    }
    if options.json:
        print(json.dumps(report, ensure_ascii=False))
        return
    print(summary(out, source.net, source.card.arch))
    sides = "×".join(map(str, (options.batch or "N", *source.card.size)))
    print(f"input {sides}, {report['input']}; output {len(source.card.classes)} logits; {found.form}")
    print(
        f"checked with {found.checked_with}: {found.pictures} pictures, logits differ by {found.difference:.1e} of the "
        f"largest, {found.same_class} of {found.pictures} with the same class first"
    )
    for note in source.notes:
        print(f"Note: {note}")


def export(
    net: nn.Module, card: Card, out: Path, batch: int = 0, opset: int | None = None, with_input: bool = False
) -> Agreement:
    """Write the net for `batch` pictures (0: any number), open the file again and compare logits.

    With `with_input` it takes RGB pictures in 0..1 and normalises them itself. Raises CheckpointError, and writes
    nothing, where the net cannot be exported or the logits differ by more than `MOST` of the largest.
    """
    whole = nn.Sequential(Normalise(card), net).eval() if with_input else net
    about = {"card": json.dumps(card.to_dict(), ensure_ascii=False), "input": meaning(with_input)}
    program = exported(whole, card, batch)
    with replacing(out) as part:
        form = (
            write_pt2(program, part, about)
            if out.suffix.lower() == ".pt2"
            else write_onnx(program, part, about, batch, opset)
        )
        found = agreement(part, form, whole, inputs(card, batch, with_input))
        if not found.difference <= MOST:
            raise CheckpointError(
                f"The export's logits differ from the net's by {found.difference:.1e} of the largest, more than "
                f"{MOST:g}, and nothing was written: take the other of {' and '.join(ENDINGS)}."
            )
    return found


def arguments() -> argparse.ArgumentParser:
    parser = OutArguments("export", "Write the net as ONNX or torch.export and check its logits.", ENDINGS)
    parser.add_argument("--batch", type=batch, default=0, metavar="N", help="a fixed number of pictures, or `dynamic`")
    parser.add_argument("--opset", type=int, metavar="N", help="ONNX operator set (18 or later; the exporter's own)")
    parser.add_argument("--with-input", action="store_true", help="take RGB pictures in 0..1 and normalise inside")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def batch(text: str) -> int:
    """A number of pictures; 0 for `dynamic`."""
    if text == "dynamic":
        return 0
    if not text.isdecimal() or not 0 < int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number from 1 to 4096 nor `dynamic`")
    return int(text)


def meaning(with_input: bool) -> str:
    return "RGB pictures in 0..1" if with_input else "pictures normalised as the card says"


def need_onnx() -> None:
    try:
        for name in ("onnx", "onnxscript"):
            importlib.import_module(name)
    except ImportError:
        raise CheckpointError(
            "ONNX needs packages that are not installed: pip install 'lightning-resnets[export]', or write .pt2."
        ) from None


def exported(net: nn.Module, card: Card, batch: int = 0) -> ExportedProgram:
    """The net as torch.export sees it; raises CheckpointError where it cannot."""
    shapes = None if batch else ({0: Dim("batch")},)
    example = torch.zeros(batch or 2, *card.size)
    try:
        with quiet():
            return torch.export.export(net, (example,), dynamic_shapes=shapes, strict=False)
    except Exception as error:
        remedy = "its forward must not depend on the values it is given" if batch else "try --batch 1"
        raise CheckpointError(f"{card.arch} cannot be exported ({first_line(error)}): {remedy}.") from error


def write_onnx(
    program: ExportedProgram, path: Path, about: dict[str, str], batch: int = 0, opset: int | None = None
) -> str:
    """Write ONNX with `about` in its metadata; says which opset. Raises CheckpointError."""
    import onnx

    try:
        with quiet():
            made = torch.onnx.export(
                program, dynamo=True, input_names=["pictures"], output_names=["logits"], opset_version=opset,
                dynamic_shapes=None if batch else ({0: "batch"},), verbose=False,
            )  # fmt: skip
        model: Any = made.model_proto  # type: ignore[union-attr]
        onnx.helper.set_model_props(model, about)
        data = model.SerializeToString()
    except Exception as error:
        raise CheckpointError(f"ONNX cannot hold this net ({first_line(error)}): write .pt2.") from error
    version = next(item.version for item in model.opset_import if not item.domain)
    if opset and version != opset:
        raise CheckpointError(
            f"The exporter cannot write opset {opset}: take a number near {version}, or leave --opset out."
        )
    path.write_bytes(data)
    return f"ONNX, opset {version}"


def write_pt2(program: ExportedProgram, path: Path, about: dict[str, str]) -> str:
    """Write torch.export's archive with `about` as extra files."""
    file = io.BytesIO()
    with quiet():
        torch.export.save(program, file, extra_files=dict(about))
    path.write_bytes(file.getvalue())
    return "torch.export"
