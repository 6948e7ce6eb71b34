"""Bundled checkpoints are found by name, in a checkout and in an installed package."""

import sys
from pathlib import Path

import pytest

from lightning_resnets.checkpoint import CheckpointError, bundled_checkpoints, resolve_checkpoint

module = sys.modules["lightning_resnets.checkpoint.bundled"]  # the package names a function so


def files(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"x")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files(
        tmp_path / "checkpoints",
        "resnet20-cifar10.ckpt",
        "plain20-cifar10.safetensors",
        "README.md",
    )
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(module, "PACKAGE_DIR", tmp_path / "lightning_resnets")
    return tmp_path / "checkpoints"


def test_checkouts_list_their_folder_sorted(checkout: Path) -> None:
    expected = [
        ("plain20-cifar10", checkout / "plain20-cifar10.safetensors"),
        ("resnet20-cifar10", checkout / "resnet20-cifar10.ckpt"),
    ]
    assert list(bundled_checkpoints().items()) == expected


def test_wheels_list_the_folder_in_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "lightning_resnets"
    files(package / "bundled_checkpoints", "resnet20-cifar10.ckpt")
    files(tmp_path / "site-packages" / "checkpoints", "somebody-elses.ckpt")
    monkeypatch.setattr(module, "PACKAGE_DIR", package)
    assert list(bundled_checkpoints()) == ["resnet20-cifar10"]


def test_missing_folders_give_no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGE_DIR", tmp_path / "lightning_resnets")
    assert bundled_checkpoints() == {}
    with pytest.raises(
        CheckpointError, match=r"No file or bundled model named 'resnet20'\. Check the name"
    ):
        resolve_checkpoint("resnet20")


@pytest.mark.parametrize("name", ["resnet20-cifar10", "resnet20"])
def test_names_resolve_to_files(checkout: Path, name: str) -> None:
    assert resolve_checkpoint(name) == checkout / "resnet20-cifar10.ckpt"


def test_ambiguous_short_names_raise(checkout: Path) -> None:
    (checkout / "resnet20-cifar100.ckpt").touch()
    with pytest.raises(CheckpointError, match="resnet20-cifar10"):
        resolve_checkpoint("resnet20")


def test_bundled_names_win_over_files(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("resnet20-cifar10").touch()
    assert resolve_checkpoint(Path("resnet20-cifar10")) == Path("resnet20-cifar10")
    assert resolve_checkpoint("./resnet20-cifar10") == Path("resnet20-cifar10")
    assert resolve_checkpoint("resnet20-cifar10") == checkout / "resnet20-cifar10.ckpt"


def test_similar_names_are_suggested(checkout: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r".resnet20-cifar1.*\(bundled models: resnet20-cifar10"
    ):
        resolve_checkpoint("resnet20-cifar1")
