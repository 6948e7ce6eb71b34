"""Export a model as ONNX or torch.export, and check the file's logits against the model's."""

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
ONNX_PACKAGES = ("onnx", "onnxscript")
MAX_RELATIVE_ERROR = 1e-4  # of a logit, relative to the largest


def export_model(
    model: nn.Module,
    card: ModelCard,
    out: Path,
    batch_size: int = 0,
    opset: int | None = None,
    include_preprocessing: bool = False,
) -> ExportCheck:
    """Write a model, load the file again and compare logits.

    Args:
        model: the model, in evaluation mode.
        card: its card, which is stored in the file.
        out: the file to write, .onnx or .pt2.
        batch_size: fixed batch size; 0 for any.
        opset: ONNX opset; None for the exporter's default.
        include_preprocessing: take RGB images in 0..1 and normalize them inside the export.

    Returns:
        The result of the comparison.

    Raises:
        CheckpointError: the model cannot be exported, or the logits differ by more than
            MAX_RELATIVE_ERROR. Then nothing is written.
    """
    if include_preprocessing:
        model = nn.Sequential(Normalize(card), model).eval()
    metadata = {
        "card": json.dumps(card.to_dict(), ensure_ascii=False),
        "preprocessing": describe_input(include_preprocessing),
    }
    # Exported once; both formats are written from the program.
    program = to_exported_program(model, card, batch_size)
    inputs = check_inputs(card, batch_size, include_preprocessing)
    with atomic_write(out) as part:
        if out.suffix.lower() == ".pt2":
            file_format = write_pt2(program, part, metadata)
        else:
            file_format = write_onnx(program, part, metadata, batch_size, opset)
        # The temporary file is checked, so that a bad export never replaces a good one.
        check = check_export(part, file_format, model, inputs)
        _check_error(check)
    return check


def _check_error(check: ExportCheck) -> None:
    """Raise if the logits differ too much; NaN counts as different."""
    # Not `>`, which is false for NaN.
    if not check.max_relative_error <= MAX_RELATIVE_ERROR:
        raise CheckpointError(
            f"The exported logits differ from the model's by {check.max_relative_error:.1e} of the "
            f"largest, more than {MAX_RELATIVE_ERROR:g}. Nothing was written. Try the other format "
            f"({' or '.join(SUFFIXES)})."
        )


def describe_input(include_preprocessing: bool) -> str:
    """Describe the input of an exported model.

    Args:
        include_preprocessing: the export normalizes its input.

    Returns:
        A phrase.
    """
    if include_preprocessing:
        return "RGB images in 0..1"
    return "images normalized as the model card says"


def require_onnx() -> None:
    """Raise CheckpointError if the packages for ONNX are not installed."""
    try:
        # Checked before the model is loaded, which takes longer.
        for name in ONNX_PACKAGES:
            importlib.import_module(name)
    except ImportError:
        # The reason would only name the first missing package.
        raise CheckpointError(
            "ONNX export needs missing packages. Run pip install 'lightning-resnets[export]', or "
            "write .pt2."
        ) from None


def to_exported_program(model: nn.Module, card: ModelCard, batch_size: int = 0) -> ExportedProgram:
    """Export a model with torch.export.

    Args:
        model: the model.
        card: its card.
        batch_size: fixed batch size; 0 for any.

    Returns:
        The program.

    Raises:
        CheckpointError: torch.export does not support the model.
    """
    shapes = None if batch_size else ({0: Dim("batch")},)
    # torch specializes sizes of 0 and 1, so a dynamic batch is traced with 2.
    example = torch.zeros(batch_size or 2, *card.input_size)
    try:
        with suppress_exporter_output():
            return torch.export.export(model, (example,), dynamic_shapes=shapes, strict=False)
    except Exception as error:
        raise _export_error(card.arch, error, batch_size) from error


def _export_error(arch: str, error: Exception, batch_size: int) -> CheckpointError:
    """Build the error about a model that torch.export does not support."""
    remedy = "Its forward must not depend on the values of its input."
    # A fixed batch size may help, so it is the first thing to try.
    if not batch_size:
        remedy = "Try --batch-size 1."
    return CheckpointError(f"{arch} cannot be exported ({root_cause_line(error)}). {remedy}")


def write_onnx(
    program: ExportedProgram,
    path: Path,
    metadata: dict[str, str],
    batch_size: int = 0,
    opset: int | None = None,
) -> str:
    """Write an ONNX file.

    Args:
        program: the exported model.
        path: the file.
        metadata: texts for the file's metadata.
        batch_size: fixed batch size; 0 for any.
        opset: ONNX opset; None for the exporter's default.

    Returns:
        The format with its opset.

    Raises:
        CheckpointError: ONNX does not support the model or the opset.
    """
    data, version = _serialize_onnx(program, metadata, batch_size, opset)
    path.write_bytes(data)
    return f"ONNX, opset {version}"


def _serialize_onnx(
    program: ExportedProgram, metadata: dict[str, str], batch_size: int, opset: int | None
) -> tuple[bytes, int]:
    """Return the content of the ONNX file and its opset; raise CheckpointError without support."""
    try:
        model = _to_onnx(program, metadata, batch_size, opset)
        data = model.SerializeToString()
    except Exception as error:
        raise CheckpointError(
            f"ONNX does not support this model ({root_cause_line(error)}). Write .pt2."
        ) from error
    # The default domain, "", has ONNX's own operators.
    version = next(item.version for item in model.opset_import if not item.domain)
    _check_opset(opset, version)
    return data, version


def _check_opset(opset: int | None, version: int) -> None:
    """Raise CheckpointError if the exporter has silently raised the opset."""
    if opset and version != opset:
        raise CheckpointError(
            f"--opset {opset} is not supported by the exporter. Choose one near {version}, or omit "
            "--opset."
        )


def _to_onnx(
    program: ExportedProgram, metadata: dict[str, str], batch_size: int, opset: int | None
) -> Any:
    """Convert a program to an ONNX ModelProto with metadata."""
    import onnx

    with suppress_exporter_output():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            opset_version=opset,
            dynamic_shapes=None if batch_size else ({0: "batch"},),
            verbose=False,
        )
    model: Any = exported.model_proto  # type: ignore[union-attr]
    onnx.helper.set_model_props(model, metadata)
    return model


def write_pt2(program: ExportedProgram, path: Path, metadata: dict[str, str]) -> str:
    """Write an archive of torch.export.

    Args:
        program: the exported model.
        path: the file.
        metadata: texts for the archive's extra files.

    Returns:
        The format.
    """
    # The archive is named after its file, which is temporary here.
    file = io.BytesIO()
    # torch.export warns of buffers that are read-only.
    with suppress_exporter_output():
        torch.export.save(program, file, extra_files=dict(metadata))
    path.write_bytes(file.getvalue())
    return "torch.export"
