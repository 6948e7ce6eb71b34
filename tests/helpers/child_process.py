"""Run a function in a forked child process: it needs no new imports, and a test may kill it."""

import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

# The first backward pass starts one thread per device.
# Once torch.export has run in a process, torch counts eight devices there, even without a GPU.
# A process with such threads cannot be forked: backward passes of the child raise or hang.
# Pytest imports this file while it collects the tests, so the first backward pass is this one.
torch.ones(1, requires_grad=True).sum().backward()


def forked(folder: Path, action: Callable[[], object]) -> int:
    """Start `action` in a child process that works in `folder` and writes to `log.txt` there.

    Returns:
        The id of the child process.
    """
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.chdir(folder)
        log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout, sys.stderr = (
            os.fdopen(1, "w", closefd=False),
            os.fdopen(2, "w", buffering=1, closefd=False),
        )
        action()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
        os.write(2, f"{error.code}\n".encode())
    except BaseException as error:  # noqa: BLE001 - a child never goes on as its parent
        traceback.print_exception(error)
    finally:
        sys.stdout.flush()
        os._exit(code)


def ended(child: int) -> int:
    """Wait for the child: its exit code, or minus the number of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wait_for(path: Path, child: int) -> None:
    """Wait until the child has written `path`.

    Raises:
        AssertionError: The child ended before.
    """
    while not path.is_file():
        time.sleep(0.01)
        done, status = os.waitpid(child, os.WNOHANG)
        assert not done, f"the child ended with {os.waitstatus_to_exitcode(status)}"
