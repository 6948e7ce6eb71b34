"""Test the files that an analysis writes, and its output folder."""

import json
import math
from pathlib import Path

import pytest

from lightning_resnets.analysis.result import Table
from lightning_resnets.cli.analysis_files import output_dir, save_result
from lightning_resnets.errors import AnalysisError


class TwoTables:
    """Result with a table of its own name, one with another name, and an empty one."""

    def tables(self) -> dict[str, Table]:
        numbers = Table(("a", "b", "c"), ((0.1 + 0.2, True, 2**70), (math.inf, None, 1)))
        return {"name": numbers, "extra": numbers, "empty": Table(("a",), ())}

    def draw(self, figure: object) -> None:
        raise AssertionError("no figure was asked for")


def test_empty_tables_and_figures_are_left_out(tmp_path: Path) -> None:
    paths = save_result(TwoTables(), "name", tmp_path / "new", "none")
    names = ["name.csv", "name.json", "name-extra.csv", "name-extra.json"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(names)


def test_files_have_rounded_numbers(tmp_path: Path) -> None:
    save_result(TwoTables(), "name", tmp_path, "none")
    assert (tmp_path / "name.csv").read_text() == f"a,b,c\n0.3,true,{2**70}\ninf,,1\n"
    rows = json.loads((tmp_path / "name.json").read_text())
    assert rows == [{"a": 0.3, "b": True, "c": 2**70}, {"a": None, "b": None, "c": 1}]
    # The table in Python is exact.
    assert TwoTables().tables()["name"].rows[0][0] == 0.1 + 0.2


def test_empty_output_folder_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with output_dir(folder):
        assert folder.is_dir()
    assert not (tmp_path / "new").exists()


def test_output_folder_with_files_stays(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with output_dir(folder):
        (folder / "file.txt").touch()
    assert (folder / "file.txt").is_file()


def test_output_folder_that_is_a_file_raises(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    message = r"Cannot write to '.*/taken' \(File exists\). Choose another folder with --out."
    with pytest.raises(AnalysisError, match=message), output_dir(tmp_path / "taken"):
        pass
