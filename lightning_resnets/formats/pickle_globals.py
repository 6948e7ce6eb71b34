"""Interpret the global names of a pickle: tensors and plain values for known ones, else records.

Nothing here calls what a name refers to.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from lightning_resnets.formats.pickled_objects import (
    GlobalName,
    NumpyArray,
    NumpyDtype,
    OpaqueObject,
)
from lightning_resnets.formats.tensors import TensorView, as_bytes, make_view
from lightning_resnets.formats.unsafe_globals import program_code_error

MAX_ARGUMENTS = 16  # of a known function
MAX_HASHED_INT = 2**60

HASHABLE_TYPES = (str, int, float, bool, bytes, type(None))

STORAGE_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}
# The wide unsigned types have no storage class of their own.
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (*STORAGE_DTYPES.values(), torch.uint16, torch.uint32, torch.uint64)
}
TENSOR_CLASSES = (
    ("torch", "Tensor"),
    ("torch.nn.parameter", "Parameter"),
    ("torch.nn.parameter", "Buffer"),
)


def hashable_key(value: Any) -> Any:
    """Return a value that may be a dictionary key or a set's member.

    Args:
        value: anything from the pickle.

    Returns:
        The value if it hashes quickly, else an opaque object; a nested tuple may take forever.
    """
    # Large integers may be chosen to have one hash.
    is_large = type(value) is int and abs(value) >= MAX_HASHED_INT
    if type(value) in HASHABLE_TYPES and not is_large:
        return value
    # Opaque objects hash by identity.
    if isinstance(value, OpaqueObject):
        return value
    return OpaqueObject(GlobalName("", "key"), ())


def build_known(function: GlobalName | OpaqueObject, arguments: tuple[Any, ...]) -> Any:
    """Return the result of a call that a pickle asks for, without making the call.

    Args:
        function: name of a class or function, or an opaque object.
        arguments: positional arguments.

    Returns:
        Our own data if the name is known and the arguments are valid, else an OpaqueObject.

    Raises:
        UnsupportedFileError: the pickle calls an attribute that it looked up.
    """
    if isinstance(function, OpaqueObject):
        # Python 3.11.0 pickles enums by getattr but never calls the result; an attack does.
        if function.name.name == "getattr":
            raise program_code_error(function.name)
        return OpaqueObject(function.name, arguments)
    build = KNOWN_GLOBALS.get((function.module, function.name))
    if build is not None and len(arguments) <= MAX_ARGUMENTS:
        # Arguments that the real function would not take leave the object opaque.
        with suppress(TypeError, ValueError, OverflowError):
            return build(*arguments)
    return OpaqueObject(function, arguments)


def _build_dict(items: Any = (), *_: Any) -> dict[Any, Any]:
    """Build a dictionary from a dictionary or from pairs."""
    if isinstance(items, dict):
        return items
    return dict(map(_as_pair, _as_items(items)))


def _as_pair(pair: Any) -> tuple[Any, Any]:
    """Return a key and its value."""
    name, value = _as_items(pair)
    return hashable_key(name), value


def _as_items(items: Any) -> Any:
    """Return a container of values; raise TypeError for text, bytes and tables.

    Python iterates over those too, but no pickle builds a container from them.
    """
    if not isinstance(items, (list, tuple, set, frozenset)):
        raise TypeError
    return items


def _build_defaultdict(_: Any = None, items: Any = ()) -> dict[Any, Any]:
    """Build a dictionary; the factory for missing keys is ignored."""
    return _build_dict(items)


def _build_set(items: Any = ()) -> set[Any]:
    """Build a set."""
    return set(map(hashable_key, _as_items(items)))


def _build_frozenset(items: Any = ()) -> frozenset[Any]:
    """Build a frozen set."""
    return frozenset(map(hashable_key, _as_items(items)))


def _build_complex(real: Any, imaginary: Any = 0.0) -> complex:
    """Build a complex number."""
    if not isinstance(real, (int, float)) or not isinstance(imaginary, (int, float)):
        raise TypeError
    return complex(real, imaginary)


def _build_size(items: Any = ()) -> tuple[Any, ...]:
    """Build a torch.Size as a tuple."""
    return tuple(_as_items(items))


def _build_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> TensorView:
    """Build a tensor whose storage knows the dtype."""
    return make_view(storage, getattr(storage, "dtype", None), offset, size, stride)


def _build_typed_tensor(
    storage: Any, offset: Any, size: Any, stride: Any, _: Any, __: Any, dtype: Any, *___: Any
) -> TensorView:
    """Build a tensor whose dtype is an argument of its own."""
    is_torch = isinstance(dtype, GlobalName) and dtype.module == "torch"
    return make_view(storage, DTYPES.get(dtype.name) if is_torch else None, offset, size, stride)


def _build_parameter(data: Any, *_: Any) -> TensorView:
    """Return the tensor inside a Parameter."""
    if not isinstance(data, TensorView):
        raise TypeError
    return data


def _build_tensor_subclass(function: Any, kind: Any, arguments: Any, *_: Any) -> TensorView:
    """Build a tensor that was pickled with attributes of its own, which are ignored."""
    if not isinstance(function, GlobalName) or not isinstance(kind, GlobalName):
        raise TypeError
    if (kind.module, kind.name) not in TENSOR_CLASSES:
        raise TypeError
    # Parameters are rebuilt by a function with fewer arguments.
    builders = {"_rebuild_tensor_v2": _build_tensor, "_rebuild_tensor_v3": _build_typed_tensor}
    return builders.get(function.name, _build_parameter)(*arguments[:8])


def _build_numpy_scalar(dtype: Any, data: Any) -> Any:
    """Build a number from NumPy's scalar, at most 16 bytes."""
    if not isinstance(dtype, NumpyDtype) or not dtype.torch_dtype or len(data) > 16:
        raise TypeError
    return np.frombuffer(as_bytes(data), dtype.code).item()


