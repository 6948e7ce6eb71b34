"""Runs in child processes that are forked, so that they need not import anything anew, and may be
killed.
"""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path


def forked(folder: Path, action: Callable[[], object]) -> int:
    """Begin `action` in a child process whose folder that is, its output in `log.txt`; the child's
    id.
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
    """Wait for it: its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
