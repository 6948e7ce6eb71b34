"""Make files for fuzzing: valid ones, changed at random, and hostile ones from nothing.

Each file follows from its seed alone. Pickles that try to run code name `CANARY_MODULE`, or the
command that creates the file in the environment variable CANARY.
"""

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.fuzz_seeds import save_bytes, valid_files
from benchmarks.sized_pickles import random_sized_pickle

CANARY_MODULE = "fuzz_canary"

# What a hostile pickle calls; `touch` and the module leave a trace where they run.
HOSTILE_CALLS = (
    b'cos\nsystem\n(X\x10\0\0\0touch "$CANARY" tR',
    b'cposix\nsystem\n(X\x10\0\0\0touch "$CANARY" tR',
    b"cbuiltins\nexec\n(X\x12\0\0\0import fuzz_canary tR",
    b"cbuiltins\n__import__\n(X\x0b\0\0\0fuzz_canarytR",
    b"cfuzz_canary\nrun\n)R",
    b"(ifuzz_canary\nrun\n",
    b"\x8c\x0bfuzz_canary\x8c\x03run\x93)\x81",
    b"cimportlib\nimport_module\n(X\x0b\0\0\0fuzz_canarytR",
    b"cbuiltins\ngetattr\n(cfuzz_canary\nrun\nX\x08\0\0\0__call__tR)R",
)
# Opcodes without arguments, and short arguments for the others.
PLAIN_OPCODES = b"().0]}2aebdlestuNRoQ\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94"
SOME_ARGUMENTS = (
    b"K\1",
    b"J\xff\xff\xff\x7f",
    b"X\1\0\0\0a",
    b"\x8c\2ab",
    b"C\3abc",
    b"h\0",
    b"h\1",
    b"q\0",
    b"q\1",
    b"G?\xf0\0\0\0\0\0\0",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch\nFloatStorage\n",
    b"ccollections\nOrderedDict\n",
    b"cnumpy\ndtype\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"ctorch\nSize\n",
    b"cbuiltins\nset\n",
    b"cjunk\nThing\n",
)


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    """Flip up to 30 bits.

    Args:
        data: bytes of a file.
        rng: source of all choices.

    Returns:
        The changed bytes.
    """
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 30))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def write_numbers(data: bytes, rng: random.Random) -> bytes:
    """Overwrite lengths and offsets by extreme numbers.

    Args:
        data: bytes of a file.
        rng: source of all choices.

    Returns:
        The changed bytes.
    """
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8))):
        width = rng.choice((1, 2, 4, 8))
        number = rng.choice((0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), rng.getrandbits(8)))
        position = rng.randrange(len(changed))
        changed[position : position + width] = number.to_bytes(width, "little")
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    """Remove a piece, or the end.

    Args:
        data: bytes of a file.
        rng: source of all choices.

    Returns:
        The changed bytes.
    """
    start = rng.randrange(1, len(data) + 1)
    end = rng.choice((len(data), start + rng.randrange(1, 100)))
    return data[:start] + data[end:]


def repeat(data: bytes, rng: random.Random) -> bytes:
    """Insert a copy of one piece somewhere else, up to 1,000 times.

    Args:
        data: bytes of a file.
        rng: source of all choices.

    Returns:
        The changed bytes.
    """
    start = rng.randrange(len(data))
    piece = data[start : start + rng.randrange(1, 200)]
    position = rng.randrange(len(data))
    return data[:position] + piece * rng.choice((1, 2, 1000)) + data[position:]


def splice(data: bytes, rng: random.Random) -> bytes:
    """Continue with the end of another file.

    Args:
        data: bytes of a file.
        rng: source of all choices.

    Returns:
        The changed bytes.
    """
    other = rng.choice(list(valid_files().values()))
    return data[: rng.randrange(1, len(data) + 1)] + other[rng.randrange(len(other)) :]


