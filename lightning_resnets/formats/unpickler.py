"""Interpret a pickle as data on a stack machine that cannot import, look up or call anything.

The opcodes are those of pickle's protocols 0 to 5 (`pickletools` documents each). Names in a pickle
stay names; `pickle_globals.py` rebuilds the objects of the few known ones from plain numbers, every
other object stays an inert `OpaqueObject`. A budget bounds time and memory for any file.
"""

from collections.abc import Callable
from typing import Any, BinaryIO, ClassVar

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.budget import Budget
from lightning_resnets.formats.opcodes import read_argument, read_opcode
from lightning_resnets.formats.pickle_globals import build_known, hashable_key
from lightning_resnets.formats.pickled_objects import (
    GlobalName,
    NumpyArray,
    NumpyDtype,
    OpaqueObject,
)
from lightning_resnets.formats.source import CORRUPT
from lightning_resnets.formats.unsafe_globals import resolve_global

MAX_INT_BITS = 2048
MAX_OPAQUE_NAMES = 1000

# Costs in objects, about the memory that an object takes, where a number takes one.
SET_COST = 4
GLOBAL_COST = 2
CALL_COST = 3

CONSTANT_OPCODES = (
    "STRING BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 BINBYTES "
    "SHORT_BINBYTES BINBYTES8 BYTEARRAY8 FLOAT BINFLOAT BININT BININT1 BININT2"
)
# They refer to registries and buffers outside the file.
UNUSED_OPCODES = ("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER")

# Runs one opcode with its argument.
Operation = Callable[["Unpickler", Any], object]


