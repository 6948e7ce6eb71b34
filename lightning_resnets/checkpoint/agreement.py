"""Whether a written export says what its net says: the file opened again, run, and its logits compared."""

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

from lightning_resnets.checkpoint.card import Card, CheckpointError
from lightning_resnets.data.sample import pictures
from lightning_resnets.image import prepare

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the file is, what ran it, and how far its logits are from the net's.

    `difference` is the largest one as a share of the largest logit; `same_class` counts the pictures that have the same
    class first.
    """

    form: str
    checked_with: str
    difference: float
    same_class: int
    pictures: int


def agreement(path: Path, form: str, net: nn.Module, batches: list[Tensor]) -> Agreement:
    """Run the file's net and `net` on the same batches; raises CheckpointError where either does not answer."""
    with torch.inference_mode():
        rights = [net(x) for x in batches]
    if not all(bool(torch.isfinite(right).all()) for right in rights):
        raise CheckpointError("The net's own logits are not finite, so that no export can be checked: train it again.")
    try:
        name, run = runner(path)
        answers = [run(x) for x in batches]
    except Exception as error:
        raise CheckpointError(
            f"The written file does not run ({first_line(error)}), and nothing was kept: try another --opset, or a "
            "fixed --batch."
        ) from error
    shares = [(a - b).abs().max() / b.abs().max().clamp(min=1e-30) for a, b in zip(answers, rights, strict=True)]
    same = sum(int((a.argmax(1) == b.argmax(1)).sum()) for a, b in zip(answers, rights, strict=True))
    return Agreement(form, name, float(torch.stack(shares).max()), same, sum(len(x) for x in batches))


def inputs(card: Card, batch: int = 0, raw: bool = False) -> list[Tensor]:
    """Noise and real pictures, one and three of each, or `batch`; normalised, or `raw`: RGB in 0..1 (N, C, H, W)."""
    chance = torch.Generator().manual_seed(0)
    batches: list[Tensor] = []
    for count in (batch,) if batch else (1, 3):
        batches += [torch.rand(count, *card.size, generator=chance), photographs(card, count)]
    return batches if raw else [Normalise(card)(x) for x in batches]


def photographs(card: Card, count: int) -> Tensor:
    """Pictures of the CIFAR-10 sample at the card's size, RGB in 0..1 (count, C, H, W)."""
    plain = (0.0,) * card.size[0], (1.0,) * card.size[0]
    tiles = pictures("test")[0]
    return torch.cat([prepare(tiles[i % len(tiles)], card.size, *plain, crop=card.crop) for i in range(count)])


class Normalise(nn.Module):
    """RGB pictures in 0..1 to the input that the card asks for, both (N, C, H, W)."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self.turned = card.channels == "BGR"
        self.mean = nn.Buffer(torch.tensor(card.mean).view(1, -1, 1, 1))
        self.std = nn.Buffer(torch.tensor(card.std).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flip(1) if self.turned else x
        return (x - self.mean) / self.std  # (N, C, H, W)


def runner(path: Path) -> tuple[str, Run]:
    """What runs a written export, by name, and how."""
    if path.suffix.lower() == ".pt2":
        with quiet():
            return f"torch {torch.__version__}", torch.export.load(path).module()
    try:
        import onnxruntime
    except ImportError:
        return reference(path)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = torch.get_num_threads(), 4
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return f"onnxruntime {onnxruntime.__version__}", lambda x: _first(session.run(None, {"pictures": x.numpy()}))


def reference(path: Path) -> tuple[str, Run]:
    """ONNX's own evaluator: slow, but it comes with onnx."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(onnx.load(path))
    return f"onnx {onnx.__version__}", lambda x: _first(session.run(None, {"pictures": x.numpy()}))


def _first(outputs: object) -> Tensor:
    assert isinstance(outputs, list)
    return torch.from_numpy(outputs[0])


def first_line(error: Exception) -> str:
    """The first line of what an exception came from, without colours and cut to what a sentence bears."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return (text.splitlines() or [type(error).__name__])[0].strip().rstrip(".:")[:200]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporters print their steps, log what they then raise, and use what torch deprecates."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            for message in (r"`isinstance\(treespec, LeafSpec\)` is deprecated", "The given buffer is not writable"):
                warnings.filterwarnings("ignore", message)  # both of torch 2.11
            yield
    finally:
        logging.disable(disabled)
