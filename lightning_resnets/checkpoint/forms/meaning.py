"""What names in a checkpoint's pickle stand for: tensors and plain values for the few we know, else inert records.

Nothing here calls what a name says. A name that only an attack has there refuses the whole file: it would do no harm
in this reader, but whoever opened the file with another one should hear of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lightning_resnets.checkpoint.forms.files import Refused
from lightning_resnets.checkpoint.forms.storages import MOST_SIDES, Storage, View, shown, steps, view

LONGEST_NAME = 200
KEYS = (str, int, float, bool, bytes, type(None))
OS = "os posix nt subprocess pty shutil socket commands popen2 sys platform"
RUNNERS = (
    "runpy importlib imp pkgutil marshal pickle _pickle cPickle dill code codeop timeit pdb bdb cProfile profile trace"
)
OTHERS = "ctypes webbrowser asyncio multiprocessing _posixsubprocess pip ensurepip urllib requests http ftplib tempfile"
MODULES = frozenset(f"{OS} {RUNNERS} {OTHERS} torch.hub torch.utils.cpp_extension doctest pydoc signal".split())
BUILT_IN = (
    "eval exec execfile compile open file input raw_input __import__ breakpoint globals locals vars setattr apply"
)
BUILTINS = frozenset(f"{BUILT_IN} delattr exit quit".split())
REACHED = "system popen Popen eval exec execfile __import__ import_module"
INNER = frozenset(f"{REACHED} __globals__ __builtins__ load".split())


@dataclass(frozen=True, slots=True)
class Named:
    """A name, never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return shown(f"{self.module}.{self.name}")


class Opaque:
    """An object of a class that we do not know: its name, and what it would have been made of."""

    __slots__ = ("arguments", "name", "state")

    def __init__(self, name: Named, arguments: tuple[Any, ...]) -> None:
        self.name, self.arguments, self.state = name, arguments, None

    def build(self, state: Any) -> None:
        self.state = state


class Kind:
    """A NumPy dtype: `code` such as f4, and its byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code if isinstance(code, str) else "", "<"

    def build(self, state: Any) -> None:
        self.order = state[1] if isinstance(state, tuple) and len(state) > 1 else ">"

    @property
    def torch(self) -> torch.dtype | None:
        return CODES.get(self.code) if self.order in ("<", "|", "=") else None


class Array:
    """A NumPy array whose bytes the pickle itself holds."""

    __slots__ = ("data", "fortran", "kind", "size")

    def __init__(self, data: Any = None, kind: Any = None, size: Any = None, order: Any = "C") -> None:
        self.data, self.kind, self.size, self.fortran = data, kind, size, order == "F"

    def build(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 5:
            _, self.size, self.kind, self.fortran, self.data = state

    def view(self) -> View | None:
        """As a tensor not yet made, where it is one."""
        plain = self.kind.torch if isinstance(self.kind, Kind) else None
        if plain is None or not isinstance(self.data, (bytes, bytearray, str)) or not isinstance(self.size, tuple):
            return None
        held = Storage(data=self.data)  # type: ignore[arg-type] - a bytearray serves as bytes do
        if len(self.size) > MOST_SIDES or not all(type(side) is int and 0 <= side < 2**40 for side in self.size):
            return None
        return view(held, plain, 0, self.size, steps(self.size, bool(self.fortran)))


CODES = {
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
STORAGES = {
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
    str(kind).removeprefix("torch."): kind for kind in (*STORAGES.values(), torch.uint16, torch.uint32, torch.uint64)
}
TENSORS = (("torch", "Tensor"), ("torch.nn.parameter", "Parameter"), ("torch.nn.parameter", "Buffer"))


def named(module: Any, name: Any) -> Named:
    """The name as a record; raises Refused where only a program that attacks its reader has such a name."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise TypeError
    module, name = module[:LONGEST_NAME], name[:LONGEST_NAME]
    root = module.split(".")[0]
    builtin = root in ("builtins", "__builtin__") and name in BUILTINS
    inner = "." in name and not INNER.isdisjoint(name.split("."))
    if root in MODULES or module in MODULES or builtin or inner or (root == "torch" and name == "load"):
        raise _code(Named({"posix": "os", "nt": "os"}.get(module, module), name))
    return Named(module, name)


