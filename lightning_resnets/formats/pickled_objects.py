"""Inert records of the objects that a pickle names: global names, unknown objects, NumPy values."""

from dataclasses import dataclass
from typing import Any

import torch

from lightning_resnets.formats.tensors import (
    Storage,
    TensorView,
    contiguous_strides,
    is_valid_shape,
    make_view,
)
from lightning_resnets.utils.format import printable_key

NUMPY_DTYPES = {
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
    "i1": torch.int8,
    "i2": torch.int16,
    "i4": torch.int32,
    "i8": torch.int64,
    "u1": torch.uint8,
    "b1": torch.bool,
    "c8": torch.complex64,
    "c16": torch.complex128,
}


@dataclass(frozen=True, slots=True)
class GlobalName:
    """A class or function that a pickle names; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        """Return the name as `module.name`, printable."""
        return printable_key(f"{self.module}.{self.name}")


class OpaqueObject:
    """An object of an unknown class: its name, arguments and state."""

    __slots__ = ("arguments", "name", "state")

    def __init__(self, name: GlobalName, arguments: tuple[Any, ...]) -> None:
        self.name = name
        self.arguments = arguments
        self.state = None

    def set_state(self, state: Any) -> None:
        """Store the state of the pickle's BUILD opcode.

        Args:
            state: any value.
        """
        self.state = state


class NumpyDtype:
    """A NumPy dtype: `code` such as f4, and its byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        # The other arguments say how to align and copy.
        self.code = code if isinstance(code, str) else ""
        self.order = "<"

    def set_state(self, state: Any) -> None:
        """Take the byte order from the pickled state.

        Args:
            state: NumPy's tuple (version, byte order, ...).
        """
        # Without a byte order the numbers are taken as big-endian, which no view can show.
        self.order = ">"
        if isinstance(state, tuple) and len(state) > 1:
            self.order = state[1]  # type: ignore[misc] - pyright counts tuple() in

    @property
    def torch_dtype(self) -> torch.dtype | None:
        """Return torch's dtype; None for big-endian numbers and for anything else."""
        # "|" is a single byte without order, "=" is the writer's own order.
        return NUMPY_DTYPES.get(self.code) if self.order in ("<", "|", "=") else None


class NumpyArray:
    """A NumPy array whose bytes are inside the pickle."""

    __slots__ = ("data", "dtype", "fortran", "size")

    def __init__(
        self, data: Any = None, dtype: Any = None, size: Any = None, order: Any = "C"
    ) -> None:
        self.data = data
        self.dtype = dtype
        self.size = size
        self.fortran = order == "F"

    def set_state(self, state: Any) -> None:
        """Take shape, dtype and bytes from the pickled state.

        Args:
            state: NumPy's tuple (version, shape, dtype, is_fortran, bytes).
        """
        if isinstance(state, tuple) and len(state) == 5:
            _, self.size, self.dtype, self.fortran, self.data = state

    def as_view(self) -> TensorView | None:
        """Return the array as a tensor view; None if its dtype or shape is not supported."""
        dtype = self.dtype.torch_dtype if isinstance(self.dtype, NumpyDtype) else None
        if dtype is None or not isinstance(self.data, (bytes, bytearray, str)):
            return None
        if not isinstance(self.size, tuple) or not is_valid_shape(self.size):
            return None
        storage = Storage(data=self.data)
        stride = contiguous_strides(self.size, bool(self.fortran))
        return make_view(storage, dtype, 0, self.size, stride)
