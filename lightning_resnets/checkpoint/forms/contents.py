"""What a file holds, whatever its form: weights under the file's own names, its card, and plain values beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from lightning_resnets.checkpoint.card import CheckpointError
from lightning_resnets.checkpoint.forms import archive, arrays, torchfile
from lightning_resnets.checkpoint.forms.beside import plain_values, single_numbers
from lightning_resnets.checkpoint.forms.choosing import choose
from lightning_resnets.checkpoint.forms.files import BROKEN, Refused, Source, opened, why_not
from lightning_resnets.checkpoint.forms.storages import View, shown, tensors

HEAD = 512  # bytes that tell what a file is


@dataclass(frozen=True, slots=True)
class Contents:
    """A file read and checked, nothing of it run.

    `form` says in words what the file is ("PyTorch zip", "PyTorch before 1.6", "pickled model", "pickled arrays",
    "safetensors", "NumPy npz"). `weights` are plain tensors in memory of their own under the file's names, the wrapper
    (`state_dict`, `model.state_dict`; "" for none) taken off and nothing else. `card` is the card's table where there
    is one. `also` holds the plain values beside the weights (`arch`, `epoch`, `args`), of JSON types, `notes` sentences
    worth showing.
    """

    form: str
    weights: dict[str, Tensor]
    wrapper: str = ""
    card: Mapping[str, Any] | None = None
    also: dict[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()


def contents(path: Path) -> Contents:
    """Read a file of any known form; raises CheckpointError, one sentence that names the remedy."""
    try:
        with opened(path) as source:
            return _contents(source, path.suffix.lower())
    except Refused as refused:
        raise CheckpointError(f"'{path.name}' {refused}") from None
    except CheckpointError:
        raise
    except Exception:  # noqa: BLE001 - whatever a hostile file provokes ends as a sentence
        raise CheckpointError(f"'{path.name}' {BROKEN}") from None


def _contents(source: Source, suffix: str) -> Contents:
    head = source.read(0, min(HEAD, source.size))
    if head.startswith(b"PK\x03\x04"):
        listed = archive.members(source)
        if archive.kind(listed) == "numpy":
            return _npz(source, *arrays.from_npz(source, listed))
        return _pickled(source, torchfile.from_zip(source, listed))
    begins = head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= source.size - 8
    if not begins and head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return _pickled(source, torchfile.from_pickle(source))
    if suffix == ".safetensors" or head[8:9] == b"{":
        return _safetensors(source, *arrays.from_safetensors(source))
    raise Refused(why_not(head, suffix))


def _pickled(source: Source, found: torchfile.Pickled) -> Contents:
    choice = choose(found.value)
    _some(choice.views)
    notes = (*(_remark(choice.module, found.foreign)), *choice.notes)
    weights = tensors(choice.views, found.where, source)
    also = plain_values(found.value, choice.wrapper)
    numbers = tensors(single_numbers(found.value, choice.wrapper), found.where, source)  # an accuracy is often a tensor
    also |= {name: number.item() for name, number in numbers.items()}
    card = found.value.get("card") if isinstance(found.value, dict) else None
    return Contents(
        form="pickled model" if choice.module else found.form,
        weights=weights,
        wrapper=choice.wrapper,
        card=card if isinstance(card, dict) else None,
        also=also,
        notes=notes,
    )


def _remark(module: str, foreign: tuple[str, ...]) -> tuple[str, ...]:
    """What was not looked into."""
    if module:
        return (f"The file is a whole pickled net ({module}): its weights were read, nothing of its program was run.",)
    if not foreign:
        return ()
    more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
    return (
        f"The file also holds program objects ({', '.join(foreign[:3])}{more}); they were left out, nothing was run.",
    )


def _safetensors(source: Source, views: dict[str, View], card: dict[str, Any] | None) -> Contents:
    _some(views)
    return Contents("safetensors", tensors(views, arrays.place, source), card=card)


def _npz(source: Source, views: dict[str, View], others: tuple[str, ...]) -> Contents:
    _some(views)
    notes = (
        (f"The file also holds what is no array of numbers ('{shown(others[0])}'); it was left out, nothing was run.",)
        if others
        else ()
    )
    return Contents("NumPy npz", tensors(views, arrays.place, source), notes=notes)


def _some(views: Mapping[str, View]) -> None:
    if not views:
        raise Refused("holds no weights: save the net's state_dict(), with its arrays of numbers.")
