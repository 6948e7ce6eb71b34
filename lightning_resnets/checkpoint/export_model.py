"""`lightning-resnets export FILE OUT`: the model as ONNX or torch.export, its logits checked against the model's own."""

import importlib
import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from lightning_resnets.checkpoint.export_check import (
    ExportCheck,
    Normalize,
    check_export,
    check_inputs,
    root_cause_line,
    suppress_exporter_output,
)
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.errors import CheckpointError
from lightning_resnets.utils.atomic_write import atomic_write

SUFFIXES = (".onnx", ".pt2")


MAX_RELATIVE_ERROR = 1e-4  # what logits may differ by, as a share of the largest


def export_model(
    model: nn.Module,
    card: ModelCard,
    out: Path,
    batch: int = 0,
    opset: int | None = None,
    with_input: bool = False,
) -> ExportCheck:
    """Write the model for `batch` images (0: any number), open the file again and compare logits.

    With `with_input` it takes RGB images in 0..1 and normalizes them itself. Raises CheckpointError, and writes
    nothing, where the model cannot be exported or the logits differ by more than `MOST` of the largest.
    """
    whole = nn.Sequential(Normalize(card), model).eval() if with_input else model
    about = {
        "card": json.dumps(card.to_dict(), ensure_ascii=False),
        "input": describe_input(with_input),
    }
    program = to_exported_program(whole, card, batch)
    with atomic_write(out) as part:
        form = (
            write_pt2(program, part, about)
            if out.suffix.lower() == ".pt2"
            else write_onnx(program, part, about, batch, opset)
        )
        found = check_export(part, form, whole, check_inputs(card, batch, with_input))
        if not found.max_relative_error <= MAX_RELATIVE_ERROR:
            raise CheckpointError(
                f"The export's logits differ from the model's by {found.max_relative_error:.1e} of the largest, more than "
                f"{MAX_RELATIVE_ERROR:g}, and nothing was written: take the other of {' and '.join(SUFFIXES)}."
            )
    return found


def describe_input(with_input: bool) -> str:
    return "RGB images in 0..1" if with_input else "images normalized as the card says"


def require_onnx() -> None:
    try:
        for name in ("onnx", "onnxscript"):
            importlib.import_module(name)
    except ImportError:
        raise CheckpointError(
            "ONNX needs packages that are not installed: pip install 'lightning-resnets[export]', or write .pt2."
        ) from None


def to_exported_program(model: nn.Module, card: ModelCard, batch: int = 0) -> ExportedProgram:
    """The model as torch.export sees it; raises CheckpointError where it cannot."""
    shapes = None if batch else ({0: Dim("batch")},)
    example = torch.zeros(batch or 2, *card.input_size)
    try:
        with suppress_exporter_output():
            return torch.export.export(model, (example,), dynamic_shapes=shapes, strict=False)
    except Exception as error:
        remedy = (
            "its forward must not depend on the values it is given" if batch else "try --batch 1"
        )
        raise CheckpointError(
            f"{card.arch} cannot be exported ({root_cause_line(error)}): {remedy}."
        ) from error


def write_onnx(
    program: ExportedProgram,
    path: Path,
    about: dict[str, str],
    batch: int = 0,
    opset: int | None = None,
) -> str:
    """Write ONNX with `about` in its metadata; says which opset. Raises CheckpointError."""
    import onnx

    try:
        with suppress_exporter_output():
            made = torch.onnx.export(
                program,
                dynamo=True,
                input_names=["images"],
                output_names=["logits"],
                opset_version=opset,
                dynamic_shapes=None if batch else ({0: "batch"},),
                verbose=False,
            )
        model: Any = made.model_proto  # type: ignore[union-attr]
        onnx.helper.set_model_props(model, about)
        data = model.SerializeToString()
    except Exception as error:
        raise CheckpointError(
            f"ONNX cannot hold this model ({root_cause_line(error)}): write .pt2."
        ) from error
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
    with suppress_exporter_output():
        torch.export.save(program, file, extra_files=dict(about))
    path.write_bytes(file.getvalue())
    return "torch.export"
