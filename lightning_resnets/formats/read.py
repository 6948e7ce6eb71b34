"""What a file holds, whatever its form: weights under the file's own names, its card, and plain values beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from lightning_resnets.errors import CheckpointError, UnsupportedFileError
from lightning_resnets.formats import arrays, torch_save, zip_archive
from lightning_resnets.formats.metadata import extract_metadata, extract_scalars
from lightning_resnets.formats.source import CORRUPT, FileReader, describe_unsupported, open_file
from lightning_resnets.formats.state_dict import find_state_dict
from lightning_resnets.formats.tensors import TensorView, load_tensors, printable_key

MAGIC_BYTES = 512  # bytes that tell what a file is


@dataclass(frozen=True, slots=True)
class CheckpointContents:
    """A file read and checked, nothing of it run.

    `form` says in words what the file is ("PyTorch zip", "PyTorch before 1.6", "pickled model", "pickled arrays",
    "safetensors", "NumPy npz"). `weights` are plain tensors in memory of their own under the file's names, the wrapper
    (`state_dict`, `model.state_dict`; "" for none) taken off and nothing else. `card` is the card's table where there
    is one. `also` holds the plain values beside the weights (`arch`, `epoch`, `args`), of JSON types, `notes` sentences
    worth showing.
    """

    format: str
    state_dict: dict[str, Tensor]
    wrapper: str = ""
    card: Mapping[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()


def read_checkpoint(path: Path) -> CheckpointContents:
    """Read a file of any known form; raises CheckpointError, one sentence that names the remedy."""
    try:
        with open_file(path) as source:
            return _contents(source, path.suffix.lower())
    except UnsupportedFileError as refused:
        raise CheckpointError(f"'{path.name}' {refused}") from None
    except CheckpointError:
        raise
    except Exception:  # noqa: BLE001 - whatever a hostile file provokes ends as a sentence
        raise CheckpointError(f"'{path.name}' {CORRUPT}") from None


def _contents(source: FileReader, suffix: str) -> CheckpointContents:
    head = source.read(0, min(MAGIC_BYTES, source.size))
    if head.startswith(b"PK\x03\x04"):
        listed = zip_archive.list_members(source)
        if zip_archive.archive_kind(listed) == "numpy":
            return _npz(source, *arrays.read_npz(source, listed))
        return _pickled(source, torch_save.read_zip(source, listed))
    begins = head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= source.size - 8
    if not begins and head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return _pickled(source, torch_save.read_pickle(source))
    if suffix == ".safetensors" or head[8:9] == b"{":
        return _safetensors(source, *arrays.read_safetensors(source))
    raise UnsupportedFileError(describe_unsupported(head, suffix))


def _pickled(source: FileReader, found: torch_save.PickledFile) -> CheckpointContents:
    choice = find_state_dict(found.value)
    _some(choice.views)
    notes = (*(_remark(choice.module, found.opaque_names)), *choice.notes)
    weights = load_tensors(choice.views, found.locate, source)
    also = extract_metadata(found.value, choice.wrapper)
    numbers = load_tensors(
        extract_scalars(found.value, choice.wrapper), found.locate, source
    )  # an accuracy is often a tensor
    also |= {name: number.item() for name, number in numbers.items()}
    card = found.value.get("card") if isinstance(found.value, dict) else None
    return CheckpointContents(
        format="pickled model" if choice.module else found.format,
        state_dict=weights,
        wrapper=choice.wrapper,
        card=card if isinstance(card, dict) else None,
        metadata=also,
        notes=notes,
    )


def _remark(module: str, foreign: tuple[str, ...]) -> tuple[str, ...]:
    """What was not looked into."""
    if module:
        return (
            f"The file is a whole pickled model ({module}): its weights were read, nothing of its program was run.",
        )
    if not foreign:
        return ()
    more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
    return (
        f"The file also holds program objects ({', '.join(foreign[:3])}{more}); they were left out, nothing was run.",
    )


def _safetensors(
    source: FileReader, views: dict[str, TensorView], card: dict[str, Any] | None
) -> CheckpointContents:
    _some(views)
    return CheckpointContents(
        "safetensors", load_tensors(views, arrays.storage_offset, source), card=card
    )


def _npz(
    source: FileReader, views: dict[str, TensorView], others: tuple[str, ...]
) -> CheckpointContents:
    _some(views)
    notes = (
        (
            f"The file also holds what is no array of numbers ('{printable_key(others[0])}'); it was left out, nothing was run.",
        )
        if others
        else ()
    )
    return CheckpointContents(
        "NumPy npz", load_tensors(views, arrays.storage_offset, source), notes=notes
    )


def _some(views: Mapping[str, TensorView]) -> None:
    if not views:
        raise UnsupportedFileError(
            "holds no weights: save the model's state_dict(), with its arrays of numbers."
        )