def _code(name: Named) -> Refused:
    return Refused(
        f"holds program code beside its weights ({name}) and was not opened; nothing of it was run: get the weights as "
        "safetensors, or save only weights and plain values."
    )


def key(value: Any) -> Any:
    """What may be a key is what hashes at once: a tuple of tuples of tuples may take for ever."""
    quick = type(value) in KEYS and not (type(value) is int and abs(value) >= 2**60)
    return value if quick else Opaque(Named("", "key"), ())


def call(what: Named | Opaque, arguments: tuple[Any, ...]) -> Any:
    """What the call that a pickle asks for would give: our own data where the name is known, else an Opaque."""
    if isinstance(what, Opaque):
        if what.name.name == "getattr":  # an enum is named so in Python 3.11.0; an attack calls what it gets
            raise _code(what.name)
        return Opaque(what.name, arguments)
    if (make := KNOWN.get((what.module, what.name))) and len(arguments) <= 16:
        try:
            return make(*arguments)
        except (TypeError, ValueError):
            pass
    return Opaque(what, arguments)


def _table(items: Any = (), *_: Any) -> dict[Any, Any]:
    return items if isinstance(items, dict) else {key(name): value for name, value in items}


def _grouped(_: Any = None, items: Any = ()) -> dict[Any, Any]:
    return _table(items)


def _sides(items: Any = ()) -> tuple[Any, ...]:
    return items if isinstance(items, tuple) else tuple(items)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> View:
    return view(storage, getattr(storage, "dtype", None), offset, size, stride)


def _typed(storage: Any, offset: Any, size: Any, stride: Any, _: Any, __: Any, kind: Any, *___: Any) -> View:
    plain = DTYPES.get(kind.name) if isinstance(kind, Named) and kind.module == "torch" else None
    return view(storage, plain, offset, size, stride)


def _parameter(data: Any, *_: Any) -> View:
    if not isinstance(data, View):
        raise TypeError
    return data


def _with_state(function: Any, kind: Any, arguments: Any, *_: Any) -> View:
    if not isinstance(function, Named) or not isinstance(kind, Named) or (kind.module, kind.name) not in TENSORS:
        raise TypeError
    return {"_rebuild_tensor_v2": _tensor, "_rebuild_tensor_v3": _typed}.get(function.name, _parameter)(*arguments[:8])


def _number(kind: Any, data: Any) -> Any:
    held = data.encode("latin-1") if isinstance(data, str) else data
    if not isinstance(kind, Kind) or not kind.torch or len(held) > 16:
        raise TypeError
    return np.frombuffer(held, kind.code).item()


def _text(value: Any, *_: Any) -> str:
    """Bytes written as Latin-1 text stay text until they are needed: a copy each time could fill the memory."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _remade(kind: Any, base: Any, state: Any = None) -> Opaque:
    if not isinstance(kind, Named):
        raise TypeError
    return Opaque(kind, (base, state))


def _everywhere(modules: str, names: str, make: Callable[..., Any]) -> dict[tuple[str, str], Callable[..., Any]]:
    return {(module, name): make for module in modules.split() for name in names.split()}


KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    **_everywhere("collections", "OrderedDict Counter", _table),
    **_everywhere("collections", "defaultdict", _grouped),
    **_everywhere("builtins __builtin__", "set", lambda items=(): {key(item) for item in items}),
    **_everywhere("builtins __builtin__", "frozenset", lambda items=(): frozenset(key(item) for item in items)),
    **_everywhere(
        "builtins __builtin__", "complex", lambda real, imaginary=0.0: complex(float(real), float(imaginary))
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
    **_everywhere("numpy", "dtype", Kind),
    **_everywhere("numpy.core.multiarray numpy._core.multiarray", "scalar", _number),
    **_everywhere("numpy.core.multiarray numpy._core.multiarray", "_reconstruct", lambda *_: Array()),
    **_everywhere("numpy.core.numeric numpy._core.numeric", "_frombuffer", Array),
}
