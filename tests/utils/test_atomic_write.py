"""A written file is the old one or the new one, whole; links and long names are kept."""

import os
import resource
from pathlib import Path

import pytest

from lightning_resnets.errors import CheckpointError
from lightning_resnets.utils.atomic_write import MAX_NAME_BYTES, atomic_write, atomic_write_text


def test_target_of_a_symbolic_link_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "model.pth", tmp_path / "latest.pth"
    target.write_text("old")
    link.symlink_to(target)
    atomic_write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert list((tmp_path / "disk").iterdir()) == [target]


def test_target_of_a_dangling_and_of_a_chained_link_is_created(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.symlink_to(second)
    second.symlink_to("target.txt")
    atomic_write_text(first, "text")
    assert (tmp_path / "target.txt").read_text() == "text"
    assert first.is_symlink()
    assert second.is_symlink()


@pytest.mark.parametrize("stem", ["n" * 240, "n" * 251, "ü" * 125, "a." + "b" * 249])
def test_longest_names_are_written(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.pth"
    assert len(os.fsencode(path.name)) <= MAX_NAME_BYTES
    atomic_write_text(path, "text")
    assert path.read_text() == "text"
    assert list(tmp_path.iterdir()) == [path]


def test_too_long_name_is_one_short_message(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Choose a shorter name") as caught:
        atomic_write_text(tmp_path / f"{'n' * 300}.pth", "text")
    assert len(str(caught.value)) < 200


def test_full_disk_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    atomic_write_text(path, "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel ends the write in the middle, as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(CheckpointError, match="The previous file is intact"):
            atomic_write_text(path, "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_of_the_replaced_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_text("old")
    path.chmod(0o640)
    with atomic_write(path) as part:
        part.write_text("new")
    assert path.stat().st_mode & 0o777 == 0o640


def test_text_has_the_same_bytes_on_every_system(tmp_path: Path) -> None:
    atomic_write_text(tmp_path / "a.txt", "ä\n→\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa4\n\xe2\x86\x92\n"
