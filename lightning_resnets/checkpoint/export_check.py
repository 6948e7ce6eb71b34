"""Check an exported file: run it and compare its logits with the model's."""

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.data.cifar10_sample import load_sample
from lightning_resnets.errors import CheckpointError
from lightning_resnets.preprocessing import preprocess

RunFunction = Callable[[Tensor], Tensor]

MAX_REASON = 200  # characters of an exporter's message
SMALLEST_LOGIT = 1e-30  # avoids a division by zero

# Warnings of torch 2.11's own exporter.
EXPORTER_WARNINGS = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    "The given buffer is not writable",
)


@dataclass(frozen=True, slots=True)
class ExportCheck:
    """The result of a check.

    Attributes:
        format: "ONNX, opset 18" or "torch.export".
        checked_with: the runtime and its version.
        max_relative_error: largest difference of a logit, relative to the batch's largest logit.
        top1_matches: number of images with the same top-1 class.
        num_images: number of images compared.
    """

    format: str
    checked_with: str
    max_relative_error: float
    top1_matches: int
    num_images: int


def check_export(
    path: Path, file_format: str, model: nn.Module, batches: list[Tensor]
) -> ExportCheck:
    """Run the exported file and the model on the same batches.

    Args:
        path: the exported file.
        file_format: its format, for the result.
        model: the model it was exported from.
        batches: inputs (N, C, H, W).

    Returns:
        The differences.

    Raises:
        CheckpointError: the model's logits are not finite, or the file does not run.
    """
    expected = _finite_logits(model, batches)
    runtime, actual = _run_exported(path, batches)
    pairs = list(zip(actual, expected, strict=True))
    error = torch.stack([_relative_error(ours, theirs) for ours, theirs in pairs]).max()
    same = sum(_count_same_class(ours, theirs) for ours, theirs in pairs)
    return ExportCheck(file_format, runtime, float(error), same, sum(len(x) for x in batches))


def _run_exported(path: Path, batches: list[Tensor]) -> tuple[str, list[Tensor]]:
    """Return the name of the runtime and the logits of the exported file."""
    try:
        runtime, run = load_runtime(path)
        return runtime, [run(x) for x in batches]
    # A runtime may raise anything for a file that it does not support.
    except Exception as error:
        raise CheckpointError(
            f"The exported file does not run ({root_cause_line(error)}) and was deleted. Try "
            "another --opset or a fixed --batch-size."
        ) from error


def _finite_logits(model: nn.Module, batches: list[Tensor]) -> list[Tensor]:
    """Run the model; raise CheckpointError if its logits are not finite."""
    with torch.inference_mode():
        expected = [model(x) for x in batches]
    # NaN would compare as different from itself.
    if not all(bool(torch.isfinite(logits).all()) for logits in expected):
        raise CheckpointError(
            "The model's own logits are NaN or inf, so no export can be checked. Train it again."
        )
    return expected


def _relative_error(actual: Tensor, expected: Tensor) -> Tensor:
    """Return the largest difference relative to the largest expected logit."""
    largest = expected.abs().max().clamp(min=SMALLEST_LOGIT)
    return (actual - expected).abs().max() / largest


def _count_same_class(actual: Tensor, expected: Tensor) -> int:
    """Count the images with the same top-1 class; logits are (N, classes)."""
    return int((actual.argmax(1) == expected.argmax(1)).sum())


def check_inputs(card: ModelCard, batch_size: int = 0, raw: bool = False) -> list[Tensor]:
    """Make inputs for a check: noise and real images.

    Args:
        card: the model card.
        batch_size: fixed batch size; 0 for batches of one and of three images.
        raw: keep RGB in 0..1, else normalize as the card says.

    Returns:
        Batches (N, C, H, W).
    """
    generator = torch.Generator().manual_seed(0)
    batches = list[Tensor]()
    # Two sizes show that a dynamic batch really is dynamic.
    counts = (batch_size,) if batch_size else (1, 3)
    for count in counts:
        batches.append(torch.rand(count, *card.input_size, generator=generator))
        batches.append(sample_images(card, count))
    if raw:
        return batches
    return [Normalize(card)(x) for x in batches]


