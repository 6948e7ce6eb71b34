"""Make files for fuzzing: valid ones of every format, changed at random, and hostile ones.

Each file follows from its seed alone. Pickles that try to run code name `CANARY_MODULE`, or the
command that creates the file in the environment variable CANARY.
"""

import io
import json
import pickle
import random
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from benchmarks.sized_pickles import random_sized_pickle

CANARY_MODULE = "fuzz_canary"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
LEGACY = {"_use_new_zipfile_serialization": False}
IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")

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


class Small(nn.Module):
    """A model with all that a pickle of one may contain."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.bn1 = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2)


def _card() -> dict[str, Any]:
    """Return the model card of a resnet20."""
    return {
        "arch": "resnet20",
        "class_names": [str(index) for index in range(10)],
        "input_size": (3, 32, 32),
        "mean": (0.5,) * 3,
        "std": (0.5,) * 3,
    }


def _saved(value: Any, **options: Any) -> bytes:
    """Return the bytes that torch.save writes."""
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def _npz(save: Callable[..., None]) -> bytes:
    """Return the bytes of an .npz file."""
    file = io.BytesIO()
    save(file, **{"conv1/weight": np.ones((4, 3, 3, 3), "f4"), "fc": np.zeros((2, 4))})
    return file.getvalue()


def _image(form: str) -> bytes:
    """Return the bytes of an image."""
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def _distributed(state: dict[str, Any]) -> dict[str, bytes]:
    """Return the files of a distributed checkpoint by name."""
    import torch.distributed.checkpoint as dcp

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # One process needs no group.
        warnings.simplefilter("ignore")
        dcp.save(state, checkpoint_id=folder, no_dist=True)  # type: ignore[attr-defined]
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _model() -> nn.Module:
    """Return the same model every time, without changing torch's random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Small()


def companion_files() -> dict[str, bytes]:
    """Return files that lie beside the fuzzed ones: shards of an index, pieces of a metadata.

    Returns:
        Bytes by name.
    """
    weights = _model().state_dict()
    files = _distributed({"state_dict": weights, "epoch": 3})
    del files[".metadata"]
    names = list(weights)
    for number, shard in enumerate(SHARDS):
        part = {name: weights[name] for name in names[number::2]}
        files[shard] = safetensors.torch.save(part)
    return files


@cache
def valid_files() -> Mapping[str, bytes]:
    """Return one valid file of every format, by its name.

    Returns:
        Names with the ending that the format has, and bytes.
    """
    from lightning_resnets import create_model

    model = _model()
    weights = model.state_dict()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = create_model("resnet20").state_dict()
    arrays = {name: weight.numpy() for name, weight in weights.items()}
    index = {"weight_map": dict(zip(weights, SHARDS * len(weights), strict=False))}
    files = {
        "card.ckpt": _saved({"state_dict": state, "card": _card()}),
        "zip.pth": _saved({"state_dict": weights, "epoch": 3, "args": {"lr": 0.1}}),
        "legacy.pth": _saved({"state_dict": weights, "epoch": 3}, **LEGACY),
        "module.pth": _saved(model),
        "legacy-module.pth": _saved(model, **LEGACY),
        "a.safetensors": safetensors.torch.save(weights, {"card": json.dumps(_card())}),
        "a.npz": _npz(np.savez),
        "packed.npz": _npz(np.savez_compressed),
        "arrays.pkl": pickle.dumps(arrays, 4),
        "latin.pkl": pickle.dumps(arrays, 2),
        "model.safetensors.index.json": json.dumps(index).encode(),
        ".metadata": _distributed({"state_dict": weights, "epoch": 3})[".metadata"],
    }
    files |= {f"image.{form.lower()}": _image(form) for form in IMAGE_FORMATS}
    return files


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
    return _saved(views)


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
