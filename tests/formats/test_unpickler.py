"""The unpickler reads plain data like pickle and nothing else, with bounded memory."""

import io
import pickle
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_resnets.errors import CheckpointError
from lightning_resnets.formats.budget import Budget
from lightning_resnets.formats.pickled_objects import GlobalName, OpaqueObject
from lightning_resnets.formats.read import read_checkpoint
from lightning_resnets.formats.unpickler import Unpickler

NUMBERS = st.integers() | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text() | st.binary()
NAMES = st.text() | st.integers(-(2**59), 2**59) | st.booleans() | st.none()
PLAIN = st.recursive(
    SCALARS | st.sets(NAMES) | st.frozensets(NAMES),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(NAMES, inner),
    max_leaves=30,
)


def loaded(data: bytes) -> Any:
    return Unpickler(lambda _: None, Budget()).load(io.BytesIO(data))


@given(PLAIN, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_plain_data_equals_pickle(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    if protocol < 3 and b"_codecs" in data:  # bytes as text, left so until they are needed
        return
    assert repr(loaded(data)) == repr(pickle.loads(data))


def test_recursive_lists_keep_identity() -> None:
    inner = [1]
    value: list[Any] = [inner, inner, {"a": inner}, (inner,)]
    value.append(value)
    for protocol in range(6):
        ours = loaded(pickle.dumps(value, protocol))
        assert ours[4] is ours
        assert ours[0] is ours[1] is ours[2]["a"] is ours[3][0]


def test_recursive_tuples_keep_identity() -> None:
    value: tuple[list[Any]] = ([],)
    value[0].append(value)
    for protocol in range(6):
        ours = loaded(pickle.dumps(value, protocol))
        assert ours[0][0] is ours


class Thing:
    def __init__(self) -> None:
        self.a = [1, 2]


@pytest.mark.parametrize("protocol", range(6))
def test_unknown_objects_stay_opaque(protocol: int) -> None:
    thing = loaded(pickle.dumps(Thing(), protocol))
    assert isinstance(thing, OpaqueObject)
    assert thing.name.name == "Thing"
    assert thing.state == {"a": [1, 2]}
    assert loaded(pickle.dumps(Thing, protocol)) == GlobalName(Thing.__module__, "Thing")


def long4(number: int) -> bytes:
    data = number.to_bytes(number.bit_length() // 8 + 1, "little")
    return b"\x8b" + struct.pack("<i", len(data)) + data


GLOBAL = b"cjunk\nThing\n"
BOMBS: dict[str, bytes] = {
    "lists": b"]" * 10**7,
    "sets": b"\x8f" * 10**6,
    "deep": b"(" * 10**6,
    "nested lists": b"]" * 700_000 + b"a" * 700_000,
    "nested tuples": b")" + b"\x85" * 700_000,
    "hashed tuples": b"}" + b")" + b"2\x86" * 200 + b"Ns",
    "hashed in a set": b"\x8f(" + b")" + b"2\x86" * 200 + b"\x90",
    "memo": b"]" + b"\x94" * 10**6,
    "doubled": b"]" + b"".join(b"2a" for _ in range(300_000)),
    "itself": b"]\x94" + b"(" + b"h\0" * 350_000 + b"e",
    "huge number": long4(2**400_000_000),
    "long text number": b"L" + b"9" * 10**6 + b"L\n",
    "bytearray": b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R",
    "bytes": b"cbuiltins\nbytes\nJ\xff\xff\xff\x7f\x85R",
    "huge claim": b"\x8e" + b"\xff" * 7 + b"\x7f",
    "huge bytearray claim": b"\x96" + b"\xff" * 7 + b"\x00",
    "copied tables": b"ccollections\nOrderedDict\n\x940}("
    + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(60_000))
    + b"u\x85\x94("
    + b"h\0h\1R" * 200_000
    + b"t",
    "copied lists": b"cbuiltins\nset\n\x940]("
    + b"N" * 100_000
    + b"e\x85\x94("
    + b"h\0h\1R" * 200_000
    + b"t",
    "same numbers": b"}("
    + b"".join(
        b"\x8a\x0a" + (k * (2**61 - 1)).to_bytes(10, "little") + b"N" for k in range(1, 150_000)
    )
    + b"u",
    "many objects": b"(" + (GLOBAL + b")R") * 250_000 + b"t",
    "long names": b"(" + (b"c" + b"m" * 100_000 + b"\nThing\n)R") * 300 + b"t",
    "calls of calls": GLOBAL + b")R" * 400_000,
    "extension": b"\x82\x01",
    "buffer": b"\x97",
    "nothing": b"",
    "empty stack": b"\x86",
    "pop nothing": b"0",
    "mark only": b"(",
    "calls a number": b"K\x01)R",
    "list of a number": b"K\x01K\x02a",
    "no such memo": b"h\x07",
    "not a name": b"K\x01K\x02\x93",
    "no newline": b"cos",
    "bad utf": b"\x8c\x02\xff\xff",
    "bad opcode": b"\xff",
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.filterwarnings("error")
def test_pickle_bombs_raise(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb.pkl"
    path.write_bytes(b"\x80\x04" + BOMBS[name] + b".")
    start = time.process_time()
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert time.process_time() - start < 4  # half of that where the machine has nothing else to do
    text = str(caught.value)
    assert text.startswith("'bomb.pkl' ")
    assert text.endswith(".")
    assert text.isprintable()


@pytest.mark.parametrize(
    "name",
    ["bytearray", "bytes", "huge claim", "huge bytearray claim", "hashed tuples", "long names"],
)
def test_pickled_allocations_are_not_made(tmp_path: Path, name: str) -> None:
    (tmp_path / "bomb.pkl").write_bytes(b"\x80\x04" + BOMBS[name] + b".")
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            read_checkpoint(tmp_path / "bomb.pkl")
        assert tracemalloc.get_traced_memory()[1] < 10**8
    finally:
        tracemalloc.stop()


NAMED = [
    "os system",
    "posix system",
    "nt popen",
    "subprocess Popen",
    "builtins eval",
    "builtins exec",
    "__builtin__ eval",
    "builtins __import__",
    "builtins open",
    "importlib import_module",
    "runpy run_path",
    "pickle loads",
    "torch load",
    "torch.hub load",
    "torch os.system",
    "shutil rmtree",
    "socket socket",
    "marshal loads",
    "webbrowser open",
    "pty spawn",
]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("form", ["global", "stack", "inst"])
def test_unsafe_globals_raise(tmp_path: Path, name: str, form: str) -> None:
    module, what = name.encode().split()
    call = {
        "global": b"c" + module + b"\n" + what + b"\n)R",
        "stack": b"\x8c"
        + bytes([len(module)])
        + module
        + b"\x8c"
        + bytes([len(what)])
        + what
        + b"\x93)R",
        "inst": b"(i" + module + b"\n" + what + b"\n",
    }[form]
    (tmp_path / "evil.pkl").write_bytes(b"\x80\x04" + call + b".")
    with pytest.raises(
        CheckpointError, match=r"contains program code beside its weights \(.*Nothing was executed"
    ):
        read_checkpoint(tmp_path / "evil.pkl")


def test_calling_a_getattr_result_raises() -> None:
    got = b"\x80\x04cbuiltins\ngetattr\n(cjunk\nThing\n\x8c\x04HIGHtR"
    assert isinstance(loaded(got + b"."), OpaqueObject)
    with pytest.raises(CheckpointError, match="program code"):
        loaded(got + b")R.")