MUTATIONS = (flip_bits, write_numbers, cut, repeat, splice)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change bytes one to three times.

    Args:
        data: bytes of a file.
        rng: source of all choices.

    Returns:
        The changed bytes; at least one.
    """
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(MUTATIONS)(data, rng) or b"\0"
    return data


def mutate_member(data: bytes, rng: random.Random) -> bytes:
    """Change one member of a zip archive and write the archive anew, with a right checksum.

    Args:
        data: bytes of an archive, or of any other file.
        rng: source of all choices.

    Returns:
        The archive; other files are changed as by `mutate`.
    """
    if not data.startswith(b"PK"):
        return mutate(data, rng)
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(file, "w") as target:
        names = source.namelist()
        pickles = [name for name in names if name.endswith("data.pkl")]
        chosen = rng.choice(pickles or names)
        for name in names:
            content = source.read(name)
            target.writestr(name, mutate(content, rng) if name == chosen and content else content)
    return file.getvalue()


def random_pickle(rng: random.Random) -> bytes:
    """Return random opcodes, some of which call what would run code.

    Args:
        rng: source of all choices.

    Returns:
        A pickle, most likely an invalid one.
    """
    parts = [b"\x80" + bytes([rng.randrange(2, 6)])]
    for _ in range(int(2 ** rng.uniform(1, 10))):
        kind = rng.random()
        if kind < 0.5:
            parts.append(bytes([rng.choice(PLAIN_OPCODES)]))
        elif kind < 0.97:
            parts.append(rng.choice(SOME_ARGUMENTS))
        else:
            parts.append(rng.choice(HOSTILE_CALLS))
    return b"".join(parts) + b"."


def hostile_pickle(rng: random.Random) -> bytes:
    """Return a valid pickle of weights and a call that would run code.

    Args:
        rng: source of all choices.

    Returns:
        The pickle.
    """
    call = rng.choice(HOSTILE_CALLS)
    return b"\x80\x04}(X\1\0\0\0a" + call + b"X\1\0\0\0bK\1u."


def in_zip(data: bytes) -> bytes:
    """Return an archive of torch.save with this pickle.

    Args:
        data: the pickle.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", data)
        archive.writestr("a/data/0", bytes(400))
    return file.getvalue()


def nested_json(rng: random.Random) -> bytes:
    """Return a safetensors file whose header is deep, wide or absurd.

    Args:
        rng: source of all choices.

    Returns:
        The file.
    """
    count = int(2 ** rng.uniform(1, 17))
    entry = {"dtype": "F32", "shape": [1] * rng.randrange(70), "data_offsets": [0, 0]}
    header = rng.choice(
        (
            b'{"a":' * count,
            json.dumps({str(i): entry for i in range(min(count, 20_000))}).encode(),
            json.dumps({"a" * count: entry | {"data_offsets": [0, 4], "shape": [1]}}).encode(),
            b'{"__metadata__": {"card": "' + b"[" * count + b'"}}',
        )
    )
    return struct.pack("<Q", len(header)) + header + bytes(4)


def swelling_npz(rng: random.Random) -> bytes:
    """Return compressed arrays that unpack to many times their size.

    Args:
        rng: source of all choices.

    Returns:
        The file.
    """
    file = io.BytesIO()
    noise = np.frombuffer(rng.randbytes(int(2 ** rng.uniform(4, 22))), np.uint8)
    zeros = np.zeros(int(2 ** rng.uniform(4, 27)), np.uint8)
    np.savez_compressed(file, noise=noise, zeros=zeros)
    return file.getvalue()


def _shared_tensors(rng: random.Random) -> bytes:
    """Return many names for views of one storage."""
    base = torch.zeros(int(2 ** rng.uniform(4, 20)), 3, 1, 1)
    count = int(2 ** rng.uniform(1, 13))
    step = rng.randrange(2)
    views = {f"block{i}_conv/kernel:0": base[step * (i % len(base)) :] for i in range(count)}
    return save_bytes(views)


def generate(rng: random.Random) -> bytes:
    """Return a file made from nothing.

    Args:
        rng: source of all choices.

    Returns:
        Its bytes.
    """
    makers: tuple[Callable[[random.Random], bytes], ...] = (
        random_sized_pickle,
        random_sized_pickle,
        random_pickle,
        hostile_pickle,
        partial(_wrapped, random_sized_pickle),
        partial(_wrapped, random_pickle),
        partial(_wrapped, hostile_pickle),
        nested_json,
        swelling_npz,
        _shared_tensors,
    )
    return rng.choice(makers)(rng)


def _wrapped(make: Callable[[random.Random], bytes], rng: random.Random) -> bytes:
    """Return a pickle inside an archive of torch.save."""
    return in_zip(make(rng))


def make_file(seed: int, number: int) -> tuple[str, bytes]:
    """Make one file.

    Args:
        seed: seed of the whole run.
        number: number of the file in it.

    Returns:
        Its name and bytes, the same for the same arguments.
    """
    # A seed of its own for every file, so that each can be made again alone.
    rng = random.Random(zlib.crc32(f"{seed}/{number}".encode()))  # noqa: S311 - no secrets
    kind = rng.random()
    if kind < 0.4:
        return "generated.pth", generate(rng)
    name, data = rng.choice(list(valid_files().items()))
    change = mutate_member if kind < 0.7 else mutate
    return name, change(data, rng)
