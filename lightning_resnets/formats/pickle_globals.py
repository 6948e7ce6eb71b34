"""What names in a checkpoint's pickle stand for: tensors and plain values for the few we know, else inert records.

Nothing here calls what a name says. A name that only an attack has there refuses the whole file: it would do no harm
in this reader, but whoever opened the file with another one should hear of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.tensors import (
    MAX_DIMS,
    Storage,
    TensorView,
    contiguous_strides,
    make_view,
    printable_key,
)

MAX_NAME = 200


HASHABLE_TYPES = (str, int, float, bool, bytes, type(None))


OS_MODULES = "os posix nt subprocess pty shutil socket commands popen2 sys platform"


CODE_RUNNING_MODULES = "runpy importlib imp pkgutil marshal pickle _pickle cPickle dill code codeop timeit pdb bdb cProfile profile trace"


OTHER_UNSAFE_MODULES = "ctypes webbrowser asyncio multiprocessing _posixsubprocess pip ensurepip urllib requests http ftplib tempfile"


UNSAFE_MODULES = frozenset(
    f"{OS_MODULES} {CODE_RUNNING_MODULES} {OTHER_UNSAFE_MODULES} torch.hub torch.utils.cpp_extension doctest pydoc signal".split()
)


UNSAFE_BUILTIN_NAMES = "eval exec execfile compile open file input raw_input __import__ breakpoint globals locals vars setattr apply"


UNSAFE_BUILTINS = frozenset(f"{UNSAFE_BUILTIN_NAMES} delattr exit quit".split())


UNSAFE_ATTRIBUTE_NAMES = "system popen Popen eval exec execfile __import__ import_module"


UNSAFE_ATTRIBUTES = frozenset(f"{UNSAFE_ATTRIBUTE_NAMES} __globals__ __builtins__ load".split())


@dataclass(frozen=True, slots=True)
class GlobalName:
    """A name, never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return printable_key(f"{self.module}.{self.name}")


class OpaqueObject:
    """An object of a class that we do not know: its name, and what it would have been made of."""

    __slots__ = ("arguments", "name", "state")

    def __init__(self, name: GlobalName, arguments: tuple[Any, ...]) -> None:
        self.name, self.arguments, self.state = name, arguments, None

    def set_state(self, state: Any) -> None:
        self.state = state


class NumpyDtype:
    """A NumPy dtype: `code` such as f4, and its byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code if isinstance(code, str) else "", "<"

    def set_state(self, state: Any) -> None:
        self.order = state[1] if isinstance(state, tuple) and len(state) > 1 else ">"

    @property
    def torch_dtype(self) -> torch.dtype | None:
        return NUMPY_DTYPES.get(self.code) if self.order in ("<", "|", "=") else None


class NumpyArray:
    """A NumPy array whose bytes the pickle itself holds."""

    __slots__ = ("data", "fortran", "kind", "size")

    def __init__(
        self, data: Any = None, kind: Any = None, size: Any = None, order: Any = "C"
    ) -> None:
        self.data, self.kind, self.size, self.fortran = data, kind, size, order == "F"

    def set_state(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 5:
            _, self.size, self.kind, self.fortran, self.data = state

    def as_view(self) -> TensorView | None:
        """As a tensor not yet made, where it is one."""
        plain = self.kind.torch_dtype if isinstance(self.kind, NumpyDtype) else None
        if (
            plain is None
            or not isinstance(self.data, (bytes, bytearray, str))
            or not isinstance(self.size, tuple)
        ):
            return None
        held = Storage(data=self.data)  # type: ignore[arg-type] - a bytearray serves as bytes do
        if len(self.size) > MAX_DIMS or not all(
            type(side) is int and 0 <= side < 2**40 for side in self.size
        ):
            return None
        return make_view(
            held, plain, 0, self.size, contiguous_strides(self.size, bool(self.fortran))
        )


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


WIDE = (torch.uint16, torch.uint32, torch.uint64)  # kinds without a storage of their own


DTYPES = {
    str(kind).removeprefix("torch."): kind
    for kind in (*STORAGE_DTYPES.values(), torch.uint16, torch.uint32, torch.uint64)
}


TENSOR_CLASSES = (
    ("torch", "Tensor"),
    ("torch.nn.parameter", "Parameter"),
    ("torch.nn.parameter", "Buffer"),
)


def resolve_global(module: Any, name: Any) -> GlobalName:
    """The name as a record; raises Refused where only a program that attacks its reader has such a name."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise TypeError
    module, name = module[:MAX_NAME], name[:MAX_NAME]
    root = module.split(".")[0]
    builtin = root in ("builtins", "__builtin__") and name in UNSAFE_BUILTINS
    inner = "." in name and not UNSAFE_ATTRIBUTES.isdisjoint(name.split("."))
    if (
        root in UNSAFE_MODULES
        or module in UNSAFE_MODULES
        or builtin
        or inner
        or (root == "torch" and name == "load")
    ):
        raise _code(GlobalName({"posix": "os", "nt": "os"}.get(module, module), name))
    return GlobalName(module, name)


