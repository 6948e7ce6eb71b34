"""Open thousands of damaged and hostile files and count what goes wrong, which must be nothing.

`python -m benchmarks.fuzz --files 3000 [--seed 0]`. Half of the files are valid ones with changes,
the others are made to ask for much memory or time, or to run code. Each is opened in a process of
its own kind: its time and its memory are measured, and a file that any code would write is watched.
"""

import argparse
import contextlib
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.fuzz_files import CANARY_MODULE, make_file
from benchmarks.fuzz_seeds import companion_files

MAX_SECONDS = 5.0  # of the processor
KILL_SECONDS = 60.0  # on the clock: the machine may be busy
FREE_BYTES = 200 * 10**6  # beside twice the file
MAX_MESSAGE = 2000  # characters

PROBLEMS = ("traceback", "hang", "memory", "code", "message")
HEADINGS = {
    "traceback": "tracebacks",
    "hang": f"hangs over {MAX_SECONDS:g} s",
    "memory": "over the memory bound",
    "code": "code run",
    "message": "unreadable messages",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of opening one file.

    Attributes:
        opened: the file was read or refused; else an exception that is not meant for users.
        text: the message, or the exception.
        seconds: time of the processor.
        growth: most bytes by which the process grew.
    """

    opened: bool
    text: str
    seconds: float
    growth: int


def _status(name: str) -> int:
    """Return a figure of this process in bytes, 0 where the system has none."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])
    return 0


def open_file(path: Path) -> Outcome:
    """Open a file as `inspect` does, or as an image, and measure it.

    Args:
        path: the file.

    Returns:
        What it gave.
    """
    from lightning_resnets.checkpoint.inspect import inspect_checkpoint
    from lightning_resnets.checkpoint.inspect_text import format_report
    from lightning_resnets.errors import UserError
    from lightning_resnets.preprocessing import read_image

    with contextlib.suppress(OSError):
        # The system forgets the peak of before.
        Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    start = time.process_time()
    opened = True
    try:
        if path.name.startswith("image"):
            read_image(path)
            text = "read."
        else:
            text = "\n".join(format_report(inspect_checkpoint(path)))
    except UserError as error:
        text = str(error)
    except Exception as error:  # noqa: BLE001 - what is looked for
        opened = False
        text = f"{type(error).__name__}: {error}"[:500]
    return Outcome(opened, text, time.process_time() - start, _status("VmHWM") - before)


def _serve(connection: Connection, folder: str) -> None:
    """Open files whose paths arrive, in a process of its own."""
    sys.path.insert(0, folder)
    # Nothing may be printed by a library between our lines.
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - open until the process ends
    while True:
        connection.send(open_file(Path(connection.recv())))


class Opener:
    """A process that opens files; it is replaced if one takes too long or kills it."""

    def __init__(self, folder: Path) -> None:
        """Prepare.

        Args:
            folder: folder of the module that no file may import.
        """
        self._folder = folder
        self._process: Any = None
        self._connection: Any = None

    def open(self, path: Path) -> Outcome:
        """Open a file in the process.

        Args:
            path: the file.

        Returns:
            What it gave; an outcome of KILL_SECONDS if the process had to be killed.
        """
        if self._process is None:
            self._start()
        self._connection.send(str(path))
        try:
            if self._connection.poll(KILL_SECONDS):
                return self._connection.recv()
            outcome = Outcome(True, "killed.", KILL_SECONDS, 0)
        except EOFError:
            outcome = Outcome(False, "the process died", 0, 0)
        self.close()
        return outcome

    def _start(self) -> None:
        """Start the process, which imports torch first."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, str(self._folder)), daemon=True
        )
        self._process.start()
        theirs.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
            self._process = None


def find_problems(outcome: Outcome, nbytes: int, canary: Path) -> Iterator[str]:
    """Yield what is wrong with an outcome.

    Args:
        outcome: what opening the file gave.
        nbytes: size of the file.
        canary: file that exists if code was run; it is removed.

    Yields:
        Keys of PROBLEMS.
    """
    is_printable = outcome.text.replace("\n", "").isprintable()
    if not outcome.opened:
        yield "traceback"
    elif not is_printable or len(outcome.text) > MAX_MESSAGE:
        yield "message"
    if outcome.seconds > MAX_SECONDS:
        yield "hang"
    if outcome.growth > 2 * nbytes + FREE_BYTES:
        yield "memory"
    if canary.exists():
        canary.unlink()
        yield "code"


def _prepare(folder: Path) -> Path:
    """Write what lies beside the files; return the file that appears if code is run."""
    canary = folder / "canary"
    os.environ["CANARY"] = str(canary)
    (folder / f"{CANARY_MODULE}.py").write_text(
        f"from pathlib import Path\nPath({str(canary)!r}).touch()\ndef run(): pass\n"
    )
    for name, data in companion_files().items():
        (folder / name).write_bytes(data)
    return canary


def fuzz(files: int, seed: int, opener: Any, folder: Path) -> Counter[str]:
    """Open files and count problems; each is printed with the number that makes its file again.

    Args:
        files: number of files.
        seed: seed of the run.
        opener: has `open(path)`, as `Opener`.
        folder: folder for the files.

    Returns:
        Number of files with each problem.
    """
    canary = _prepare(folder)
    found = Counter[str]()
    for number in range(files):
        name, data = make_file(seed, number)
        path = folder / name
        path.write_bytes(data)
        outcome = opener.open(path)
        path.unlink()
        for problem in find_problems(outcome, len(data), canary):
            found[problem] += 1
            print(
                f"{problem}: --seed {seed}, file {number} ({name}, {len(data):,} bytes): "
                f"{outcome.seconds:.1f} s, {outcome.growth / 1e6:.0f} MB, {outcome.text[:300]!r}",
                flush=True,
            )
    return found


def main() -> None:
    """Fuzz as the options ask, print the counts, and exit with 1 if any is above 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=3000, help="number of files (default: 3000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all files (default: 0)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        opener = Opener(folder)
        start = time.perf_counter()
        found = fuzz(options.files, options.seed, opener, folder)
        opener.close()
    counts = ", ".join(f"{found[problem]} {HEADINGS[problem]}" for problem in PROBLEMS)
    print(f"{options.files:,} files in {time.perf_counter() - start:.0f} s: {counts}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
