"""Read tensors that a file describes: check each view against its storage, copy it to memory."""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.budget import Budget
from lightning_resnets.formats.source import Extent, FileReader
from lightning_resnets.utils.format import printable_key

MAX_DIMS = 16  # torch allows 64; no model has more than 6
MAX_SIDE = 2**40  # elements along one dimension of an array
MAX_ELEMENTS = 2**48  # for any offset, size or stride

# Returns a storage's position in the file.
StorageLocator = Callable[["Storage"], Extent]

NOT_A_TENSOR = "which is not a plain tensor. Save the model's own weights again."


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """Bytes in a file under a `key`, or already in memory; `dtype` where the file gives one."""

    key: Any = None
    dtype: torch.dtype | None = None
    data: bytes | bytearray | str | None = None  # Python 2 pickled bytes as text: Latin-1


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
        # An empty view reads nothing, wherever it lies.
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
    if not isinstance(storage, Storage) or not isinstance(dtype, torch.dtype):
        raise ValueError
    if len(shape) != len(strides) or not all(map(_is_count, (offset, *shape, *strides))):
        raise ValueError
    return TensorView(storage, dtype, offset, shape, strides)


def _as_dims(value: object) -> tuple[Any, ...]:
    """Return a shape or stride as a tuple; raise ValueError if it is not one."""
    if not isinstance(value, (tuple, list)) or len(value) > MAX_DIMS:
        raise ValueError
    return tuple(value)


def _is_count(number: Any) -> bool:
    """Return True for a plain number of elements."""
    # isinstance would accept True, and torch's positions have 64 bits.
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
    views: Mapping[str, TensorView], locate: StorageLocator, source: FileReader, budget: Budget
) -> dict[str, Tensor]:
    """Read tensors; each storage is read once, so shared memory stays shared.

    Args:
        views: views by name.
        locate: returns the position of a storage in the file.
        source: the file.
        budget: charged for storages, and for views that differ.

    Returns:
        Tensors on the CPU in memory of their own, by name. Equal views are one tensor.

    Raises:
        UnsupportedFileError: a view does not fit its storage, a checksum does not match, or the
            file is truncated.
    """
    loader = _TensorLoader(locate, source, budget)
    return {name: loader.load(name, view) for name, view in views.items()}


class _TensorLoader:
    """Reads tensors and keeps the storages and tensors that were read before."""

    def __init__(self, locate: StorageLocator, source: FileReader, budget: Budget) -> None:
        self._locate = locate
        self._source = source
        self._budget = budget
        self._storages = dict[Any, Tensor]()
        self._tensors = dict[Any, Tensor]()

    def load(self, name: str, view: TensorView) -> Tensor:
        """Return the tensor of a view, read once.

        Args:
            name: name of the tensor, for messages.
            view: the view.

        Returns:
            A tensor on the CPU.
        """
        storage = view.storage
        # Two records may have one key, with different dtypes.
        storage_key = ("", storage.key) if storage.data is None else id(storage.data)
        key = (storage_key, view.dtype, view.offset, view.size, view.stride)
        if key not in self._tensors:
            memory = self._read(name, view, storage_key)
            self._budget.cover(view.numel * view.dtype.itemsize)
            # set_ makes a view of the bytes without a copy.
            tensor = torch.empty(0, dtype=view.dtype, device="cpu")
            offset = view.offset if view.numel else 0
            tensor.set_(memory.untyped_storage(), offset, view.size, view.stride)
            self._tensors[key] = tensor
        return self._tensors[key]

    def _read(self, name: str, view: TensorView, storage_key: Any) -> Tensor:
        """Return the bytes of a view's storage, read once; raise if the view does not fit."""
        data = view.storage.data
        extent = self._locate(view.storage) if data is None else Extent(0, len(data))
        if not view.fits_storage(extent.nbytes):
            raise UnsupportedFileError(f"contains '{printable_key(name)}', {NOT_A_TENSOR}")
        if storage_key not in self._storages:
            self._storages[storage_key] = self._read_new(name, data, extent)
        return self._storages[storage_key]

    def _read_new(self, name: str, data: bytes | bytearray | str | None, extent: Extent) -> Tensor:
        """Read bytes that were not read before."""
        # Unpacked arrays are already in memory of their own.
        if not isinstance(data, bytearray):
            self._budget.allocate(extent.nbytes)
        if data is not None:
            return _own_bytes(data)
        return _read_extent(self._source, extent, name)


def _read_extent(source: FileReader, extent: Extent, name: str) -> Tensor:
    """Read bytes of the file into new memory and compare them with their checksum."""
    memory = torch.empty(extent.nbytes, dtype=torch.uint8, device="cpu")
    if extent.nbytes:
        data = memory.numpy().data
        source.read_into(extent.start, data)
        extent.check(data, name)
    return memory


def _own_bytes(data: bytes | bytearray | str) -> Tensor:
    """Return bytes (or Latin-1 text) in writable memory; only a bytearray is not copied."""
    if not isinstance(data, bytearray):
        data = bytearray(as_bytes(data))
    # torch.frombuffer takes no empty buffer.
    return torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)


def as_bytes(data: bytes | str) -> bytes:
    """Return bytes that Python 2 may have pickled as Latin-1 text.

    Args:
        data: bytes or text.

    Returns:
        The bytes.
    """
    return data.encode("latin-1") if isinstance(data, str) else data
