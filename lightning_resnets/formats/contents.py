"""Read one file of any supported format: weights under its own names, model card, metadata."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats import arrays, torch_save, zip_archive
from lightning_resnets.formats.budget import Budget
from lightning_resnets.formats.metadata import extract_metadata, extract_scalars
from lightning_resnets.formats.module_settings import ModuleSettings
from lightning_resnets.formats.source import FileReader
from lightning_resnets.formats.state_dict import find_state_dict
from lightning_resnets.formats.tensors import TensorView, load_tensors
from lightning_resnets.formats.unsupported import describe_unsupported
from lightning_resnets.utils.format import join_first, printable_key

MAGIC_BYTES = 512  # enough to recognize every format
PICKLE_PROTOCOLS = (b"\2", b"\3", b"\4", b"\5")


@dataclass(frozen=True, slots=True)
class CheckpointContents:
    """A checkpoint's contents, read and checked; nothing of it was executed.

    Attributes:
        format: "PyTorch zip", "PyTorch before 1.6", "pickled model", "pickled arrays",
            "safetensors", "NumPy npz" or "PyTorch distributed"; with the number of shards.
        state_dict: tensors in memory of their own, under the file's own names. Only the wrapper is
            removed.
        wrapper: where the weights lie in the file (`state_dict`, `model.state_dict`), or "".
        card: the model card's entries, or None.
        metadata: plain values beside the weights (`arch`, `epoch`, `args`), in JSON types.
        notes: sentences that the user should see.
        nbytes: size of all files that were read, in bytes.
        other_models: names of other entries that hold weights, for `select`.
        module: class of a whole pickled model, or "".
        settings: strides, pools and so on of a whole pickled model, by the module's path.
    """

    format: str
    state_dict: dict[str, Tensor]
    wrapper: str = ""
    card: Mapping[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()
    nbytes: int = 0
    other_models: tuple[str, ...] = ()
    module: str = ""
    settings: Mapping[str, ModuleSettings] = field(default_factory=dict[str, ModuleSettings])


def read_contents(
    source: FileReader, suffix: str, budget: Budget, select: str = ""
) -> CheckpointContents:
    """Recognize the format by the first bytes and read the file.

    Args:
        source: the file.
        suffix: ending of its name in lower case, with the dot.
        budget: charged for everything that is read.
        select: name of the entry that holds the weights, if the user gives one.

    Returns:
        Its contents.

    Raises:
        UnsupportedFileError: the file is damaged, hostile or of another format.
    """
    head = source.read(0, min(MAGIC_BYTES, source.size))
    if head.startswith(b"PK\x03\x04"):
        members = zip_archive.list_members(source)
        # torch.save and numpy.savez both write zip archives.
        if zip_archive.archive_kind(members) == "numpy":
            return _from_npz(source, *arrays.read_npz(source, members, budget), budget)
        file = torch_save.read_zip(source, members, budget)
        return contents_of_pickle(file, source.size, budget, select)
    # Every pickle since protocol 2 starts with byte 80 and its protocol.
    # The length of a safetensors header may start with the byte of a pickle.
    has_json = head[8:9] == b"{"
    is_safetensors = has_json and int.from_bytes(head[:8], "little") <= source.size - 8
    if not is_safetensors and head[:1] == b"\x80" and head[1:2] in PICKLE_PROTOCOLS:
        file = torch_save.read_pickle(source, budget)
        return contents_of_pickle(file, source.size, budget, select)
    if suffix == ".safetensors" or has_json:
        return _from_safetensors(source, *arrays.read_safetensors(source), budget)
    raise UnsupportedFileError(describe_unsupported(head, suffix))


def contents_of_pickle(
    file: torch_save.PickledFile, nbytes: int, budget: Budget, select: str = ""
) -> CheckpointContents:
    """Find the weights in a pickle's value and read them.

    Args:
        file: the value, and how to read its tensors.
        nbytes: size of the file.
        budget: charged for everything that is read.
        select: name of the entry that holds the weights, if the user gives one.

    Returns:
        The contents.

    Raises:
        UnsupportedFileError: there are no weights, or they are damaged.
    """
    choice = find_state_dict(file.value, budget, select)
    _require_weights(choice.views)
    # Only what belongs to the model is read; optimizer states stay on the disk.
    weights = file.load(choice.views)
    metadata = extract_metadata(file.value, choice.wrapper)
    # Training scripts often save an accuracy as a tensor.
    scalars = file.load(extract_scalars(file.value, choice.wrapper))
    metadata |= {name: scalar.item() for name, scalar in scalars.items()}
    # Only this package writes a model card.
    card = file.value.get("card") if isinstance(file.value, dict) else None
    return CheckpointContents(
        format="pickled model" if choice.module else file.format,
        state_dict=weights,
        wrapper=choice.wrapper,
        card=card if isinstance(card, dict) else None,
        metadata=metadata,
        notes=(*_opaque_notes(choice.module, file.opaque_names), *choice.notes),
        nbytes=nbytes,
        other_models=choice.others,
        module=choice.module,
        settings=choice.settings,
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
    source: FileReader, views: dict[str, TensorView], card: dict[str, Any] | None, budget: Budget
) -> CheckpointContents:
    """Read the tensors of a safetensors file."""
    _require_weights(views)
    weights = load_tensors(views, arrays.storage_extent, source, budget)
    return CheckpointContents("safetensors", weights, card=card, nbytes=source.size)


def _from_npz(
    source: FileReader, views: dict[str, TensorView], others: tuple[str, ...], budget: Budget
) -> CheckpointContents:
    """Read the arrays of an .npz file."""
    _require_weights(views)
    weights = load_tensors(views, arrays.storage_extent, source, budget)
    notes: tuple[str, ...] = ()
    if others:
        note = (
            f"The file also contains '{printable_key(others[0])}', which is not an array of "
            "numbers. It was ignored and nothing was executed."
        )
        notes = (note,)
    return CheckpointContents("NumPy npz", weights, notes=notes, nbytes=source.size)


def _require_weights(views: Mapping[str, TensorView]) -> None:
    """Raise if a file has no tensors."""
    if not views:
        raise UnsupportedFileError(
            "contains no weights. Save the model's state_dict(), with its arrays of numbers."
        )
