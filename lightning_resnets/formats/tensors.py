"""Weights as a file describes them: views of storages, checked against the bytes there, read into fresh memory."""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.source import FileReader

MAX_DIMS = 16  # dimensions; torch itself allows 64, no model has more than 6


StorageLocator = Callable[
    ["Storage"], tuple[int, int]
]  # a storage's place in the file: start, bytes


NOT_A_TENSOR = "which is no plain tensor: save the model's own weights again."


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """Bytes in a file under a `key`, or held here already; `dtype` where the file gives one."""

    key: Any = None
    dtype: torch.dtype | None = None
    data: bytes | str | None = None  # Python 2 pickled bytes as text: Latin-1


@dataclass(frozen=True, slots=True, eq=False)
class TensorView:
    """A tensor not yet read: elements of a storage. `offset` and `stride` count elements."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def numel(self) -> int:
        return math.prod(self.size)

    def fits(self, nbytes: int) -> bool:
        """Whether every element lies in a storage so long, and there are no more elements than it holds."""
        if self.numel == 0:
            return True
        last = self.offset + sum(
            (side - 1) * step for side, step in zip(self.size, self.stride, strict=True)
        )
        return max(last + 1, self.numel) * self.dtype.itemsize <= nbytes


def make_view(
    storage: object, dtype: object, offset: Any, size: object, stride: object
) -> TensorView:
    """A view of plain, sane numbers; raises ValueError for anything else."""
    if not isinstance(storage, Storage) or not isinstance(dtype, torch.dtype):
        raise ValueError
    numbers = (offset, *_sides(size), *_sides(stride))
    if len(_sides(size)) != len(_sides(stride)) or not all(
        type(n) is int and 0 <= n < 2**48 for n in numbers
    ):
        raise ValueError
    return TensorView(storage, dtype, offset, _sides(size), _sides(stride))


def _sides(value: object) -> tuple[Any, ...]:
    if not isinstance(value, (tuple, list)) or len(value) > MAX_DIMS:
        raise ValueError
    return tuple(value)


def contiguous_strides(size: tuple[int, ...], fortran: bool = False) -> tuple[int, ...]:
    """The strides of an array without gaps, last side fastest (first side with `fortran`)."""
    if fortran:
        return contiguous_strides(size[::-1])[::-1]
    return (
        (*accumulate((max(side, 1) for side in size[:0:-1]), operator.mul, initial=1),)[::-1]
        if size
        else ()
    )


def load_tensors(
    views: Mapping[str, TensorView], where: Callable[[Storage], tuple[int, int]], source: FileReader
) -> dict[str, Tensor]:
    """Read the storages behind `views`, each once; raises Refused for a tensor that its storage does not hold."""
    read = dict[Any, Tensor]()
    out = dict[str, Tensor]()
    for name, item in views.items():
        held = item.storage.data is not None
        start, nbytes = (0, len(item.storage.data or "")) if held else where(item.storage)
        if not item.fits(nbytes):
            raise UnsupportedFileError(f"holds '{printable_key(name)}', {NOT_A_TENSOR}")
        key = id(item.storage.data) if held else ("", item.storage.key)
        if key not in read:
            read[key] = _copied(item.storage.data) if held else _filled(source, start, nbytes)
        blank = torch.empty(0, dtype=item.dtype, device="cpu")
        offset = item.offset if item.numel else 0
        out[name] = blank.set_(read[key].untyped_storage(), offset, item.size, item.stride)
    return out


def _filled(source: FileReader, start: int, nbytes: int) -> Tensor:
    memory = torch.empty(nbytes, dtype=torch.uint8, device="cpu")
    if nbytes:
        source.read_into(start, memory.numpy().data)
    return memory


def _copied(data: bytes | str | None) -> Tensor:
    held = data.encode("latin-1") if isinstance(data, str) else data or b""
    return torch.from_numpy(np.frombuffer(held, np.uint8).copy())


def printable_key(name: object) -> str:
    """A name out of a file, fit to stand in a sentence: short and printable."""
    text = "".join(sign if sign.isprintable() else "?" for sign in str(name)[:60])
    return text or "a name of no letters"
