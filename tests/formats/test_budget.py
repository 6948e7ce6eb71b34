"""Whatever a file contains, reading it takes bounded time and memory."""

import contextlib
import json
import pickle
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.sized_pickles import (
    EMOJI,
    MAKERS,
    PROTOCOL,
    dump_bytes,
    dump_list,
    dump_pairs,
    dump_set,
    dump_table,
    dump_text,
    random_sized_pickle,
    repeat_calls,
)
from lightning_resnets.errors import CheckpointError
from lightning_resnets.formats.read import read_checkpoint
from tests.helpers.peak_memory import peak_growth

FREE = 200 * 10**6
SIZE, SET, FROZENSET, ORDERED_DICT, *_ = MAKERS

MEGABYTE = b"a" * 10**6

# Each is small, and asks for gigabytes or minutes.
GREEDY: dict[str, Callable[[], bytes]] = {
    "size of a text": lambda: repeat_calls(SIZE, dump_text(MEGABYTE), 600),
    "size of bytes": lambda: repeat_calls(SIZE, dump_bytes(MEGABYTE), 600),
    "size of a table": lambda: repeat_calls(SIZE, dump_table(100_000), 600),
    "set of a text": lambda: repeat_calls(SET, dump_text(MEGABYTE), 400),
    "set of a table": lambda: repeat_calls(SET, dump_table(100_000), 400),
    "set of a set": lambda: repeat_calls(SET, dump_set(100_000), 400),
    "frozenset of bytes": lambda: repeat_calls(FROZENSET, dump_bytes(MEGABYTE), 400),
    "table of texts of two letters": lambda: repeat_calls(ORDERED_DICT, dump_pairs(90_000), 600),
    "list of texts": lambda: repeat_calls(SIZE, dump_list(100_000), 600),
    "ids that are long tuples": lambda: (
        PROTOCOL
        + b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\1"
        + b"N" * 100_000
        + b"tq\0"
        + b"h\0Q" * 100_000
        + b"."
    ),
    "calls with many arguments": lambda: (
        PROTOCOL + b"cjunk\nThing\nq\x000(" + b"N" * 200_000 + b"tq\1" + b"h\0h\1R" * 60_000 + b"."
    ),
    "complex numbers of long texts": lambda: repeat_calls(
        b"cbuiltins\ncomplex\n", dump_text(b"1" * 10**6), 60_000
    ),
}


def check(path: Path, seconds: float = 4) -> None:
    """Read a file; raise if it takes too long or too much memory, or fails without a message."""

    def read() -> None:
        with contextlib.suppress(CheckpointError):
            read_checkpoint(path)

    start = time.process_time()
    growth = peak_growth(read)
    assert time.process_time() - start < seconds
    assert growth < 2 * path.stat().st_size + FREE


@pytest.mark.parametrize("name", GREEDY)
def test_calls_with_sized_arguments_are_charged(tmp_path: Path, name: str) -> None:
    path = tmp_path / "greedy.pkl"
    path.write_bytes(GREEDY[name]())
    assert path.stat().st_size < 3 * 10**6
    check(path)
    with pytest.raises(CheckpointError):
        read_checkpoint(path)


@given(st.integers(0, 2**32))
@settings(max_examples=5, deadline=None)
def test_random_pickles_of_sized_things_take_bounded_memory(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    path = tmp_path_factory.mktemp("sized") / "a.pkl"
    path.write_bytes(random_sized_pickle(random.Random(seed), 2**18))
    check(path)


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [20, 100, 400])
@pytest.mark.parametrize("opcode", ["binary", "line"])
def test_one_wide_letter_does_not_widen_a_long_text(
    tmp_path: Path, megabytes: int, opcode: str
) -> None:
    path = tmp_path / "wide.pkl"
    with path.open("wb") as file:
        file.write(PROTOCOL)
        # V is a line of raw Unicode escapes, X a text behind its length.
        head = b"V\\U0001f600" if opcode == "line" else b"X" + struct.pack("<I", megabytes * 10**6)
        file.write(head)
        for number in range(megabytes):
            file.write(MEGABYTE[: -len(EMOJI)] + EMOJI if number == 0 else MEGABYTE)
        file.write(b"\n." if opcode == "line" else b".")
    check(path)


def test_latin_1_texts_of_arrays_are_still_read(tmp_path: Path) -> None:
    # Protocol 2 has no bytes: every byte is a letter, half of them two bytes in the file.
    array = np.random.default_rng(0).integers(0, 256, 2 * 10**7, np.uint8)
    path = tmp_path / "latin.pkl"
    path.write_bytes(pickle.dumps({"a": array}, 2))
    found = read_checkpoint(path).state_dict["a"]
    assert torch.equal(found, torch.from_numpy(array))
    check(path)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_honest_files_take_twice_their_size_at_most(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.pth"
    weights = {str(i): torch.ones(2 * 10**6) for i in range(10)}
    if form == "pickle":
        path.write_bytes(pickle.dumps({name: w.numpy() for name, w in weights.items()}))
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=form == "zip")
    assert peak_growth(lambda: read_checkpoint(path)) < 2.2 * path.stat().st_size


def test_packed_arrays_are_counted_before_they_are_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "packed.npz"
    # 150 MB in 10 MB: less than 20 times.
    noise = np.frombuffer(random.Random(0).randbytes(10**7), np.uint8)
    with path.open("wb") as file:
        np.savez_compressed(file, noise=noise, zeros=np.zeros(14 * 10**7, np.uint8))
    with pytest.raises(CheckpointError, match=r"unpacks to 150 MB, many times its own size"):
        read_checkpoint(path)
    check(path)


def test_packed_arrays_take_memory_once(tmp_path: Path) -> None:
    path = tmp_path / "packed.npz"
    with path.open("wb") as file:
        noise = np.frombuffer(random.Random(0).randbytes(2 * 10**7), np.uint8)
        np.savez_compressed(file, a=noise)
    growth = peak_growth(lambda: read_checkpoint(path))
    assert growth < 1.5 * len(noise)


def test_overlapping_views_are_charged(tmp_path: Path) -> None:
    base = torch.zeros(4 * 10**6)
    # Each differs from all others, so that each could need a copy later.
    torch.save({str(i): base[i:] for i in range(250)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="implausibly large structure"):
        read_checkpoint(tmp_path / "a.pth")


def test_equal_views_are_one_tensor(tmp_path: Path) -> None:
    base = torch.arange(6.0)
    torch.save({"a": base, "b": base, "c": base[:3], "d": base[:3]}, tmp_path / "a.pth")
    state = read_checkpoint(tmp_path / "a.pth").state_dict
    assert state["a"] is state["b"]
    assert state["c"] is state["d"]
    assert state["a"].data_ptr() == state["c"].data_ptr()


def test_indices_of_shards_are_bounded(tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {str(i): f"{i}" for i in range(150_000)}}))
    start = time.process_time()
    with pytest.raises(CheckpointError):
        read_checkpoint(index)
    assert time.process_time() - start < 4
