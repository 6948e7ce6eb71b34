"""Shards are read whole from their folder, their index or any of them."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from lightning_resnets import create_model
from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.errors import CheckpointError
from lightning_resnets.formats.read import read_checkpoint

WEIGHTS = {f"layer{i}.weight": torch.randn(4, 5) for i in range(7)}


def write_shards(
    folder: Path,
    weights: dict[str, Tensor],
    suffix: str = ".safetensors",
    count: int = 3,
    index: bool = True,
) -> list[Path]:
    """Write shards as huggingface_hub does; return their paths."""
    stem = "model" if suffix == ".safetensors" else "pytorch_model"
    names = list(weights)
    paths = list[Path]()
    weight_map = dict[str, str]()
    for number in range(count):
        path = folder / f"{stem}-{number + 1:05}-of-{count:05}{suffix}"
        part = {name: weights[name].contiguous() for name in names[number::count]}
        if suffix == ".safetensors":
            safetensors.torch.save_file(part, path, {"format": "pt"})
        else:
            torch.save(part, path)
        weight_map |= dict.fromkeys(part, path.name)
        paths.append(path)
    if index:
        # The index keeps the model's own order.
        table = {name: weight_map[name] for name in names}
        text = json.dumps({"metadata": {"total_size": 1}, "weight_map": table})
        (folder / f"{stem}{suffix}.index.json").write_text(text)
    return paths


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("index", [True, False])
def test_folder_index_and_every_shard_give_all_weights(
    tmp_path: Path, suffix: str, index: bool
) -> None:
    shards = write_shards(tmp_path, WEIGHTS, suffix, index=index)
    (tmp_path / "config.json").write_text("{}")
    given = [tmp_path, *shards, *tmp_path.glob("*.index.json")]
    assert len(given) == 4 + index
    for path in given:
        found = read_checkpoint(path)
        assert found.state_dict.keys() == WEIGHTS.keys()
        assert all(torch.equal(found.state_dict[name], WEIGHTS[name]) for name in WEIGHTS)
        assert found.format.endswith(", 3 shards")
        assert found.nbytes == sum(shard.stat().st_size for shard in shards)
        if index:
            assert list(found.state_dict) == list(WEIGHTS)


def test_safetensors_are_preferred_to_pickles(tmp_path: Path) -> None:
    write_shards(tmp_path, WEIGHTS, ".bin")
    write_shards(tmp_path, WEIGHTS)
    assert read_checkpoint(tmp_path).format == "safetensors, 3 shards"


def test_a_sharded_model_loads(tmp_path: Path) -> None:
    model = create_model("resnet20").eval()
    write_shards(tmp_path, model.state_dict())
    images = torch.randn(2, 3, 32, 32)
    loaded = load_checkpoint(tmp_path)
    assert loaded.card.arch == "resnet20"
    assert torch.equal(loaded.model(images), model(images))


def test_the_only_checkpoint_of_a_folder_is_read(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "best.pth")
    (tmp_path / "log.txt").write_text("")
    assert read_checkpoint(tmp_path).state_dict.keys() == WEIGHTS.keys()
    torch.save(WEIGHTS, tmp_path / "last.pth")
    with pytest.raises(CheckpointError, match=r"several checkpoints. Choose one: best.pth, last"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("index", [True, False])
def test_missing_shards_are_named(tmp_path: Path, index: bool) -> None:
    shards = write_shards(tmp_path, WEIGHTS, index=index)
    shards[1].unlink()
    for path in (tmp_path, shards[0]):
        with pytest.raises(CheckpointError, match=r"missing \(model-00002-of-00003.safetensors\)"):
            read_checkpoint(path)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.pt",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a/b.pt",
        "..\\x",
        "C:x",
        "a\0b",
        3,
        None,
        ["a"],
    ],
)
def test_indices_that_name_files_elsewhere_raise(tmp_path: Path, name: object) -> None:
    torch.save(WEIGHTS, tmp_path / "secret.pt")
    folder = tmp_path / "model"
    folder.mkdir()
    text = json.dumps({"weight_map": {"layer0.weight": name}})
    (folder / "model.safetensors.index.json").write_text(text)
    expected = "outside its folder" if isinstance(name, str) else "not a valid index"
    with pytest.raises(CheckpointError, match=expected):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {}}', "[" * 100_000, "\xff"]
)
def test_invalid_indices_raise(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text, encoding="latin-1")
    with pytest.raises(CheckpointError, match=r"not a valid index|is empty"):
        read_checkpoint(tmp_path)


def test_shards_that_do_not_match_their_index_raise(tmp_path: Path) -> None:
    write_shards(tmp_path, WEIGHTS)
    index = tmp_path / "model.safetensors.index.json"
    table = json.loads(index.read_text())
    table["weight_map"]["absent.weight"] = "model-00001-of-00003.safetensors"
    index.write_text(json.dumps(table))
    with pytest.raises(CheckpointError, match=r"'absent.weight' is not in the shard"):
        read_checkpoint(tmp_path)


def test_names_in_two_shards_raise(tmp_path: Path) -> None:
    for number in (1, 2):
        safetensors.torch.save_file(WEIGHTS, tmp_path / f"m-0000{number}-of-00002.safetensors")
    with pytest.raises(CheckpointError, match=r"'layer0.weight' in more than one shard"):
        read_checkpoint(tmp_path)


def test_errors_name_the_shard(tmp_path: Path) -> None:
    shards = write_shards(tmp_path, WEIGHTS)
    shards[2].write_bytes(shards[2].read_bytes()[:-9])
    with pytest.raises(
        CheckpointError, match=r"The shard 'model-00003-of-00003.safetensors' is tr"
    ):
        read_checkpoint(tmp_path)