class Unpickler:
    """Reads pickles one after another from a stream.

    Attributes:
        opaque_names: names of the objects that stayed opaque, in order.
    """

    def __init__(self, load_persistent: Callable[[Any], Any], budget: Budget) -> None:
        """Create a reader.

        Args:
            load_persistent: returns the object that a persistent id stands for.
            budget: charged for every object.
        """
        self.opaque_names = dict[str, None]()
        self._load_persistent = load_persistent
        self._budget = budget

    def load(self, stream: BinaryIO) -> Any:
        """Read the next pickle.

        Args:
            stream: positioned at the pickle's first byte; left behind its last one.

        Returns:
            Its value.

        Raises:
            UnsupportedFileError: the pickle is corrupt, too complex, or contains program code.
            Exception: of any other type where the bytes are not a pickle.
        """
        self._stack = list[Any]()
        self._marks = list[int]()
        self._memo = dict[int, Any]()
        opcode = read_opcode(stream)
        while opcode.name != "STOP":
            # Any opcode may put an object on the stack.
            self._budget.create()
            argument = read_argument(opcode, stream, self._budget)
            self._operations[opcode.name](self, argument)
            opcode = read_opcode(stream)
        return self._stack.pop()

    def _push(self, value: Any) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def _push_int(self, value: int) -> None:
        """Put an integer on the stack; raise if it is absurdly large."""
        if value.bit_length() > MAX_INT_BITS:
            raise UnsupportedFileError(CORRUPT)
        self._stack.append(value)

    def _pop_mark(self) -> list[Any]:
        """Take all values above the last mark from the stack."""
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _pop(self) -> None:
        """Drop the top of the stack, which may be a mark."""
        # POP ends a mark if nothing lies above it.
        is_mark = self._marks[-1:] == [len(self._stack)]
        (self._marks if is_mark else self._stack).pop()

    def _build_tuple(self, count: int) -> None:
        """Replace the top values by a tuple of them."""
        start = len(self._stack) - count
        items = tuple(self._stack[start:])
        # A negative start would count from the end of the stack.
        if len(items) != count:
            raise UnsupportedFileError(CORRUPT)
        self._stack[start:] = [items]

    def _append_items(self, items: list[Any]) -> None:
        """Add items to the list or set on top of the stack."""
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, set):
            target.update(hashable_key(item) for item in items)
        elif not isinstance(target, OpaqueObject):  # which ignores its items
            raise UnsupportedFileError(CORRUPT)

    def _set_items(self, items: list[Any]) -> None:
        """Add alternating keys and values to the dictionary on top of the stack."""
        target = self._stack[-1]
        if isinstance(target, dict):
            # A key without a value raises IndexError: the pickle is broken.
            target.update((hashable_key(items[i]), items[i + 1]) for i in range(0, len(items), 2))
        elif not isinstance(target, OpaqueObject):
            raise UnsupportedFileError(CORRUPT)

    def _set_item(self, _: object) -> None:
        """Add one key and its value to the dictionary below them."""
        value = self._stack.pop()
        key = self._stack.pop()
        self._set_items([key, value])

    def _build_dict(self, _: object) -> None:
        """Replace the values above the mark by a dictionary of them."""
        items = self._pop_mark()
        self._stack.append({})
        self._set_items(items)

    def _build_set(self, empty: set[Any] | frozenset[Any]) -> None:
        """Put a set on the stack."""
        self._budget.create(SET_COST)
        self._stack.append(empty)

    def _memoize(self, index: int) -> None:
        """Remember the top of the stack under a number."""
        # No copy: shared values stay shared.
        self._memo[index] = self._stack[-1]

    def _call(self, function: Any, arguments: Any, keywords: Any = None) -> None:
        """Put the result of a call on the stack, without making the call.

        The result is our own data for a known function, else an object that stays opaque.
        """
        if not isinstance(function, (GlobalName, OpaqueObject)) or not isinstance(arguments, tuple):
            raise UnsupportedFileError(CORRUPT)
        self._budget.create(CALL_COST)
        # A call may copy its arguments, whatever their types.
        self._budget.handle(arguments)
        for argument in arguments:
            self._budget.handle(argument)
        if keywords:  # no known function takes any
            name = function if isinstance(function, GlobalName) else function.name
            result: Any = OpaqueObject(name, arguments)
        else:
            result = build_known(function, arguments)
        if isinstance(result, OpaqueObject) and len(self.opaque_names) < MAX_OPAQUE_NAMES:
            self.opaque_names[str(result.name)] = None
        self._stack.append(result)

    def _reduce(self, _: object) -> None:
        """Call a function with the tuple above it."""
        arguments = self._stack.pop()
        function = self._stack.pop()
        self._call(function, arguments)

    def _reduce_ex(self, _: object) -> None:
        """Call a class with positional and keyword arguments."""
        keywords = self._stack.pop()
        arguments = self._stack.pop()
        function = self._stack.pop()
        self._call(function, arguments, keywords)

    def _inst(self, name: str) -> None:
        """Call the class that the opcode names."""
        self._call(resolve_global(*name.split(" ", 1)), tuple(self._pop_mark()))

    def _obj(self, _: object) -> None:
        """Call the class above the mark with the values above it."""
        function, *arguments = self._pop_mark()
        self._call(function, tuple(arguments))

    def _stack_global(self, _: object) -> None:
        """Put the name on the stack whose module and attribute are on top."""
        name = self._stack.pop()
        module = self._stack.pop()
        self._push_global(module, name)

    def _push_global(self, module: str, name: str) -> None:
        """Put a name on the stack."""
        self._budget.create(GLOBAL_COST)
        self._stack.append(resolve_global(module, name))

    def _build(self, _: object) -> None:
        """Set the state of the object on the stack."""
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, (OpaqueObject, NumpyArray, NumpyDtype)):
            target.set_state(state)

    def _push_persistent(self, persistent_id: Any) -> None:
        """Put the object on the stack that an id stands for."""
        # An id may be a long tuple, which is copied.
        self._budget.handle(persistent_id)
        self._stack.append(self._load_persistent(persistent_id))

    def _refuse(self, _: object) -> None:
        """Raise: no checkpoint uses this opcode."""
        raise UnsupportedFileError(CORRUPT)

    _operations: ClassVar[dict[str, Operation]] = {
        **dict.fromkeys(CONSTANT_OPCODES.split(), _push),
        **dict.fromkeys(("INT", "LONG", "LONG1", "LONG4"), _push_int),
        **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _memoize),
        **dict.fromkeys(
            ("GET", "BINGET", "LONG_BINGET"), lambda self, index: self._push(self._memo[index])
        ),
        **dict.fromkeys(UNUSED_OPCODES, _refuse),
        **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda self, _: None),
        "MEMOIZE": lambda self, _: self._memoize(len(self._memo)),
        "NONE": lambda self, _: self._push(None),
        "NEWTRUE": lambda self, _: self._push(True),
        "NEWFALSE": lambda self, _: self._push(False),
        "EMPTY_LIST": lambda self, _: self._push([]),
        "EMPTY_TUPLE": lambda self, _: self._push(()),
        "EMPTY_DICT": lambda self, _: self._push({}),
        "EMPTY_SET": lambda self, _: self._build_set(set()),
        "MARK": lambda self, _: self._marks.append(len(self._stack)),
        "POP": lambda self, _: self._pop(),
        "POP_MARK": lambda self, _: self._pop_mark(),
        "DUP": lambda self, _: self._push(self._stack[-1]),
        "LIST": lambda self, _: self._push(self._pop_mark()),
        "TUPLE": lambda self, _: self._push(tuple(self._pop_mark())),
        "TUPLE1": lambda self, _: self._build_tuple(1),
        "TUPLE2": lambda self, _: self._build_tuple(2),
        "TUPLE3": lambda self, _: self._build_tuple(3),
        "DICT": _build_dict,
        "FROZENSET": lambda self, _: self._build_set(
            frozenset(map(hashable_key, self._pop_mark()))
        ),
        "APPEND": lambda self, _: self._append_items([self._stack.pop()]),
        "APPENDS": lambda self, _: self._append_items(self._pop_mark()),
        "ADDITEMS": lambda self, _: self._append_items(self._pop_mark()),
        "SETITEM": _set_item,
        "SETITEMS": lambda self, _: self._set_items(self._pop_mark()),
        "GLOBAL": lambda self, name: self._push_global(*name.split(" ", 1)),
        "STACK_GLOBAL": _stack_global,
        "REDUCE": _reduce,
        "NEWOBJ": _reduce,
        "NEWOBJ_EX": _reduce_ex,
        "INST": _inst,
        "OBJ": _obj,
        "BUILD": _build,
        "PERSID": _push_persistent,
        "BINPERSID": lambda self, _: self._push_persistent(self._stack.pop()),
    }
