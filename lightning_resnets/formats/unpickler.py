"""A stack machine that reads a pickle as data: it has no way to import, look up or call anything.

The opcodes are those of pickle's protocols 0 to 5 (`pickletools` documents each). Names in a pickle stay names; what
the few known ones stand for is rebuilt by `meaning.py` from plain numbers, every other object stays an inert `Opaque`.
Work and memory are bounded by a budget of steps, so that no file of any size keeps it busy for long.
"""

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.pickle_globals import (
    GlobalName,
    NumpyArray,
    NumpyDtype,
    OpaqueObject,
    build_known,
    hashable_key,
    resolve_global,
)
from lightning_resnets.formats.source import CORRUPT, TOO_COMPLEX

MAX_STEPS = 700_000  # ResNet-152 takes 30,000, ResNet-1202 with Adam's state some 650,000


MAX_INT_BITS = 2048  # bits


class Unpickler:
    """Reads pickles one after another from a stream, `persistent` saying what a persistent id stands for."""

    def __init__(self, persistent: Callable[[Any], Any]) -> None:
        self.persistent = persistent
        self.left = MAX_STEPS
        self.foreign = dict[str, None]()  # names of the objects that stayed opaque, in order

    def load(self, stream: BinaryIO) -> Any:
        """The next pickle's value; raises Refused, or some other exception where the bytes are no pickle."""
        self.stack, self.marks, self.memo = list[Any](), list[int](), dict[int, Any]()
        for opcode, argument, _ in pickletools.genops(stream):
            self.left -= 1
            if self.left < 0:
                raise UnsupportedFileError(TOO_COMPLEX)
            OPCODES[opcode.name](self, argument)
        return self.stack.pop()

    def charge(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise UnsupportedFileError(TOO_COMPLEX)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def push_int(self, value: int) -> None:
        if value.bit_length() > MAX_INT_BITS:
            raise UnsupportedFileError(CORRUPT)
        self.stack.append(value)

    def pop_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def drop(self) -> None:
        """The top of the stack, which may be a mark."""
        (self.marks if self.marks[-1:] == [len(self.stack)] else self.stack).pop()

    def build_tuple(self, count: int) -> None:
        items = tuple(self.stack[len(self.stack) - count :])
        if len(items) != count:
            raise UnsupportedFileError(CORRUPT)
        self.stack[len(self.stack) - count :] = [items]

    def append_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, set):
            target.update(hashable_key(item) for item in items)
        elif not isinstance(target, OpaqueObject):
            raise UnsupportedFileError(CORRUPT)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            target.update((hashable_key(items[i]), items[i + 1]) for i in range(0, len(items), 2))
        elif not isinstance(target, OpaqueObject):
            raise UnsupportedFileError(CORRUPT)

    def build_container(
        self, items: list[Any], put: Callable[["Unpickler", list[Any]], None], empty: Any
    ) -> None:
        self.stack.append(empty)
        put(self, items)

    def build_set(self, empty: set[Any] | frozenset[Any]) -> None:
        self.charge(4)  # a set is as large as four lists
        self.stack.append(empty)

    def memoize(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def call(self, what: Any, arguments: Any, more: Any = None) -> None:
        """What a call would have made: our own data for a known name, else an object that stays opaque."""
        if not isinstance(what, (GlobalName, OpaqueObject)) or not isinstance(arguments, tuple):
            raise UnsupportedFileError(CORRUPT)
        self.charge(3 + sum(len(item) for item in arguments[:8] if isinstance(item, (list, tuple))))
        made = (
            build_known(what, arguments)
            if not more
            else OpaqueObject(what if isinstance(what, GlobalName) else what.name, arguments)
        )
        if isinstance(made, OpaqueObject) and len(self.foreign) < 1000:
            self.foreign[str(made.name)] = None
        self.stack.append(made)

    def reduce(self, _: object) -> None:
        arguments, what = self.stack.pop(), self.stack.pop()
        self.call(what, arguments)

    def reduce_ex(self, _: object) -> None:
        more, arguments, what = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.call(what, arguments, more)

    def inst(self, name: str) -> None:
        self.call(resolve_global(*name.split(" ", 1)), tuple(self.pop_mark()))

    def obj(self, _: object) -> None:
        what, *arguments = self.pop_mark()
        self.call(what, tuple(arguments))

    def stack_global(self, _: object) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.push_global(module, name)

    def push_global(self, module: str, name: str) -> None:
        self.charge(2)  # a record takes longer than a number
        self.stack.append(resolve_global(module, name))

    def build(self, _: object) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, (OpaqueObject, NumpyArray, NumpyDtype)):
            target.set_state(state)

    def refuse(self, _: object) -> None:
        raise UnsupportedFileError(CORRUPT)


CONSTANT_OPCODES = "STRING BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES "


CONSTANT_OPCODES += "BINBYTES8 BYTEARRAY8 FLOAT BINFLOAT BININT BININT1 BININT2"

OPCODES: dict[str, Callable[[Unpickler, Any], object]] = {
    **dict.fromkeys(CONSTANT_OPCODES.split(), Unpickler.push),
    **dict.fromkeys(("INT", "LONG", "LONG1", "LONG4"), Unpickler.push_int),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), Unpickler.memoize),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, index: m.push(m.memo[index])),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"), Unpickler.refuse),
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda m, _: None),
    "MEMOIZE": lambda m, _: m.memoize(len(m.memo)),
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "EMPTY_SET": lambda m, _: m.build_set(set()),
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "POP": lambda m, _: m.drop(),
    "POP_MARK": lambda m, _: m.pop_mark(),
    "DUP": lambda m, _: m.push(m.stack[-1]),
    "LIST": lambda m, _: m.push(m.pop_mark()),
    "TUPLE": lambda m, _: m.push(tuple(m.pop_mark())),
    "TUPLE1": lambda m, _: m.build_tuple(1),
    "TUPLE2": lambda m, _: m.build_tuple(2),
    "TUPLE3": lambda m, _: m.build_tuple(3),
    "DICT": lambda m, _: m.build_container(m.pop_mark(), Unpickler.set_items, {}),
    "FROZENSET": lambda m, _: m.build_set(frozenset(hashable_key(item) for item in m.pop_mark())),
    "APPEND": lambda m, _: m.append_items([m.stack.pop()]),
    "APPENDS": lambda m, _: m.append_items(m.pop_mark()),
    "ADDITEMS": lambda m, _: m.append_items(m.pop_mark()),
    "SETITEM": lambda m, _: m.set_items([*reversed((m.stack.pop(), m.stack.pop()))]),
    "SETITEMS": lambda m, _: m.set_items(m.pop_mark()),
    "GLOBAL": lambda m, name: m.push_global(*name.split(" ", 1)),
    "STACK_GLOBAL": Unpickler.stack_global,
    "REDUCE": Unpickler.reduce,
    "NEWOBJ": Unpickler.reduce,
    "NEWOBJ_EX": Unpickler.reduce_ex,
    "INST": Unpickler.inst,
    "OBJ": Unpickler.obj,
    "BUILD": Unpickler.build,
    "PERSID": lambda m, key: m.push(m.persistent(key)),
    "BINPERSID": lambda m, _: m.push(m.persistent(m.stack.pop())),
}
