"""The `run` script: plain POSIX, quick the second time, and a sentence for what it cannot do."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "run"


def run(folder: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", **environment}
    return subprocess.run(
        [str(folder / "run"), *args], capture_output=True, text=True, env=env, timeout=60
    )


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The script in a project of its own, with an environment whose Python only says what it is
    asked to run.
    """
    shutil.copy(RUN, tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    program(
        tmp_path,
        ".venv/bin/python",
        'case "$1" in -V) echo Python 3.11 ;; -c) ;; *) echo "$@" ;; esac',
    )
    program(tmp_path, ".venv/bin/uv", 'echo "uv $*"')
    program(tmp_path, "bin/uv", "exit 1")  # too old, whatever else is on the PATH
    return tmp_path


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_shells_can_read_it(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not here")
    given = [shell, "-n", str(RUN)]
    assert not subprocess.run(given, capture_output=True).stderr


def test_help_and_a_wrong_word(tmp_path: Path) -> None:
    shutil.copy(RUN, tmp_path)
    assert "./run demo" in run(tmp_path, "help").stdout
    wrong = run(tmp_path, "demos")
    assert wrong.returncode == 2
    assert "./run demo" in wrong.stderr
    assert not (tmp_path / ".venv").exists()


def test_set_up_once_and_again_only_after_a_change(copy: Path) -> None:
    first = run(copy, "test", "-k", "x")
    assert "--editable . --group dev" in first.stdout
    assert first.stdout.splitlines()[-1] == "-m pytest --numprocesses 2 -k x"
    start = time.perf_counter()
    second = run(copy, "test")
    assert time.perf_counter() - start < 2
    assert "uv" not in second.stdout
    assert not second.stderr
    (copy / "pyproject.toml").write_text('[project]\nname = "changed"\n')
    assert "--group dev" in run(copy, "test").stdout


def test_a_uv_on_the_path_is_taken_where_it_is_new_enough(copy: Path) -> None:
    program(copy, "bin/uv", 'echo "own uv, with --group: $*"')
    assert "own uv, with --group: pip install" in run(copy, "test").stdout


def test_a_failed_set_up_is_tried_again(copy: Path) -> None:
    program(copy, ".venv/bin/uv", "exit 1")
    assert run(copy, "test").returncode == 1
    assert not (copy / ".venv" / "stamp").exists()


def test_an_old_python_gets_a_sentence(tmp_path: Path) -> None:
    shutil.copy(RUN, tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    tools = tmp_path / "bin"
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        program(tools, name, "exit 1")
    for name in ("sh", "dirname", "cat", "tail", "rm", "cksum", "id", "uname"):
        (tools / name).symlink_to(shutil.which(name) or "")
    done = run(tmp_path, "test", PATH=str(tools))
    assert done.returncode == 1
    assert "Python 3.11 or newer is required" in done.stderr
    assert "Traceback" not in done.stderr
