"""Files of every format, wrapper and dtype read as with torch, safetensors and NumPy."""

import argparse
import collections
import enum
import json
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint.bundled import bundled_checkpoints
from lightning_resnets.formats.read import read_checkpoint

KINDS = [
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
    torch.complex128,
]
FORMS = [(True, 2), (True, 3), (True, 4), (True, 5), (False, 2), (False, 3), (False, 4), (False, 5)]


class Small(nn.Module):
    """A model with everything that a state dict may leave out or repeat."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2)))
        self.again = self.inner[0]
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("kept", torch.arange(3))
        self.register_buffer("passing", torch.arange(5), persistent=False)
        self.register_buffer("absent", None)
        self.register_parameter("none", None)


class Level(enum.Enum):
    HIGH = 1


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert list(ours) == list(theirs)
    for name, weight in theirs.items():
        assert ours[name].dtype is weight.dtype
        assert ours[name].stride() == weight.stride() or not weight.numel()
        assert torch.equal(ours[name], weight)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("zipped", "protocol"), FORMS)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_every_dtype_equals_torch_load(
    tmp_path: Path, kind: torch.dtype, zipped: bool, protocol: int
) -> None:
    weights = {
        "a": torch.arange(24).reshape(2, 3, 4).to(kind),
        "b": torch.tensor(1).to(kind),
        "c": torch.empty(0, dtype=kind),
    }
    path = tmp_path / "file.pth"
    torch.save(weights, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(path)
    assert (found.format, found.wrapper, found.notes) == (
        "PyTorch zip" if zipped else "PyTorch before 1.6",
        "",
        (),
    )
    same(
        found.state_dict, torch.load(path, weights_only=protocol < 4)
    )  # torch's own safe way ends at protocol 3


@pytest.mark.parametrize("zipped", [True, False])
def test_views_and_shared_storages_equal_torch_load(tmp_path: Path, zipped: bool) -> None:
    base = torch.randn(6, 8)
    marked = nn.Parameter(torch.randn(3))
    marked.note = "an attribute of its own"  # type: ignore[attr-defined]
    noted = torch.randn(2)
    noted.note = 3  # type: ignore[attr-defined]
    weights = collections.OrderedDict(
        whole=base,
        part=base[1:4, 2:6],
        turned=base.T,
        row=base[2],
        empty=base[:0],
        strided=base[::2, ::3],
        parameter=nn.Parameter(torch.randn(2)),
        marked=marked,
        noted=noted,
        last=torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
    )
    path = tmp_path / "file.th"
    torch.save({"state_dict": weights, "epoch": 3}, path, _use_new_zipfile_serialization=zipped)
    ours = read_checkpoint(path).state_dict
    same(ours, torch.load(path, weights_only=False)["state_dict"])
    assert (
        ours["whole"].data_ptr()
        == ours["turned"].data_ptr()
        == ours["part"].untyped_storage().data_ptr()
    )
    assert not any(weight.requires_grad or weight.is_meta for weight in ours.values())


@pytest.mark.parametrize("kind", [torch.uint16, torch.uint32, torch.uint64], ids=str)
def test_dtypes_without_storage_class_are_read(tmp_path: Path, kind: torch.dtype) -> None:
    torch.save({"a": torch.arange(5).to(kind)}, tmp_path / "a.pt")
    same(
        read_checkpoint(tmp_path / "a.pt").state_dict,
        torch.load(tmp_path / "a.pt", weights_only=True),
    )


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapper", ["", "model", "net.model"])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_pickled_modules_give_their_state_dict(tmp_path: Path, zipped: bool, wrapper: str) -> None:
    model, path = Small(), tmp_path / "whole.pth"
    value: Any = model
    for name in reversed(wrapper.split(".") if wrapper else []):
        value = {name: value, "epoch": 3}
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(path)
    same(found.state_dict, dict(model.state_dict()))
    assert found.format == "pickled model"
    assert found.wrapper == wrapper
    assert "Small" in found.notes[0]
    assert "none of its code was executed" in found.notes[0]


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_pickled_torchvision_models_give_their_state_dict(tmp_path: Path, zipped: bool) -> None:
    torchvision = pytest.importorskip("torchvision")
    model = nn.DataParallel(torchvision.models.resnet18())
    torch.save(model, tmp_path / "whole.pth", _use_new_zipfile_serialization=zipped)
    same(read_checkpoint(tmp_path / "whole.pth").state_dict, dict(model.state_dict()))


def test_safetensors_equals_its_library(tmp_path: Path) -> None:
    kinds = [kind for kind in KINDS if not kind.is_complex]  # its oldest release writes none
    weights = {str(kind): torch.arange(6).reshape(2, 3).to(kind) for kind in kinds}
    weights |= {
        "number": torch.tensor(3.0),
        "none": torch.empty(0, 4),
        "ümläut.重み": torch.ones(1),
    }
    safetensors.torch.save_file(
        weights, tmp_path / "a.safetensors", {"card": json.dumps({"arch": "x"})}
    )
    found = read_checkpoint(tmp_path / "a.safetensors")
    theirs = safetensors.torch.load_file(tmp_path / "a.safetensors")
    same(dict(sorted(found.state_dict.items())), dict(sorted(theirs.items())))
    assert (found.format, found.card) == ("safetensors", {"arch": "x"})


@pytest.mark.parametrize("length", [0x280, 0x380, 0x480, 0x580])
def test_safetensors_with_a_pickle_like_length_is_read(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.safetensors"
    text = b'{"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}'.ljust(length)
    path.write_bytes(length.to_bytes(8, "little") + text + b"\1\2")
    assert path.read_bytes()[:1] == pickle.PROTO
    same(read_checkpoint(path).state_dict, safetensors.torch.load_file(path))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_equals_numpy(tmp_path: Path, save: Any) -> None:
    arrays = {
        f"layer/{kind}": np.arange(6).reshape(2, 3).astype(kind)
        for kind in ("f2", "f4", "f8", "i8", "u1", "?", "c8")
    }
    arrays |= {
        "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "number": np.array(2.5),
        "none": np.zeros((0, 3)),
    }
    save(
        tmp_path / "a.npz",
        **arrays,
        words=np.array(["cat", "dog"]),
        objects=np.array([{"a": 1}], dtype=object),
    )
    found = read_checkpoint(tmp_path / "a.npz")
    same(found.state_dict, {name: torch.from_numpy(array) for name, array in arrays.items()})
    assert found.format == "NumPy npz"
    assert "'words'" in found.notes[0]


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickled_arrays_are_read(tmp_path: Path, protocol: int) -> None:
    arrays = {
        "conv1_weights": np.linspace(0, 1, 12, dtype="f4").reshape(4, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    (tmp_path / "a.pdparams").write_bytes(
        pickle.dumps({**arrays, "StructuredToParameterName@@": {"a": "b"}}, protocol)
    )
    found = read_checkpoint(tmp_path / "a.pdparams")
    same(found.state_dict, {name: torch.from_numpy(array) for name, array in arrays.items()})


def test_bundled_checkpoints_are_read(tmp_path: Path) -> None:
    for path in bundled_checkpoints().values():
        found = read_checkpoint(path)
        theirs = torch.load(path, weights_only=True)
        same(found.state_dict, dict(theirs["state_dict"]))
        assert found.card == theirs["card"]
        assert found.wrapper == "state_dict"
        assert found.notes == ()


def test_unusual_weights_are_read(tmp_path: Path) -> None:
    weights = {f"ключ.{i}.重み": torch.full((2,), torch.nan) for i in range(10_000)}
    torch.save(weights, tmp_path / "many.pt")
    found = read_checkpoint(tmp_path / "many.pt").state_dict
    assert list(found) == list(weights)
    assert torch.stack(list(found.values())).isnan().all()


ONE, TWO = {"fc.weight": torch.ones(2)}, {"fc.weight": torch.zeros(2)}


@pytest.mark.parametrize(
    ("value", "wrapper"),
    [
        (ONE, ""),
        *(
            (
                {name: ONE, "optimizer": {"state": {0: {"a": torch.ones(3)}}, "param_groups": []}},
                name,
            )
            for name in (
                "state_dict",
                "model_state_dict",
                "model",
                "net",
                "network",
                "weights",
                "params",
                "module",
                "ema",
                "model_ema",
                "state_dict_ema",
                "ema_state_dict",
            )
        ),
        ({"state_dict_ema": TWO, "state_dict": ONE}, "state_dict"),
        (
            {"model": {"state_dict": ONE, "name": "x"}, "best": torch.tensor(3.0)},
            "model.state_dict",
        ),
        ({"generator": ONE, "note": 3}, "generator"),
        ({"net": torch.ones(2), "fc.weight": torch.ones(2)}, ""),
    ],
)
def test_wrappers_are_removed(tmp_path: Path, value: dict[str, Any], wrapper: str) -> None:
    torch.save(value, tmp_path / "a.pt")
    found = read_checkpoint(tmp_path / "a.pt")
    assert found.wrapper == wrapper
    assert torch.equal(found.state_dict["fc.weight"], torch.ones(2))
    averages = [note for note in found.notes if "moving average" in note]
    assert len(averages) == ("state_dict" in value and "state_dict_ema" in value)


def test_metadata_keeps_plain_values(tmp_path: Path) -> None:
    args = argparse.Namespace(
        lr=0.1, arch="resnet50", layers=[1, 2], where=Path("x"), level=Level.HIGH, none=None
    )
    value = {
        "state_dict": {"a": torch.ones(2), "_extra_state": None, "words": "text"},
        "arch": "resnet50",
        "epoch": 90,
        "best_acc1": torch.tensor(76.5),
        "best": np.float64(0.5),
        "count": np.int64(3),
        "args": args,
        "huge": list(range(10_000)),
        "optimizer": {"state": {0: torch.ones(9)}},
        "dtype": torch.float16,
        "size": torch.Size([2]),
        "hyper_parameters": {"lr": 0.1, "inner": {"a": (1, 2)}},
        "when": Level.HIGH,
        "card": {"arch": "x"},
    }
    torch.save(value, tmp_path / "a.ckpt")
    found = read_checkpoint(tmp_path / "a.ckpt")
    assert found.metadata == {
        "arch": "resnet50",
        "epoch": 90,
        "best_acc1": 76.5,
        "best": 0.5,
        "count": 3,
        "dtype": "torch.float16",
        "size": [2],
        "args": {"lr": 0.1, "arch": "resnet50", "layers": [1, 2], "none": None},
        "hyper_parameters": {"lr": 0.1, "inner": {"a": [1, 2]}},
    }
    json.dumps(found.metadata)
    assert found.card == {"arch": "x"}
    assert any(
        "program objects" in note and "Level" in note and "nothing was executed" in note
        for note in found.notes
    )
    assert any("'words'" in note for note in found.notes)


def test_only_weights_are_read_and_the_file_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightning_resnets.formats.source import FileReader

    read, fill = list[int](), FileReader.read_into
    monkeypatch.setattr(
        FileReader,
        "read_into",
        lambda self, start, memory: (read.append(len(memory)), fill(self, start, memory)),
    )
    path = tmp_path / "a.ckpt"
    torch.save(
        {
            "state_dict": {"a": torch.ones(10)},
            "optimizer_states": [{"state": {0: torch.ones(10**6)}}],
        },
        path,
    )
    weights = read_checkpoint(path).state_dict
    path.write_bytes(b"x")
    assert read == [40]
    assert torch.equal(weights["a"], torch.ones(10))


@pytest.mark.slow
def test_large_files_open_quickly(tmp_path: Path) -> None:
    torch.save(
        {str(i): torch.zeros(64_500) for i in range(932)}, tmp_path / "large.pt"
    )  # as many bytes as ResNet-152
    ours, theirs = list[float](), list[float]()
    for _ in range(5):
        start = time.perf_counter()
        read_checkpoint(tmp_path / "large.pt")
        ours.append(time.perf_counter() - start)
        torch.load(tmp_path / "large.pt", weights_only=True)
        theirs.append(time.perf_counter() - start - ours[-1])
    assert min(ours) < max(0.3, 1.5 * min(theirs))  # a busy machine is slow with both


def test_reading_never_calls_torch_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("called")

    torch.save(
        {"state_dict": {"a": torch.ones(2)}, "args": argparse.Namespace(a=1)}, tmp_path / "a.pt"
    )
    monkeypatch.setattr(torch, "load", never)
    monkeypatch.setattr(pickle, "load", never)
    monkeypatch.setattr(pickle, "Unpickler", never)
    assert list(read_checkpoint(tmp_path / "a.pt").state_dict) == ["a"]
