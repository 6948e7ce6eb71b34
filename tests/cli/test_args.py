"""Output paths are checked before any slow work, with one message."""

from pathlib import Path

import pytest

from lightning_resnets.cli.args import check_output_path
from lightning_resnets.errors import CheckpointError

SUFFIXES = (".pth", ".onnx")


def test_new_files_and_links_to_new_files_are_accepted(tmp_path: Path) -> None:
    check_output_path(tmp_path / "new.pth", SUFFIXES, False)
    check_output_path(tmp_path / f"{'n' * 247}.onnx", SUFFIXES, False)
    link = tmp_path / "link.pth"
    link.symlink_to(tmp_path / "target.bin")
    check_output_path(link, SUFFIXES, False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.txt", "must end in .pth or .onnx"),
        ("folder.pth", "is a folder"),
        ("nowhere/model.pth", "does not exist. Create it first"),
        ("old.pth", "already exists. Choose another name or add --overwrite"),
        ("link.pth", "already exists"),
        ("broken.pth", "gone' does not exist"),
        ("pipe.pth", "is not a regular file"),
        ("n" * 300 + ".pth", "File name too long"),
    ],
)
def test_other_paths_raise(tmp_path: Path, name: str, message: str) -> None:
    import os

    (tmp_path / "folder.pth").mkdir()
    (tmp_path / "old.pth").write_text("old")
    (tmp_path / "link.pth").symlink_to(tmp_path / "old.pth")
    (tmp_path / "broken.pth").symlink_to(tmp_path / "gone" / "model.pth")
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(CheckpointError, match=message):
        check_output_path(tmp_path / name, SUFFIXES, False)


def test_input_file_is_never_replaced_even_through_a_link(tmp_path: Path) -> None:
    source = tmp_path / "a.pth"
    source.write_text("weights")
    link = tmp_path / "b.pth"
    link.symlink_to(source)
    with pytest.raises(CheckpointError, match="is the input file"):
        check_output_path(link, SUFFIXES, True, source)
