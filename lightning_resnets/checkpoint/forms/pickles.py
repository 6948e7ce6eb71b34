"""A stack machine that reads a pickle as data: it has no way to import, look up or call anything.

The opcodes are those of pickle's protocols 0 to 5 (`pickletools` documents each). Names in a pickle stay names; what
the few known ones stand for is rebuilt by `meaning.py` from plain numbers, every other object stays an inert `Opaque`.
Work and memory are bounded by a budget of steps, so that no file of any size keeps it busy for long.
"""

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from lightning_resnets.checkpoint.forms.files import BROKEN, TANGLED, Refused
from lightning_resnets.checkpoint.forms.meaning import Array, Kind, Named, Opaque, call, key, named

STEPS = 700_000  # ResNet-152 takes 30,000, ResNet-1202 with Adam's state some 650,000
LONGEST_NUMBER = 2048  # bits


class Machine:
    """Reads pickles one after another from a stream, `persistent` saying what a persistent id stands for."""

    def __init__(self, persistent: Callable[[Any], Any]) -> None:
        self.persistent = persistent
        self.left = STEPS
        self.foreign = dict[str, None]()  # names of the objects that stayed opaque, in order

    def load(self, stream: BinaryIO) -> Any:
        """The next pickle's value; raises Refused, or some other exception where the bytes are no pickle."""
        self.stack, self.marks, self.memo = list[Any](), list[int](), dict[int, Any]()
        for opcode, argument, _ in pickletools.genops(stream):
            self.left -= 1
            if self.left < 0:
                raise Refused(TANGLED)
            HANDLERS[opcode.name](self, argument)
        return self.stack.pop()

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise Refused(TANGLED)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def number(self, value: int) -> None:
        if value.bit_length() > LONGEST_NUMBER:
            raise Refused(BROKEN)
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def drop(self) -> None:
        """The top of the stack, which may be a mark."""
        (self.marks if self.marks[-1:] == [len(self.stack)] else self.stack).pop()

    def several(self, count: int) -> None:
        items = tuple(self.stack[len(self.stack) - count :])
        if len(items) != count:
            raise Refused(BROKEN)
        self.stack[len(self.stack) - count :] = [items]

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, set):
            target.update(key(item) for item in items)
        elif not isinstance(target, Opaque):
            raise Refused(BROKEN)

    def update(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            target.update((key(items[i]), items[i + 1]) for i in range(0, len(items), 2))
        elif not isinstance(target, Opaque):
            raise Refused(BROKEN)

    def fresh(self, items: list[Any], put: Callable[["Machine", list[Any]], None], empty: Any) -> None:
        self.stack.append(empty)
        put(self, items)

    def sized(self, empty: set[Any] | frozenset[Any]) -> None:
        self.spend(4)  # a set is as large as four lists
        self.stack.append(empty)

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def make(self, what: Any, arguments: Any, more: Any = None) -> None:
        """What a call would have made: our own data for a known name, else an object that stays opaque."""
        if not isinstance(what, (Named, Opaque)) or not isinstance(arguments, tuple):
            raise Refused(BROKEN)
        self.spend(3 + sum(len(item) for item in arguments[:8] if isinstance(item, (list, tuple))))
        made = call(what, arguments) if not more else Opaque(what if isinstance(what, Named) else what.name, arguments)
        if isinstance(made, Opaque) and len(self.foreign) < 1000:
            self.foreign[str(made.name)] = None
        self.stack.append(made)

    def reduce(self, _: object) -> None:
        arguments, what = self.stack.pop(), self.stack.pop()
        self.make(what, arguments)

    def make_with_names(self, _: object) -> None:
        more, arguments, what = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.make(what, arguments, more)

    def instance(self, name: str) -> None:
        self.make(named(*name.split(" ", 1)), tuple(self.since_mark()))

    def old_object(self, _: object) -> None:
        what, *arguments = self.since_mark()
        self.make(what, tuple(arguments))

    def stack_name(self, _: object) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.name(module, name)

    def name(self, module: str, name: str) -> None:
        self.spend(2)  # a record takes longer than a number
        self.stack.append(named(module, name))

    def build(self, _: object) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, (Opaque, Array, Kind)):
            target.build(state)

    def hidden(self, _: object) -> None:
        raise Refused(BROKEN)


PUSH = "STRING BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES "
PUSH += "BINBYTES8 BYTEARRAY8 FLOAT BINFLOAT BININT BININT1 BININT2"

HANDLERS: dict[str, Callable[[Machine, Any], object]] = {
    **dict.fromkeys(PUSH.split(), Machine.push),
    **dict.fromkeys(("INT", "LONG", "LONG1", "LONG4"), Machine.number),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), Machine.remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, index: m.push(m.memo[index])),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"), Machine.hidden),
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda m, _: None),
    "MEMOIZE": lambda m, _: m.remember(len(m.memo)),
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "EMPTY_SET": lambda m, _: m.sized(set()),
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "POP": lambda m, _: m.drop(),
    "POP_MARK": lambda m, _: m.since_mark(),
    "DUP": lambda m, _: m.push(m.stack[-1]),
    "LIST": lambda m, _: m.push(m.since_mark()),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: m.several(1),
    "TUPLE2": lambda m, _: m.several(2),
    "TUPLE3": lambda m, _: m.several(3),
    "DICT": lambda m, _: m.fresh(m.since_mark(), Machine.update, {}),
    "FROZENSET": lambda m, _: m.sized(frozenset(key(item) for item in m.since_mark())),
    "APPEND": lambda m, _: m.extend([m.stack.pop()]),
    "APPENDS": lambda m, _: m.extend(m.since_mark()),
    "ADDITEMS": lambda m, _: m.extend(m.since_mark()),
    "SETITEM": lambda m, _: m.update([*reversed((m.stack.pop(), m.stack.pop()))]),
    "SETITEMS": lambda m, _: m.update(m.since_mark()),
    "GLOBAL": lambda m, name: m.name(*name.split(" ", 1)),
    "STACK_GLOBAL": Machine.stack_name,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.reduce,
    "NEWOBJ_EX": Machine.make_with_names,
    "INST": Machine.instance,
    "OBJ": Machine.old_object,
    "BUILD": Machine.build,
    "PERSID": lambda m, key: m.push(m.persistent(key)),
    "BINPERSID": lambda m, _: m.push(m.persistent(m.stack.pop())),
}
