"""Models that ship are found by name in a checkout and in an installed package alike."""

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


def test_a_checkout_ships_its_folder_sorted(checkout: Path) -> None:
    expected = [
        ("plain20-cifar10", checkout / "plain20-cifar10.safetensors"),
        ("resnet20-cifar10", checkout / "resnet20-cifar10.ckpt"),
    ]
    assert list(bundled_checkpoints().items()) == expected


def test_a_wheel_ships_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "lightning_resnets"
    files(package / "bundled_checkpoints", "resnet20-cifar10.ckpt")
    files(tmp_path / "site-packages" / "checkpoints", "somebody-elses.ckpt")
    monkeypatch.setattr(module, "PACKAGE_DIR", package)
    assert list(bundled_checkpoints()) == ["resnet20-cifar10"]


def test_nothing_ships_where_no_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGE_DIR", tmp_path / "lightning_resnets")
    assert bundled_checkpoints() == {}
    with pytest.raises(
        CheckpointError, match="No file or bundled model named 'resnet20'. Check the name"
    ):
        resolve_checkpoint("resnet20")


@pytest.mark.parametrize("name", ["resnet20-cifar10", "resnet20"])
def test_found_by_name(checkout: Path, name: str) -> None:
    assert resolve_checkpoint(name) == checkout / "resnet20-cifar10.ckpt"


def test_a_short_name_must_be_the_only_one(checkout: Path) -> None:
    (checkout / "resnet20-cifar100.ckpt").touch()
    with pytest.raises(CheckpointError, match="resnet20-cifar10"):
        resolve_checkpoint("resnet20")


def test_paths_are_found_and_names_of_nets_win(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("resnet20-cifar10").touch()
    assert resolve_checkpoint(Path("resnet20-cifar10")) == Path("resnet20-cifar10")
    assert resolve_checkpoint("./resnet20-cifar10") == Path("resnet20-cifar10")
    assert resolve_checkpoint("resnet20-cifar10") == checkout / "resnet20-cifar10.ckpt"


def test_near_names_are_offered(checkout: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r".resnet20-cifar1.*\(bundled models: resnet20-cifar10"
    ):
        resolve_checkpoint("resnet20-cifar1")
