"""Whether a written export says what its model says: the file opened again, run, and its logits compared."""

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.data.cifar10_sample import load_sample
from lightning_resnets.errors import CheckpointError
from lightning_resnets.preprocessing import preprocess

RunFunction = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class ExportCheck:
    """What the file is, what ran it, and how far its logits are from the model's.

    `difference` is the largest one as a share of the largest logit; `same_class` counts the images that have the same
    class first.
    """

    format: str
    checked_with: str
    max_relative_error: float
    top1_matches: int
    num_images: int


def check_export(path: Path, form: str, model: nn.Module, batches: list[Tensor]) -> ExportCheck:
    """Run the file's model and `model` on the same batches; raises CheckpointError where either does not answer."""
    with torch.inference_mode():
        rights = [model(x) for x in batches]
    if not all(bool(torch.isfinite(right).all()) for right in rights):
        raise CheckpointError(
            "The model's own logits are not finite, so that no export can be checked: train it again."
        )
    try:
        name, run = load_runtime(path)
        answers = [run(x) for x in batches]
    except Exception as error:
        raise CheckpointError(
            f"The written file does not run ({root_cause_line(error)}), and nothing was kept: try another --opset, or a "
            "fixed --batch."
        ) from error
    shares = [
        (a - b).abs().max() / b.abs().max().clamp(min=1e-30)
        for a, b in zip(answers, rights, strict=True)
    ]
    same = sum(
        int((a.argmax(1) == b.argmax(1)).sum()) for a, b in zip(answers, rights, strict=True)
    )
    return ExportCheck(
        form, name, float(torch.stack(shares).max()), same, sum(len(x) for x in batches)
    )


def check_inputs(card: ModelCard, batch: int = 0, raw: bool = False) -> list[Tensor]:
    """Noise and real images, one and three of each, or `batch`; normalized, or `raw`: RGB in 0..1 (N, C, H, W)."""
    chance = torch.Generator().manual_seed(0)
    batches: list[Tensor] = []
    for count in (batch,) if batch else (1, 3):
        batches += [
            torch.rand(count, *card.input_size, generator=chance),
            sample_images(card, count),
        ]
    return batches if raw else [Normalize(card)(x) for x in batches]


def sample_images(card: ModelCard, count: int) -> Tensor:
    """Images of the CIFAR-10 sample at the card's size, RGB in 0..1 (count, C, H, W)."""
    plain = (0.0,) * card.input_size[0], (1.0,) * card.input_size[0]
    tiles = load_sample("test")[0]
    return torch.cat(
        [
            preprocess(tiles[i % len(tiles)], card.input_size, *plain, crop_pct=card.crop_pct)
            for i in range(count)
        ]
    )


class Normalize(nn.Module):
    """RGB images in 0..1 to the input that the card asks for, both (N, C, H, W)."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.turned = card.channel_order == "BGR"
        self.mean = nn.Buffer(torch.tensor(card.mean).view(1, -1, 1, 1))
        self.std = nn.Buffer(torch.tensor(card.std).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flip(1) if self.turned else x
        return (x - self.mean) / self.std  # (N, C, H, W)


def load_runtime(path: Path) -> tuple[str, RunFunction]:
    """What runs a written export, by name, and how."""
    if path.suffix.lower() == ".pt2":
        with suppress_exporter_output():
            return f"torch {torch.__version__}", torch.export.load(path).module()
    try:
        import onnxruntime
    except ImportError:
        return load_reference_runtime(path)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = torch.get_num_threads(), 4
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return f"onnxruntime {onnxruntime.__version__}", lambda x: _first(
        session.run(None, {"images": x.numpy()})
    )


def load_reference_runtime(path: Path) -> tuple[str, RunFunction]:
    """ONNX's own evaluator: slow, but it comes with onnx."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(onnx.load(path))
    return f"onnx {onnx.__version__}", lambda x: _first(session.run(None, {"images": x.numpy()}))


def _first(outputs: object) -> Tensor:
    assert isinstance(outputs, list)
    return torch.from_numpy(outputs[0])


def root_cause_line(error: Exception) -> str:
    """The first line of what an exception came from, without colors and cut to what a sentence bears."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return (text.splitlines() or [type(error).__name__])[0].strip().rstrip(".:")[:200]


@contextlib.contextmanager
def suppress_exporter_output() -> Iterator[None]:
    """The exporters print their steps, log what they then raise, and use what torch deprecates."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            for message in (
                r"`isinstance\(treespec, LeafSpec\)` is deprecated",
                "The given buffer is not writable",
            ):
                warnings.filterwarnings("ignore", message)  # both of torch 2.11
            yield
    finally:
        logging.disable(disabled)
