"""Measure how far the memory of this process grows while a function runs (Linux only)."""

import gc
from collections.abc import Callable
from pathlib import Path

import pytest

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


def _read_kilobytes(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


def peak_growth(action: Callable[[], object]) -> int:
    """Run `action` and return by how many bytes the memory grew at most."""
    gc.collect()
    try:
        # "5" resets the recorded peak.
        CLEAR.write_text("5")
    except OSError:
        pytest.skip("this system does not report the peak of a process's memory")
    before = _read_kilobytes("VmRSS")
    action()
    return 1024 * (_read_kilobytes("VmHWM") - before)