def _code(name: GlobalName) -> UnsupportedFileError:
    return UnsupportedFileError(
        f"holds program code beside its weights ({name}) and was not opened; nothing of it was run: get the weights as "
        "safetensors, or save only weights and plain values."
    )


def hashable_key(value: Any) -> Any:
    """What may be a key is what hashes at once: a tuple of tuples of tuples may take for ever."""
    quick = type(value) in HASHABLE_TYPES and not (type(value) is int and abs(value) >= 2**60)
    return value if quick else OpaqueObject(GlobalName("", "key"), ())


def build_known(what: GlobalName | OpaqueObject, arguments: tuple[Any, ...]) -> Any:
    """What the call that a pickle asks for would give: our own data where the name is known, else an Opaque."""
    if isinstance(what, OpaqueObject):
        if (
            what.name.name == "getattr"
        ):  # an enum is named so in Python 3.11.0; an attack calls what it gets
            raise _code(what.name)
        return OpaqueObject(what.name, arguments)
    if (make := KNOWN_GLOBALS.get((what.module, what.name))) and len(arguments) <= 16:
        try:
            return make(*arguments)
        except (TypeError, ValueError):
            pass
    return OpaqueObject(what, arguments)


def _table(items: Any = (), *_: Any) -> dict[Any, Any]:
    return (
        items if isinstance(items, dict) else {hashable_key(name): value for name, value in items}
    )


def _grouped(_: Any = None, items: Any = ()) -> dict[Any, Any]:
    return _table(items)


def _sides(items: Any = ()) -> tuple[Any, ...]:
    return items if isinstance(items, tuple) else tuple(items)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> TensorView:
    return make_view(storage, getattr(storage, "dtype", None), offset, size, stride)


def _typed(
    storage: Any, offset: Any, size: Any, stride: Any, _: Any, __: Any, kind: Any, *___: Any
) -> TensorView:
    plain = (
        DTYPES.get(kind.name) if isinstance(kind, GlobalName) and kind.module == "torch" else None
    )
    return make_view(storage, plain, offset, size, stride)


def _parameter(data: Any, *_: Any) -> TensorView:
    if not isinstance(data, TensorView):
        raise TypeError
    return data


def _with_state(function: Any, kind: Any, arguments: Any, *_: Any) -> TensorView:
    if (
        not isinstance(function, GlobalName)
        or not isinstance(kind, GlobalName)
        or (kind.module, kind.name) not in TENSOR_CLASSES
    ):
        raise TypeError
    return {"_rebuild_tensor_v2": _tensor, "_rebuild_tensor_v3": _typed}.get(
        function.name, _parameter
    )(*arguments[:8])


def _number(kind: Any, data: Any) -> Any:
    held = data.encode("latin-1") if isinstance(data, str) else data
    if not isinstance(kind, NumpyDtype) or not kind.torch_dtype or len(held) > 16:
        raise TypeError
    return np.frombuffer(held, kind.code).item()


def _text(value: Any, *_: Any) -> str:
    """Bytes written as Latin-1 text stay text until they are needed: a copy each time could fill the memory."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _remade(kind: Any, base: Any, state: Any = None) -> OpaqueObject:
    if not isinstance(kind, GlobalName):
        raise TypeError
    return OpaqueObject(kind, (base, state))


def _everywhere(
    modules: str, names: str, make: Callable[..., Any]
) -> dict[tuple[str, str], Callable[..., Any]]:
    return {(module, name): make for module in modules.split() for name in names.split()}


KNOWN_GLOBALS: dict[tuple[str, str], Callable[..., Any]] = {
    **_everywhere("collections", "OrderedDict Counter", _table),
    **_everywhere("collections", "defaultdict", _grouped),
    **_everywhere(
        "builtins __builtin__", "set", lambda items=(): {hashable_key(item) for item in items}
    ),
    **_everywhere(
        "builtins __builtin__",
        "frozenset",
        lambda items=(): frozenset(hashable_key(item) for item in items),
    ),
    **_everywhere(
        "builtins __builtin__",
        "complex",
        lambda real, imaginary=0.0: complex(float(real), float(imaginary)),
    ),
    **_everywhere("builtins __builtin__", "bytes", lambda: b""),
    **_everywhere("copyreg copy_reg", "_reconstructor", _remade),
    **_everywhere("_codecs", "encode", _text),
    **_everywhere("torch", "Size", _sides),
    **_everywhere("torch", "device", _text),
    **_everywhere("torch._utils", "_rebuild_tensor _rebuild_tensor_v2", _tensor),
    **_everywhere("torch._utils", "_rebuild_tensor_v3", _typed),
    **_everywhere("torch._utils", "_rebuild_parameter _rebuild_parameter_with_state", _parameter),
    **_everywhere("torch._tensor", "_rebuild_from_type_v2", _with_state),
    **_everywhere("numpy", "dtype", NumpyDtype),
    **_everywhere("numpy.core.multiarray numpy._core.multiarray", "scalar", _number),
    **_everywhere(
        "numpy.core.multiarray numpy._core.multiarray", "_reconstruct", lambda *_: NumpyArray()
    ),
    **_everywhere("numpy.core.numeric numpy._core.numeric", "_frombuffer", NumpyArray),
}
