"""Folders of torch.distributed.checkpoint are read as torch itself reads them."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    MetadataIndex,
    TensorStorageMetadata,
)

from lightning_resnets import create_model
from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.errors import CheckpointError
from lightning_resnets.formats.read import read_checkpoint

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*no_dist"),
    pytest.mark.filterwarnings("ignore:torch.distributed is"),
    pytest.mark.filterwarnings("ignore:TypedStorage is deprecated"),
]


def save(folder: Path, value: dict[str, Any]) -> Path:
    dcp.save(  # type: ignore[attr-defined] - the documented name
        value, checkpoint_id=folder, no_dist=True
    )
    return folder


def training_state() -> dict[str, Any]:
    model = create_model("resnet20")
    optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9)
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    return {
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 7,
        "arch": "resnet20",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("dcp") / "step_100", training_state())


def test_tensors_equal_those_of_torchs_own_converter(folder: Path, tmp_path: Path) -> None:
    dcp_to_torch_save(folder, tmp_path / "whole.pt")
    theirs = torch.load(tmp_path / "whole.pt", weights_only=True)
    for path in (folder, folder / ".metadata", folder / "__0_0.distcp"):
        found = read_checkpoint(path)
        assert found.format == "PyTorch distributed"
        assert found.wrapper == "state_dict"
        assert found.metadata["epoch"] == 7
        assert found.metadata["arch"] == "resnet20"
        assert list(found.state_dict) == list(theirs["state_dict"])
        for name, weight in theirs["state_dict"].items():
            assert torch.equal(found.state_dict[name], weight)


def test_a_distributed_model_loads(folder: Path) -> None:
    loaded = load_checkpoint(folder)
    assert loaded.card.arch == "resnet20"


def split_in_two(folder: Path, name: str) -> None:
    """Store a tensor's halves as two ranks of a sharded run do, in a file of their own."""
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    whole = read_checkpoint(folder).state_dict[name.removeprefix("state_dict.")]
    half = len(whole) // 2
    entry: TensorStorageMetadata = metadata.state_dict_metadata[name]
    index = next(key for key in metadata.storage_data if key.fqn == name)
    info = metadata.storage_data.pop(index)
    entry.chunks.clear()
    for number, part in enumerate((whole[:half], whole[half:])):
        offset = torch.Size([number * half, *[0] * (whole.ndim - 1)])
        entry.chunks.append(ChunkStorageMetadata(offset, part.shape))
        path = folder / f"__{number + 1}_0.distcp"
        torch.save(part.clone(), path)
        key = MetadataIndex(name, offset, number)
        metadata.storage_data[key] = type(info)(path.name, 0, path.stat().st_size)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))


def test_tensors_in_pieces_are_put_together(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for name in ("state_dict.layer2.0.conv1.weight",):
        split_in_two(copy, name)
    dcp_to_torch_save(copy, tmp_path / "whole.pt")
    theirs = torch.load(tmp_path / "whole.pt", weights_only=True)["state_dict"]
    ours = read_checkpoint(copy).state_dict
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())


def change_metadata(folder: Path, change: Any) -> None:
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    change(metadata)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))


def drop_half(metadata: Any) -> None:
    """Leave a tensor with one of its two pieces."""
    key = next(key for key in metadata.storage_data if key.index == 1)
    del metadata.storage_data[key]


def overlap(metadata: Any) -> None:
    """Let two pieces of a tensor cover the same elements."""
    entry = metadata.state_dict_metadata["state_dict.layer2.0.conv1.weight"]
    first, second = entry.chunks
    entry.chunks[1] = ChunkStorageMetadata(first.offsets, second.sizes)
    key = next(key for key in metadata.storage_data if key.index == 1)
    info = metadata.storage_data.pop(key)
    metadata.storage_data[MetadataIndex(key.fqn, first.offsets, 5)] = info


def outside(metadata: Any) -> None:
    """Name a file in another folder."""
    info = next(iter(metadata.storage_data.values()))
    object.__setattr__(info, "relative_path", "../__0_0.distcp")


def absent(metadata: Any) -> None:
    """Name a file that does not exist."""
    info = next(iter(metadata.storage_data.values()))
    object.__setattr__(info, "relative_path", "__9_0.distcp")


def larger(metadata: Any) -> None:
    """Claim a shape that the pieces do not have."""
    entry = metadata.state_dict_metadata["state_dict.conv1.weight"]
    object.__setattr__(entry, "size", torch.Size([10**6, 10**6, 3, 3]))


DAMAGE = {
    drop_half: "metadata that does not describe its files",
    overlap: "metadata that does not describe its files",
    outside: "names a file outside its folder",
    absent: "'__9_0.distcp' is missing",
    larger: "metadata that does not describe its files",
}


@pytest.mark.parametrize("change", DAMAGE, ids=lambda change: change.__name__)
def test_damaged_metadata_raises(folder: Path, tmp_path: Path, change: Any) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    split_in_two(copy, "state_dict.layer2.0.conv1.weight")
    change_metadata(copy, change)
    with pytest.raises(CheckpointError, match=DAMAGE[change]):
        read_checkpoint(copy)


def test_code_in_the_metadata_raises_and_does_not_run(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    evil = b"\x80\x04cos\nmkdir\nX\x04\0\0\0evil\x85R."
    (copy / ".metadata").write_bytes(evil)
    with pytest.raises(CheckpointError, match="contains program code"):
        read_checkpoint(copy)


def test_parts_without_their_folder_are_explained(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "__0_0.distcp", tmp_path)
    with pytest.raises(CheckpointError, match=r"'.metadata' is missing beside it. Copy the whole"):
        read_checkpoint(tmp_path / "__0_0.distcp")


def test_deepspeed_folders_are_explained(tmp_path: Path) -> None:
    (tmp_path / "zero_to_fp32.py").write_text("")
    with pytest.raises(CheckpointError, match=r"DeepSpeed checkpoint. Convert it with the script"):
        read_checkpoint(tmp_path)


def test_the_card_beside_lightnings_folder_is_read(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    meta = {"card": {"arch": "x"}, "global_step": 3, "hyper_parameters": {"lr": 0.1}, "loops": {}}
    torch.save(meta, copy / "meta.pt")
    found = read_checkpoint(copy)
    assert found.card == {"arch": "x"}
    assert found.metadata["global_step"] == 3
    assert found.metadata["hyper_parameters"] == {"lr": 0.1}
