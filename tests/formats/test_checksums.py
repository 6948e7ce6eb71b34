"""A flipped bit is reported wherever the format has a checksum."""

import random
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_resnets.errors import CheckpointError
from lightning_resnets.formats.read import read_checkpoint

WEIGHTS = {f"layer{i}.weight": torch.randn(40, 50, generator=None) for i in range(6)}


def save_npz(path: Path, save: Callable[..., None] = np.savez) -> None:
    with path.open("wb") as file:
        save(file, **{name: weight.numpy() for name, weight in WEIGHTS.items()})


FORMS: dict[str, Callable[[Path], object]] = {
    "torch.save": lambda path: torch.save({"state_dict": WEIGHTS, "epoch": 3}, path),
    "npz": save_npz,
    "packed npz": lambda path: save_npz(path, np.savez_compressed),
}


def flip_bit(path: Path, position: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def find_member(path: Path, name: str) -> tuple[int, int]:
    """Return start and length of a member's bytes, as the zip's own headers say."""
    with zipfile.ZipFile(path) as archive:
        info = next(info for info in archive.infolist() if info.filename.endswith(name))
    data = path.read_bytes()
    lengths = data[info.header_offset + 26 : info.header_offset + 30]
    skip = int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
    return info.header_offset + 30 + skip, info.compress_size


@pytest.mark.parametrize("form", FORMS)
def test_every_flipped_bit_inside_a_weight_is_reported(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.ckpt"
    FORMS[form](path)
    intact = path.read_bytes()
    rng = random.Random(0)
    names = ["data/0", "data/3"] if form == "torch.save" else ["layer0.weight.npy"]
    for _ in range(30):
        start, size = find_member(path, rng.choice(names))
        flip_bit(path, start + rng.randrange(128, size), rng.randrange(8))
        # A flipped bit of compressed data may also be invalid at once.
        with pytest.raises(CheckpointError, match=r"is (truncated or )?damaged") as caught:
            read_checkpoint(path)
        if form != "packed npz":
            assert "checksum of 'layer" in str(caught.value)
            assert str(caught.value).endswith("does not match its data. Copy or download it again.")
        path.write_bytes(intact)
    assert len(read_checkpoint(path).state_dict) == 6


def test_a_flipped_bit_in_the_structure_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": WEIGHTS, "note": "a" * 200}, path)
    position = path.read_bytes().index(b"aaaaaaaaaa") + 5
    flip_bit(path, position, 1)
    with pytest.raises(CheckpointError, match=r"the checksum of 'data.pkl' does not match"):
        read_checkpoint(path)


def test_shared_storages_are_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.ones(1000)
    torch.save({f"w{i}": weight for i in range(50)}, tmp_path / "a.pt")
    lengths = list[int]()
    real = zlib.crc32

    def count(data: bytes, value: int = 0) -> int:
        lengths.append(len(data))
        return real(data, value)

    monkeypatch.setattr("lightning_resnets.formats.source.zlib.crc32", count)
    read_checkpoint(tmp_path / "a.pt")
    assert lengths.count(4000) == 1


def test_damage_outside_the_weights_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    value = {"state_dict": WEIGHTS, "optimizer": {"state": {0: torch.full((5000,), 7.0)}}}
    torch.save(value, path)
    position = path.read_bytes().index(torch.full((5000,), 7.0).numpy().tobytes())
    flip_bit(path, position + 100, 3)
    assert torch.equal(read_checkpoint(path).state_dict["layer0.weight"], WEIGHTS["layer0.weight"])


def test_files_saved_without_checksums_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(WEIGHTS, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read_checkpoint(path).state_dict["layer0.weight"], WEIGHTS["layer0.weight"])