def sample_images(card: ModelCard, count: int) -> Tensor:
    """Return images of the CIFAR-10 sample at the card's size.

    Args:
        card: the model card.
        count: number of images; the sample is repeated if it has fewer.

    Returns:
        RGB in 0..1 (count, C, H, W).
    """
    channels = card.input_size[0]
    # Mean 0 and std 1 leave the pixels in 0..1.
    mean = (0.0,) * channels
    std = (1.0,) * channels
    images = load_sample("test")[0]
    batch = list[Tensor]()
    for index in range(count):
        image = images[index % len(images)]
        batch.append(preprocess(image, card.input_size, mean, std, crop_pct=card.crop_pct))
    return torch.cat(batch)


class Normalize(nn.Module):
    """Convert RGB images in 0..1 to the model's input, both (N, C, H, W)."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.is_bgr = card.channel_order == "BGR"
        self.mean = nn.Buffer(torch.tensor(card.mean).view(1, -1, 1, 1))
        self.std = nn.Buffer(torch.tensor(card.std).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize a batch.

        Args:
            x: RGB images in 0..1 (N, C, H, W).

        Returns:
            The model's input (N, C, H, W).
        """
        # Mean and std are in the model's channel order.
        if self.is_bgr:
            x = x.flip(1)
        return (x - self.mean) / self.std


def load_runtime(path: Path) -> tuple[str, RunFunction]:
    """Load an exported file with the runtime of its format.

    Args:
        path: a .pt2 or .onnx file.

    Returns:
        The runtime's name and version, and a function from inputs (N, C, H, W) to logits.
    """
    if path.suffix.lower() == ".pt2":
        with suppress_exporter_output():
            return f"torch {torch.__version__}", torch.export.load(path).module()
    # onnxruntime is many times as fast, but optional.
    try:
        import onnxruntime
    except ImportError:
        return load_reference_runtime(path)
    return f"onnxruntime {onnxruntime.__version__}", _open_session(path)


def _open_session(path: Path) -> RunFunction:
    """Return a function that runs an ONNX file with onnxruntime."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    # As many threads as torch uses, for comparable times.
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.log_severity_level = 4  # fatal errors only
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return _to_function(session)


def load_reference_runtime(path: Path) -> tuple[str, RunFunction]:
    """Load an ONNX file with the evaluator that comes with onnx, which is slow.

    Args:
        path: a .onnx file.

    Returns:
        As `load_runtime`.
    """
    import onnx
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(onnx.load(path))
    return f"onnx {onnx.__version__}", _to_function(session)


def _to_function(session: Any) -> RunFunction:
    """Return a function that runs a session of onnxruntime or of onnx on a batch."""

    def run(x: Tensor) -> Tensor:
        """Run the session.

        Args:
            x: images (N, C, H, W).

        Returns:
            The logits, (N, classes).
        """
        outputs = session.run(None, {"images": x.numpy()})
        # The graph has one output, the logits.
        assert isinstance(outputs, list)
        return torch.from_numpy(outputs[0])

    return run


def root_cause_line(error: Exception) -> str:
    """Return the first line of the exception that caused an exporter's failure.

    Args:
        error: the exception.

    Returns:
        At most 200 characters without terminal colors.
    """
    # Exporters wrap the exception that says what is wrong.
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    # Exporters print in color.
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    lines = text.splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".:")[:MAX_REASON]


@contextlib.contextmanager
def suppress_exporter_output() -> Iterator[None]:
    """Hide what torch's exporters print, log and warn of; their exceptions say enough."""
    # Restored even if the exporter fails.
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            for message in EXPORTER_WARNINGS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        logging.disable(disabled)
