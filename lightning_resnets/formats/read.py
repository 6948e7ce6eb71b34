"""Read a checkpoint of any format: weights under the file's own names, model card, metadata."""

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
from lightning_resnets.utils.format import join_first

MAGIC_BYTES = 512  # enough to recognize every format
PICKLE_PROTOCOLS = (b"\2", b"\3", b"\4", b"\5")


@dataclass(frozen=True, slots=True)
class CheckpointContents:
    """A file's contents, read and checked; nothing of it was executed.

    Attributes:
        format: "PyTorch zip", "PyTorch before 1.6", "pickled model", "pickled arrays",
            "safetensors" or "NumPy npz".
        state_dict: tensors in memory of their own, under the file's own names. Only the wrapper is
            removed.
        wrapper: where the weights lie in the file (`state_dict`, `model.state_dict`), or "".
        card: the model card's entries, or None.
        metadata: plain values beside the weights (`arch`, `epoch`, `args`), in JSON types.
        notes: sentences that the user should see.
    """

    format: str
    state_dict: dict[str, Tensor]
    wrapper: str = ""
    card: Mapping[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()


def read_checkpoint(path: Path) -> CheckpointContents:
    """Read a file of any supported format.

    Args:
        path: the file.

    Returns:
        Its contents.

    Raises:
        CheckpointError: the file is missing, damaged, hostile or of another format.
    """
    try:
        with open_file(path) as source:
            return _read_contents(source, path.suffix.lower())
    except UnsupportedFileError as error:
        raise CheckpointError(f"'{path.name}' {error}") from None
    except CheckpointError:
        raise
    except Exception:  # noqa: BLE001 - whatever a hostile file provokes
        raise CheckpointError(f"'{path.name}' {CORRUPT}") from None


def _read_contents(source: FileReader, suffix: str) -> CheckpointContents:
    """Recognize the format by the first bytes and read the file."""
    head = source.read(0, min(MAGIC_BYTES, source.size))
    if head.startswith(b"PK\x03\x04"):
        members = zip_archive.list_members(source)
        if zip_archive.archive_kind(members) == "numpy":
            return _from_npz(source, *arrays.read_npz(source, members))
        return _from_pickle(source, torch_save.read_zip(source, members))
    # Every pickle since protocol 2 starts with byte 80 and its protocol.
    # The length of a safetensors header may start with the byte of a pickle.
    has_json = head[8:9] == b"{"
    is_safetensors = has_json and int.from_bytes(head[:8], "little") <= source.size - 8
    if not is_safetensors and head[:1] == b"\x80" and head[1:2] in PICKLE_PROTOCOLS:
        return _from_pickle(source, torch_save.read_pickle(source))
    if suffix == ".safetensors" or has_json:
        return _from_safetensors(source, *arrays.read_safetensors(source))
    raise UnsupportedFileError(describe_unsupported(head, suffix))


def _from_pickle(source: FileReader, file: torch_save.PickledFile) -> CheckpointContents:
    """Find the weights in a pickle's value and read them."""
    choice = find_state_dict(file.value)
    _require_weights(choice.views)
    # Only what belongs to the model is read; optimizer states stay on the disk.
    weights = load_tensors(choice.views, file.locate, source)
    metadata = extract_metadata(file.value, choice.wrapper)
    # Training scripts often save an accuracy as a tensor.
    scalars = load_tensors(extract_scalars(file.value, choice.wrapper), file.locate, source)
    metadata |= {name: scalar.item() for name, scalar in scalars.items()}
    card = file.value.get("card") if isinstance(file.value, dict) else None
    return CheckpointContents(
        format="pickled model" if choice.module else file.format,
        state_dict=weights,
        wrapper=choice.wrapper,
        card=card if isinstance(card, dict) else None,
        metadata=metadata,
        notes=(*_opaque_notes(choice.module, file.opaque_names), *choice.notes),
    )


def _opaque_notes(module: str, opaque_names: tuple[str, ...]) -> tuple[str, ...]:
    """Return a note on the objects that were not rebuilt."""
    if module:
        note = (
            f"The file is a whole pickled model ({module}). Only its weights were read; none of "
            "its code was executed."
        )
        return (note,)
    if not opaque_names:
        return ()
    note = (
        f"The file also contains program objects ({join_first(opaque_names, 3)}). They were "
        "ignored and nothing was executed."
    )
    return (note,)


def _from_safetensors(
    source: FileReader, views: dict[str, TensorView], card: dict[str, Any] | None
) -> CheckpointContents:
    """Read the tensors of a safetensors file."""
    _require_weights(views)
    weights = load_tensors(views, arrays.storage_offset, source)
    return CheckpointContents("safetensors", weights, card=card)


def _from_npz(
    source: FileReader, views: dict[str, TensorView], others: tuple[str, ...]
) -> CheckpointContents:
    """Read the arrays of an .npz file."""
    _require_weights(views)
    weights = load_tensors(views, arrays.storage_offset, source)
    if not others:
        return CheckpointContents("NumPy npz", weights)
    note = (
        f"The file also contains '{printable_key(others[0])}', which is not an array of "
        "numbers. It was ignored and nothing was executed."
    )
    return CheckpointContents("NumPy npz", weights, notes=(note,))


def _require_weights(views: Mapping[str, TensorView]) -> None:
    """Raise if a file has no tensors."""
    if not views:
        raise UnsupportedFileError(
            "contains no weights. Save the model's state_dict(), with its arrays of numbers."
        )
