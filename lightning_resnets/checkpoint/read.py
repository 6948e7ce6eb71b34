"""Opening a checkpoint safely: nothing in a file is run or imported, the card names a net of ours and weights fill it.

Two forms are read: Lightning's `.ckpt` (a zip archive with the card under the key `card` and weights under
`state_dict`) and `.safetensors` (the card as JSON in the metadata).
"""

import json
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from lightning_resnets import zoo
from lightning_resnets.blank import Blank
from lightning_resnets.checkpoint.card import Card, CheckpointError
from lightning_resnets.checkpoint.names import check_pickle

LARGEST = 4 * 2**30  # bytes, of a file and of what it unpacks to
SWELL = 4  # no honest archive unpacks to more than this many times its size
LARGEST_OPTION = 4096  # channels, layers: more is no net of ours
PREFIX = "net."  # how the LightningModule calls the net


class CheckpointWarning(UserWarning):
    """Something about an opened checkpoint that its reader should know."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A net ready to look through (evaluation, float32, no gradients), its card, and sentences worth showing."""

    net: nn.Module
    card: Card
    notes: tuple[str, ...] = ()


def read(path: str | Path) -> Card:
    """The card of a checkpoint, without building its net; raises CheckpointError."""
    return _contents(Path(path))[0]


def load(path: str | Path) -> tuple[nn.Module, Card]:
    """The net and the card; raises CheckpointError, warns CheckpointWarning where weights are not finite."""
    opened = open_checkpoint(path)
    for note in opened.notes:
        warnings.warn(note, CheckpointWarning, stacklevel=2)
    return opened.net, opened.card


def open_checkpoint(path: str | Path) -> Opened:
    """The same with its notes instead of warnings."""
    path = Path(path)
    card, weights = _contents(path)
    net = _built(card)
    state = {name: _checked(name, weights.get(name), blank, path) for name, blank in net.state_dict().items()}
    if unknown := sorted(weights.keys() - state.keys()):
        raise CheckpointError(
            f"'{path.name}' holds weights that {card.arch} does not have ({unknown[0]}): its card names the wrong net "
            "or the wrong options; save it again with the card of the net that was trained."
        )
    net.load_state_dict(state, strict=True, assign=True)
    bad = [name for name, weight in state.items() if not bool(torch.isfinite(weight).all())]
    notes = (f"'{path.name}' holds weights that are not finite ({bad[0]}): its training diverged.",) if bad else ()
    return Opened(net.eval().requires_grad_(False), card, notes)


def _contents(path: Path) -> tuple[Card, dict[str, Tensor]]:
    head = _head(path)
    if head.startswith(b"PK\x03\x04"):
        values, weights = _from_zip(path)
    elif path.suffix == ".safetensors" or head[8:9] == b"{":
        values, weights = _from_safetensors(path)
    elif head.lstrip()[:1] == b"<":
        raise CheckpointError(f"'{path.name}' is a web page, not a checkpoint: download the file itself again.")
    else:
        raise CheckpointError(
            f"'{path.name}' is not a checkpoint: open a .ckpt that `lightning-resnets fit` wrote, or a .safetensors."
        )
    card = Card.from_dict(values)
    return card, {name.removeprefix(PREFIX): weight for name, weight in weights.items()}


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise CheckpointError(f"'{path}' is a folder, not a checkpoint: choose a file in it.")
    if path.exists() and not path.is_file():  # a pipe or a device: reading it may never end
        raise CheckpointError(f"'{path}' is no ordinary file: choose a checkpoint.")
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError:
        raise CheckpointError(f"There is no file '{path}': check the name.") from None
    except OSError as error:
        raise CheckpointError(f"'{path}' cannot be read ({error.strerror}): check its permissions.") from error
    if not head:
        raise CheckpointError(f"'{path.name}' is empty: copy or download it again.")
    if path.stat().st_size > LARGEST:
        raise CheckpointError(f"'{path.name}' is larger than {LARGEST / 2**30:g} GB: save it without optimizer state.")
    return head


