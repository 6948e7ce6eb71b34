"""Fuzzing finds nothing, and would find each kind of problem."""

import mmap
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import fuzz, fuzz_files, fuzz_seeds
from benchmarks.fuzz import Opener, Outcome, find_problems, open_file


class InProcess:
    """Opens files in this process."""

    def open(self, path: Path) -> Outcome:
        return open_file(path)


@pytest.fixture(autouse=True)
def keep_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CANARY", "")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_few_files_open_without_problems(tmp_path: Path) -> None:
    assert not fuzz.fuzz(30, 1, InProcess(), tmp_path)


def test_valid_files_of_every_format_are_read(tmp_path: Path) -> None:
    for name, data in (fuzz_seeds.companion_files() | dict(fuzz_seeds.valid_files())).items():
        (tmp_path / name).write_bytes(data)
    for name in fuzz_seeds.valid_files():
        outcome = open_file(tmp_path / name)
        assert outcome.opened, outcome
        # All but the card's are of a model that nobody knows.
        assert "damaged" not in outcome.text


def test_files_follow_from_their_seed() -> None:
    for number in range(20):
        assert fuzz_files.make_file(3, number) == fuzz_files.make_file(3, number)
    assert fuzz_files.make_file(3, 1) != fuzz_files.make_file(4, 1)


def sleep(path: Path) -> None:
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass


def take_memory(path: Path) -> None:
    assert path.name
    # Fresh pages: a process that ran many tests has free memory that it would reuse.
    with mmap.mmap(-1, 100_000_000) as block:
        block[:: mmap.PAGESIZE] = b"x" * len(range(0, len(block), mmap.PAGESIZE))


def run_code(path: Path) -> None:
    Path(os.environ["CANARY"]).touch()


def fail(path: Path) -> None:
    raise KeyError("a")


def print_controls(path: Path) -> None:
    from lightning_resnets.errors import UserError

    raise UserError("\x1b[31m")


FAULTS: dict[Callable[[Path], None], str] = {
    sleep: "hang",
    take_memory: "memory",
    run_code: "code",
    fail: "traceback",
    print_controls: "message",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_kind_of_problem_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(fuzz, "MAX_SECONDS", 0.2)
    monkeypatch.setattr(fuzz, "FREE_BYTES", 30_000_000)
    monkeypatch.setenv("CANARY", str(tmp_path / "canary"))
    monkeypatch.setattr("lightning_resnets.checkpoint.inspect.inspect_checkpoint", fault)
    monkeypatch.setattr(
        "lightning_resnets.checkpoint.inspect_text.format_report", lambda _: ["read."]
    )
    if fault is take_memory and not fuzz._status("VmHWM"):
        pytest.skip("this system does not report the peak of a process's memory")
    outcome = open_file(tmp_path / "a.pth")
    assert list(find_problems(outcome, 0, tmp_path / "canary")) == [FAULTS[fault]]


@pytest.mark.slow
def test_the_script_prints_zeros(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fuzz", "--files", "400", "--seed", "5"])
    with pytest.raises(SystemExit) as ended:
        fuzz.main()
    assert ended.value.code == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "0 tracebacks, 0 hangs over 5 s, 0 over the memory bound, 0 code run" in last


@pytest.mark.slow
def test_a_process_that_hangs_or_dies_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "KILL_SECONDS", 0.01)
    opener = Opener(tmp_path)
    (tmp_path / "a.pth").write_bytes(b"hello")
    assert opener.open(tmp_path / "a.pth").seconds == 0.01
    monkeypatch.setattr(fuzz, "KILL_SECONDS", 60)
    assert opener.open(tmp_path / "a.pth").opened
    opener.close()