def _keep_text(value: Any, *_: Any) -> str:
    """Keep bytes that were pickled as Latin-1 text; a copy of each could fill the memory."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _build_reconstructed(kind: Any, base: Any, state: Any = None) -> OpaqueObject:
    """Record an object that Python's copyreg would rebuild."""
    if not isinstance(kind, GlobalName):
        raise TypeError
    return OpaqueObject(kind, (base, state))


Builder = Callable[..., Any]


def _register(modules: str, names: str, build: Builder) -> dict[tuple[str, str], Builder]:
    """Return the same builder for every name in every module, both separated by spaces."""
    known = dict[tuple[str, str], Builder]()
    for module in modules.split():
        for name in names.split():
            known[module, name] = build
    return known


BUILTINS = "builtins __builtin__"  # Python 3 and 2
NUMPY_MULTIARRAY = "numpy.core.multiarray numpy._core.multiarray"  # NumPy 1 and 2

# What checkpoints of torch, NumPy and Python's collections refer to.
KNOWN_GLOBALS: dict[tuple[str, str], Builder] = {
    **_register("collections", "OrderedDict Counter", _build_dict),
    **_register("collections", "defaultdict", _build_defaultdict),
    **_register(BUILTINS, "set", _build_set),
    **_register(BUILTINS, "frozenset", _build_frozenset),
    **_register(BUILTINS, "complex", _build_complex),
    **_register(BUILTINS, "bytes", lambda: b""),
    **_register("copyreg copy_reg", "_reconstructor", _build_reconstructed),
    **_register("_codecs", "encode", _keep_text),
    **_register("torch", "Size", _build_size),
    **_register("torch", "device", _keep_text),
    **_register("torch._utils", "_rebuild_tensor _rebuild_tensor_v2", _build_tensor),
    **_register("torch._utils", "_rebuild_tensor_v3", _build_typed_tensor),
    **_register(
        "torch._utils", "_rebuild_parameter _rebuild_parameter_with_state", _build_parameter
    ),
    **_register("torch._tensor", "_rebuild_from_type_v2", _build_tensor_subclass),
    **_register("numpy", "dtype", NumpyDtype),
    **_register(NUMPY_MULTIARRAY, "scalar", _build_numpy_scalar),
    **_register(NUMPY_MULTIARRAY, "_reconstruct", lambda *_: NumpyArray()),
    **_register("numpy.core.numeric numpy._core.numeric", "_frombuffer", NumpyArray),
}
