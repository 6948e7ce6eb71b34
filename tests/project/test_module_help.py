"""Tests that `python -m MODULE --help` prints help and writes nothing."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def find_modules() -> list[str]:
    """Return the modules of package and benchmarks that can be run with `python -m`."""
    folders = (ROOT / "lightning_resnets", ROOT / "benchmarks")
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in paths
        if 'if __name__ == "__main__":' in path.read_text()
    ]


def test_there_are_modules_to_run() -> None:
    assert {"lightning_resnets.training.results_page", "benchmarks.report"} <= set(find_modules())


@pytest.mark.parametrize("name", find_modules())
def test_help_prints_and_ends(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise AssertionError("a file was written")

    module = importlib.import_module(name)
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    for method in ("write_text", "write_bytes", "mkdir", "replace"):
        monkeypatch.setattr(Path, method, fail)
    with pytest.raises(SystemExit) as caught:
        module.main()
    assert caught.value.code == 0
    assert "usage: " in capsys.readouterr().out


def test_modules_of_the_tests_parse_their_arguments_first() -> None:
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test):
                assert "parse_args()" in ast.unparse(node.body[0]), path
