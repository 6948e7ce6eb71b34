"""Declared dependencies are the imported ones, and each has a lower bound that was tried."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = {  # where a distribution's module has another name
    "PySide6-Essentials": "PySide6",
    "pillow": "PIL",
    "pyyaml": "yaml",
}
OPTIONAL = PROJECT["optional-dependencies"]
# A part of PySide6: declared so that no release with known faults is chosen.
PINNED_ONLY = {"shiboken6"}
PROVIDED = {"timm", "torchlens", "lightning_resnets", "gui"}  # timm is used where it is installed


def names(requirements: list[str]) -> set[str]:
    """Return the importable names of requirements."""
    parsed = [Requirement(line).name for line in requirements]
    return {MODULES.get(name, name).replace("-", "_") for name in parsed}


def imported(package: str) -> set[str]:
    """Return the top-level names that a package imports anywhere, also lazily."""
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names


def test_the_library_declares_what_it_imports() -> None:
    optional = names(OPTIONAL["export"] + OPTIONAL["litdata"] + OPTIONAL["plots"])
    declared = names(PROJECT["dependencies"])
    used = imported("lightning_resnets") - PROVIDED
    assert used - optional == declared
    assert optional - {"onnxscript"} <= used  # torch's exporter imports onnxscript


def test_the_app_declares_what_it_imports() -> None:
    declared = names(OPTIONAL["gui"]) - PINNED_ONLY
    used = imported("gui") - PROVIDED - names(PROJECT["dependencies"])
    assert used == declared


@pytest.mark.parametrize("name", ["torchmetrics", "networkx", "torchvision", "lightning", "torch"])
def test_each_chosen_library_does_real_work(name: str) -> None:
    assert name in imported("lightning_resnets")


def test_pyqtgraph_draws_in_the_app() -> None:
    assert "pyqtgraph" in imported("gui")
