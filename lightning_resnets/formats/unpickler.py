"""Interpret a pickle as data on a stack machine that cannot import, look up or call anything.

The opcodes are those of pickle's protocols 0 to 5 (`pickletools` documents each). Names in a pickle
stay names; `pickle_globals.py` rebuilds the objects of the few known ones from plain numbers, every
other object stays an inert `OpaqueObject`. A budget of steps bounds time and memory for any file.
"""

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.pickle_globals import build_known, hashable_key, resolve_global
from lightning_resnets.formats.pickled_objects import (
    GlobalName,
    NumpyArray,
    NumpyDtype,
    OpaqueObject,
)
from lightning_resnets.formats.source import CORRUPT, TOO_COMPLEX

# ResNet-152 takes 30,000 steps, ResNet-1202 with Adam's state some 650,000.
MAX_STEPS = 700_000
MAX_INT_BITS = 2048
MAX_OPAQUE_NAMES = 1000

# Costs in steps, about the memory that an object takes, where a number takes one.
SET_COST = 4
GLOBAL_COST = 2
CALL_COST = 3


class Unpickler:
    """Reads pickles one after another from a stream.

    Attributes:
        opaque_names: names of the objects that stayed opaque, in order.
    """

    def __init__(self, load_persistent: Callable[[Any], Any]) -> None:
        """Create a reader.

        Args:
            load_persistent: returns the object that a persistent id stands for.
        """
        self.load_persistent = load_persistent
        self.steps_left = MAX_STEPS
        self.opaque_names = dict[str, None]()

    def load(self, stream: BinaryIO) -> Any:
        """Read the next pickle.

        Args:
            stream: positioned at the pickle's first byte.

        Returns:
            Its value.

        Raises:
            UnsupportedFileError: the pickle is corrupt, too complex, or contains program code.
            Exception: of any other type where the bytes are not a pickle.
        """
        self.stack = list[Any]()
        self.marks = list[int]()
        self.memo = dict[int, Any]()
        for opcode, argument, _ in pickletools.genops(stream):
            self.charge(1)
            OPCODES[opcode.name](self, argument)
        return self.stack.pop()

    def charge(self, steps: int) -> None:
        """Spend steps; raise if none are left."""
        self.steps_left -= steps
        if self.steps_left < 0:
            raise UnsupportedFileError(TOO_COMPLEX)

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def push_int(self, value: int) -> None:
        """Put an integer on the stack; raise if it is absurdly large."""
        if value.bit_length() > MAX_INT_BITS:
            raise UnsupportedFileError(CORRUPT)
        self.stack.append(value)

    def pop_mark(self) -> list[Any]:
        """Take all values above the last mark from the stack."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def pop(self) -> None:
        """Drop the top of the stack, which may be a mark."""
        # POP ends a mark if nothing lies above it.
        is_mark = self.marks[-1:] == [len(self.stack)]
        (self.marks if is_mark else self.stack).pop()

    def build_tuple(self, count: int) -> None:
        """Replace the top values by a tuple of them."""
        start = len(self.stack) - count
        items = tuple(self.stack[start:])
        if len(items) != count:
            raise UnsupportedFileError(CORRUPT)
        self.stack[start:] = [items]

    def append_items(self, items: list[Any]) -> None:
        """Add items to the list or set on top of the stack."""
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, set):
            target.update(hashable_key(item) for item in items)
        elif not isinstance(target, OpaqueObject):  # which ignores its items
            raise UnsupportedFileError(CORRUPT)

    def set_items(self, items: list[Any]) -> None:
        """Add alternating keys and values to the dictionary on top of the stack."""
        target = self.stack[-1]
        if isinstance(target, dict):
            target.update((hashable_key(items[i]), items[i + 1]) for i in range(0, len(items), 2))
        elif not isinstance(target, OpaqueObject):
            raise UnsupportedFileError(CORRUPT)

    def set_item(self, _: object) -> None:
        """Add one key and its value to the dictionary below them."""
        value = self.stack.pop()
        key = self.stack.pop()
        self.set_items([key, value])

    def build_dict(self, _: object) -> None:
        """Replace the values above the mark by a dictionary of them."""
        items = self.pop_mark()
        self.stack.append({})
        self.set_items(items)

    def build_set(self, empty: set[Any] | frozenset[Any]) -> None:
        """Put a set on the stack."""
        self.charge(SET_COST)
        self.stack.append(empty)

    def memoize(self, index: int) -> None:
        """Remember the top of the stack under a number."""
        self.memo[index] = self.stack[-1]

    def call(self, function: Any, arguments: Any, keywords: Any = None) -> None:
        """Put the result of a call on the stack, without making the call.

        The result is our own data for a known function, else an object that stays opaque.
        """
        if not isinstance(function, (GlobalName, OpaqueObject)) or not isinstance(arguments, tuple):
            raise UnsupportedFileError(CORRUPT)
        # A call may copy its arguments.
        lists = (item for item in arguments[:8] if isinstance(item, (list, tuple)))
        self.charge(CALL_COST + sum(len(item) for item in lists))
        if keywords:  # no known function takes any
            name = function if isinstance(function, GlobalName) else function.name
            result: Any = OpaqueObject(name, arguments)
        else:
            result = build_known(function, arguments)
        if isinstance(result, OpaqueObject) and len(self.opaque_names) < MAX_OPAQUE_NAMES:
            self.opaque_names[str(result.name)] = None
        self.stack.append(result)

    def reduce(self, _: object) -> None:
        """Call a function with the tuple above it."""
        arguments = self.stack.pop()
        function = self.stack.pop()
        self.call(function, arguments)

    def reduce_ex(self, _: object) -> None:
        """Call a class with positional and keyword arguments."""
        keywords = self.stack.pop()
        arguments = self.stack.pop()
        function = self.stack.pop()
        self.call(function, arguments, keywords)

    def inst(self, name: str) -> None:
        """Call the class that the opcode names."""
        self.call(resolve_global(*name.split(" ", 1)), tuple(self.pop_mark()))

    def obj(self, _: object) -> None:
        """Call the class above the mark with the values above it."""
        function, *arguments = self.pop_mark()
        self.call(function, tuple(arguments))

    def stack_global(self, _: object) -> None:
        """Put the name on the stack whose module and attribute are on top."""
        name = self.stack.pop()
        module = self.stack.pop()
        self.push_global(module, name)

    def push_global(self, module: str, name: str) -> None:
        """Put a name on the stack."""
        self.charge(GLOBAL_COST)
        self.stack.append(resolve_global(module, name))

    def build(self, _: object) -> None:
        """Set the state of the object on the stack."""
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, (OpaqueObject, NumpyArray, NumpyDtype)):
            target.set_state(state)

    def refuse(self, _: object) -> None:
        """Raise: no checkpoint uses this opcode."""
        raise UnsupportedFileError(CORRUPT)


CONSTANT_OPCODES = (
    "STRING BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 BINBYTES "
    "SHORT_BINBYTES BINBYTES8 BYTEARRAY8 FLOAT BINFLOAT BININT BININT1 BININT2"
)
UNUSED_OPCODES = ("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER")

OPCODES: dict[str, Callable[[Unpickler, Any], object]] = {
    **dict.fromkeys(CONSTANT_OPCODES.split(), Unpickler.push),
    **dict.fromkeys(("INT", "LONG", "LONG1", "LONG4"), Unpickler.push_int),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), Unpickler.memoize),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, index: m.push(m.memo[index])),
    **dict.fromkeys(UNUSED_OPCODES, Unpickler.refuse),
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
    "POP": lambda m, _: m.pop(),
    "POP_MARK": lambda m, _: m.pop_mark(),
    "DUP": lambda m, _: m.push(m.stack[-1]),
    "LIST": lambda m, _: m.push(m.pop_mark()),
    "TUPLE": lambda m, _: m.push(tuple(m.pop_mark())),
    "TUPLE1": lambda m, _: m.build_tuple(1),
    "TUPLE2": lambda m, _: m.build_tuple(2),
    "TUPLE3": lambda m, _: m.build_tuple(3),
    "DICT": Unpickler.build_dict,
    "FROZENSET": lambda m, _: m.build_set(frozenset(map(hashable_key, m.pop_mark()))),
    "APPEND": lambda m, _: m.append_items([m.stack.pop()]),
    "APPENDS": lambda m, _: m.append_items(m.pop_mark()),
    "ADDITEMS": lambda m, _: m.append_items(m.pop_mark()),
    "SETITEM": Unpickler.set_item,
    "SETITEMS": lambda m, _: m.set_items(m.pop_mark()),
    "GLOBAL": lambda m, name: m.push_global(*name.split(" ", 1)),
    "STACK_GLOBAL": Unpickler.stack_global,
    "REDUCE": Unpickler.reduce,
    "NEWOBJ": Unpickler.reduce,
    "NEWOBJ_EX": Unpickler.reduce_ex,
    "INST": Unpickler.inst,
    "OBJ": Unpickler.obj,
    "BUILD": Unpickler.build,
    "PERSID": lambda m, key: m.push(m.load_persistent(key)),
    "BINPERSID": lambda m, _: m.push(m.load_persistent(m.stack.pop())),
}
