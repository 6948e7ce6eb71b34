"""Generate pickles of sized things: texts, bytes, lists, tables and sets, passed to calls again and
again. A small file of this kind asks a careless reader for gigabytes.
"""

import random
import struct
from collections.abc import Callable

PROTOCOL = b"\x80\x04"
STOP = b"."

# Names whose calls our reader rebuilds, and one that it does not know.
MAKERS = (
    b"ctorch\nSize\n",
    b"cbuiltins\nset\n",
    b"cbuiltins\nfrozenset\n",
    b"ccollections\nOrderedDict\n",
    b"ccollections\nCounter\n",
    b"cbuiltins\ncomplex\n",
    b"c_codecs\nencode\n",
    b"cnumpy.core.multiarray\nscalar\n",
    b"cnumpy.core.numeric\n_frombuffer\n",
    b"cjunk\nThing\n",
)

# The emoji takes four bytes in memory, and so does every letter beside it.
EMOJI = "\N{GRINNING FACE}".encode()


def dump_text(data: bytes) -> bytes:
    """Return the opcode of a text.

    Args:
        data: the text in UTF-8.
    """
    return b"X" + struct.pack("<I", len(data)) + data


def dump_bytes(data: bytes) -> bytes:
    """Return the opcode of bytes.

    Args:
        data: the bytes.
    """
    return b"B" + struct.pack("<I", len(data)) + data


def dump_numbers(count: int) -> bytes:
    """Return opcodes that push numbers.

    Args:
        count: how many.
    """
    return b"".join(b"J" + struct.pack("<i", number) for number in range(count))


def dump_table(count: int) -> bytes:
    """Return opcodes of a dictionary.

    Args:
        count: number of entries.
    """
    pairs = (b"J" + struct.pack("<i", number) + b"N" for number in range(count))
    return b"}(" + b"".join(pairs) + b"u"


def dump_list(count: int) -> bytes:
    """Return opcodes of a list of numbers.

    Args:
        count: number of items.
    """
    return b"](" + dump_numbers(count) + b"e"


def dump_set(count: int) -> bytes:
    """Return opcodes of a set of numbers.

    Args:
        count: number of members.
    """
    return b"\x8f(" + dump_numbers(count) + b"\x90"


def dump_pairs(count: int) -> bytes:
    """Return opcodes of a list of texts of two letters, which look like pairs.

    Args:
        count: number of texts.
    """
    return b"](" + b"X\x02\0\0\0ab" * count + b"e"


KINDS: tuple[Callable[[int], bytes], ...] = (
    lambda size: dump_text(b"a" * size),
    lambda size: dump_text(b"a" * size + EMOJI),
    lambda size: dump_text("é".encode() * (size // 2)),
    lambda size: dump_bytes(b"\xff" * size),
    lambda size: dump_list(size // 8),
    lambda size: dump_table(size // 8),
    lambda size: dump_set(size // 8),
    lambda size: dump_pairs(size // 8),
)


def repeat_calls(maker: bytes, argument: bytes, calls: int) -> bytes:
    """Return a pickle that calls one function with one argument again and again.

    Args:
        maker: opcode of the function's name.
        argument: opcodes of the argument.
        calls: number of calls.

    Returns:
        The pickle: a list of all results.
    """
    # Memo 0 is the function, memo 1 the tuple of arguments.
    head = maker + b"q\x000" + argument + b"\x85q\x010"
    return PROTOCOL + head + b"](" + b"h\0h\1R" * calls + b"e" + STOP


def random_sized_pickle(rng: random.Random, max_bytes: int = 2**20) -> bytes:
    """Return a pickle of sized things.

    Args:
        rng: source of all choices.
        max_bytes: length of the longest argument.

    Returns:
        The pickle.
    """
    size = int(2 ** rng.uniform(3, max_bytes.bit_length() - 1))
    argument = rng.choice(KINDS)(size)
    # Sets, lists and tuples of it, so that a copy of a container is made, too.
    for _ in range(rng.choice((0, 0, 1, 2))):
        argument = rng.choice((b"](" + argument + b"e", b"(" + argument + b"t", argument + b"\x85"))
    calls = int(2 ** rng.uniform(0, 16))
    return repeat_calls(rng.choice(MAKERS), argument, calls)