def _from_zip(path: Path) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    _check_zip(path)
    check_pickle(path)
    try:
        # Never without weights_only: a pickle may hold any program. mmap leaves unread what is not needed.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            contents = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # noqa: BLE001 - whatever a hostile file provokes ends as a sentence
        if isinstance(error, pickle.UnpicklingError):
            raise CheckpointError(
                f"'{path.name}' holds program code beside its weights and was not opened; nothing of it was run: "
                "save only weights and plain values."
            ) from None
        raise CheckpointError(f"'{path.name}' is damaged or no checkpoint of PyTorch: copy or save it again.") from None
    if not isinstance(contents, dict) or not isinstance(contents.get("card"), dict):
        raise CheckpointError(
            f"'{path.name}' has no card that says which net it holds: write it with `lightning-resnets fit`, "
            "which adds one."
        )
    weights = contents.get("state_dict")
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights):
        raise CheckpointError(f"'{path.name}' holds no weights (no 'state_dict'): save the whole checkpoint again.")
    ours = {name: weight for name, weight in weights.items() if name.startswith(PREFIX)}
    return contents["card"], ours or weights


def _check_zip(path: Path) -> None:
    """Refuses archives that are cut off, packed (torch never packs), or that would unpack to far more than they are."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise CheckpointError(f"'{path.name}' is cut off or damaged: copy or download it again.") from None
    if not any(member.filename.endswith("/data.pkl") for member in members):
        raise CheckpointError(f"'{path.name}' is a zip archive but no checkpoint: open a .ckpt that training wrote.")
    size = sum(member.file_size for member in members)
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if packed or size > LARGEST or size > SWELL * path.stat().st_size:
        raise CheckpointError(
            f"'{path.name}' is packed in a way that no training writes and was not opened: get it from its author "
            "again."
        )


def _from_safetensors(path: Path) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("card", "")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        values = json.loads(text) if text else None
    except Exception:  # noqa: BLE001 - the same
        raise CheckpointError(f"'{path.name}' is damaged or no safetensors file: copy or download it again.") from None
    if not isinstance(values, dict):
        raise CheckpointError(
            f"'{path.name}' has no card that says which net it holds: export it again, with its card in the metadata."
        )
    return values, weights


def _built(card: Card) -> nn.Module:
    if card.arch not in zoo.names():
        near = get_close_matches(card.arch, zoo.names(), n=3, cutoff=0.5) or list(zoo.names())[:5]
        raise CheckpointError(
            f"This checkpoint holds a net called '{card.arch}', which this version does not know (near it are "
            f"{', '.join(near)}): upgrade lightning-resnets or correct the card."
        )
    if any(isinstance(value, (int, float)) and abs(value) > LARGEST_OPTION for value in card.options.values()):
        raise CheckpointError(
            f"The card's options ask for a net larger than any ({str(card.options)[:80]}): save the net again with a "
            "correct card."
        )
    try:
        with Blank(), _same_chance():
            return zoo.build(card.arch, classes=len(card.classes), **card.options)
    except Exception as error:
        raise CheckpointError(
            f"The card's options do not fit {card.arch} ({_first(error)}): save the net again with a correct card."
        ) from error


def _checked(name: str, weight: object, blank: Tensor, path: Path) -> Tensor:
    """A weight in memory of its own, in the blank's kind of number; raises where it is not what the net has there."""
    if weight is None:
        raise CheckpointError(f"'{path.name}' lacks the weight '{name}': save the whole net again.")
    if not isinstance(weight, Tensor) or weight.layout is not torch.strided or weight.is_quantized:
        raise CheckpointError(f"'{name}' in '{path.name}' is no plain tensor: save the net's own weights again.")
    if weight.shape != blank.shape:
        raise CheckpointError(
            f"'{name}' in '{path.name}' has shape {_shape(weight)} where the net that its card names has "
            f"{_shape(blank)}: save it again with the card of the net that was trained."
        )
    kinds_differ = weight.is_floating_point() != blank.is_floating_point() or weight.is_complex()
    if kinds_differ or weight.untyped_storage().nbytes() < weight.numel() * weight.element_size():
        raise CheckpointError(f"'{name}' in '{path.name}' is no plain tensor: save the net's own weights again.")
    return weight.to(blank.dtype, copy=True, memory_format=torch.contiguous_format)


@contextmanager
def _same_chance() -> Iterator[None]:
    """Opening a file must not change the random numbers of who opens it."""
    with torch.random.fork_rng(devices=[]):
        yield


def _shape(tensor: Tensor) -> str:
    return "×".join(str(side) for side in tensor.shape) or "one number"


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
