"""Read tensors that a file describes: check each view against its storage, copy it to memory."""

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

MAX_DIMS = 16  # torch allows 64; no model has more than 6
MAX_SIDE = 2**40  # elements along one dimension of an array
MAX_ELEMENTS = 2**48  # for any offset, size or stride

# Returns a storage's position in the file: start and length in bytes.
StorageLocator = Callable[["Storage"], tuple[int, int]]

NOT_A_TENSOR = "which is not a plain tensor. Save the model's own weights again."


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """Bytes in a file under a `key`, or already in memory; `dtype` where the file gives one."""

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
        """Return the number of elements."""
        return math.prod(self.size)

    def fits_storage(self, nbytes: int) -> bool:
        """Check the view against the length of its storage.

        Args:
            nbytes: length of the storage in bytes.

        Returns:
            True if every element lies inside and there are not more elements than it holds.
        """
        if self.numel == 0:
            return True
        steps = zip(self.size, self.stride, strict=True)
        last = self.offset + sum((side - 1) * stride for side, stride in steps)
        # Expanded tensors (stride 0) would need more memory than the file has.
        return max(last + 1, self.numel) * self.dtype.itemsize <= nbytes


def make_view(
    storage: object, dtype: object, offset: Any, size: object, stride: object
) -> TensorView:
    """Build a view from values that a file gives.

    Args:
        storage: a Storage.
        dtype: a torch.dtype.
        offset: first element.
        size: shape, a tuple or list.
        stride: elements between neighbors, one per dimension.

    Returns:
        The view.

    Raises:
        ValueError: a value has the wrong type or range.
    """
    shape = _as_dims(size)
    strides = _as_dims(stride)
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or not isinstance(dtype, torch.dtype):
        raise ValueError
    if len(shape) != len(strides) or not all(map(_is_count, numbers)):
        raise ValueError
    return TensorView(storage, dtype, offset, shape, strides)


def _as_dims(value: object) -> tuple[Any, ...]:
    """Return a shape or stride as a tuple; raise ValueError if it is not one."""
    if not isinstance(value, (tuple, list)) or len(value) > MAX_DIMS:
        raise ValueError
    return tuple(value)


def _is_count(number: Any) -> bool:
    """Return True for a plain number of elements."""
    return type(number) is int and 0 <= number < MAX_ELEMENTS


def is_valid_shape(size: tuple[Any, ...]) -> bool:
    """Check an array's shape.

    Args:
        size: shape as a file gives it.

    Returns:
        True if it has at most MAX_DIMS plain, nonnegative integers.
    """
    if len(size) > MAX_DIMS:
        return False
    return all(type(side) is int and 0 <= side < MAX_SIDE for side in size)


def contiguous_strides(size: tuple[int, ...], fortran: bool = False) -> tuple[int, ...]:
    """Return the strides of an array without gaps.

    Args:
        size: shape.
        fortran: the first dimension varies fastest, not the last.

    Returns:
        Elements between neighbors, one number per dimension.
    """
    if fortran:
        return contiguous_strides(size[::-1])[::-1]
    if not size:
        return ()
    # The product of all later dimensions, from the last to the first.
    later = (max(side, 1) for side in size[:0:-1])
    return (*accumulate(later, operator.mul, initial=1),)[::-1]


def load_tensors(
    views: Mapping[str, TensorView], locate: StorageLocator, source: FileReader
) -> dict[str, Tensor]:
    """Read tensors; each storage is read once, so shared memory stays shared.

    Args:
        views: views by name.
        locate: returns a storage's start and length in bytes.
        source: the file.

    Returns:
        Tensors on the CPU in memory of their own, by name.

    Raises:
        UnsupportedFileError: a view does not fit its storage, or the file is truncated.
    """
    memory = dict[Any, Tensor]()
    tensors = dict[str, Tensor]()
    for name, view in views.items():
        tensors[name] = _load_tensor(name, view, locate, source, memory)
    return tensors


def _load_tensor(
    name: str,
    view: TensorView,
    locate: StorageLocator,
    source: FileReader,
    memory: dict[Any, Tensor],
) -> Tensor:
    """Read one tensor; `memory` keeps the storages that were read before."""
    data = view.storage.data
    if data is not None:
        start, nbytes = 0, len(data)
        key: Any = id(data)
    else:
        start, nbytes = locate(view.storage)
        key = ("", view.storage.key)
    if not view.fits_storage(nbytes):
        raise UnsupportedFileError(f"contains '{printable_key(name)}', {NOT_A_TENSOR}")
    if key not in memory:
        read = _read_storage(source, start, nbytes) if data is None else _copy_bytes(data)
        memory[key] = read
    # set_ makes a view of the bytes without a copy.
    tensor = torch.empty(0, dtype=view.dtype, device="cpu")
    offset = view.offset if view.numel else 0
    return tensor.set_(memory[key].untyped_storage(), offset, view.size, view.stride)


def _read_storage(source: FileReader, start: int, nbytes: int) -> Tensor:
    """Read bytes of the file into new memory."""
    memory = torch.empty(nbytes, dtype=torch.uint8, device="cpu")
    if nbytes:
        source.read_into(start, memory.numpy().data)
    return memory


def _copy_bytes(data: bytes | str) -> Tensor:
    """Copy bytes (or Latin-1 text) into new memory."""
    return torch.from_numpy(np.frombuffer(as_bytes(data), np.uint8).copy())


def as_bytes(data: bytes | str) -> bytes:
    """Return bytes that Python 2 may have pickled as Latin-1 text.

    Args:
        data: bytes or text.

    Returns:
        The bytes.
    """
    return data.encode("latin-1") if isinstance(data, str) else data


def printable_key(name: object) -> str:
    """Format a name from a file for a message.

    Args:
        name: anything that a file uses as a key.

    Returns:
        At most 60 printable characters.
    """
    text = "".join(char if char.isprintable() else "?" for char in str(name)[:60])
    return text or "(empty name)"
