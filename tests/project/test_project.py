"""What the project says of itself: versions, bounds, the wheel's contents, and the shape of its
files.
"""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LIBRARY = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
GUI = [Requirement(line) for line in PROJECT["project"]["optional-dependencies"]["gui"]]


def tracked(pattern: str) -> set[str]:
    """Files of the packages by a glob, as paths from the root."""
    found = [
        path for package in ("lightning_resnets", "gui") for path in (ROOT / package).rglob(pattern)
    ]
    return {path.relative_to(ROOT).as_posix() for path in found}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel built from this tree, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    (file,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(file).namelist())


def test_the_wheel_holds_what_the_checkout_has(wheel: set[str]) -> None:
    code = {name for name in wheel if name.endswith(".py")}
    assert code == tracked("*.py")
    assert tracked("*.yaml") <= wheel
    assert {
        f"lightning_resnets/data/sample/{name}" for name in ("train.png", "test.png", "labels.json")
    } <= wheel
    assert "lightning_resnets/data/sample/README.md" in wheel
    assert {"lightning_resnets/py.typed", "gui/py.typed"} <= wheel
    models = {
        f"lightning_resnets/bundled_checkpoints/{path.name}"
        for path in (ROOT / "checkpoints").glob("*.ckpt")
    }
    assert {
        name
        for name in wheel
        if name.startswith("lightning_resnets/bundled_checkpoints/") and name.endswith(".ckpt")
    } == models
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in wheel)


def test_the_wheel_holds_nothing_else(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert tops == {
        "lightning_resnets",
        "gui",
        next(top for top in tops if top.endswith(".dist-info")),
    }
    assert not [name for name in wheel if "__pycache__" in name or "/tests/" in name]


@pytest.mark.parametrize("need", [*LIBRARY, *GUI], ids=lambda need: need.name)
def test_every_need_has_a_lower_bound_and_is_met(need: Requirement) -> None:
    assert [part for part in need.specifier if part.operator == ">="]
    assert importlib.metadata.version(need.name) in need.specifier


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("lightning", "2.6.2"),
        ("lightning", "2.6.3"),
        ("PySide6-Essentials", "6.8.0"),
        ("PySide6-Essentials", "6.11.0"),
        ("PySide6-Essentials", "6.11.1"),
        ("PySide6-Essentials", "6.12.0"),
        ("shiboken6", "6.12.0"),
    ],
)
def test_bad_releases_are_kept_out(name: str, version: str) -> None:
    (need,) = [need for need in (*LIBRARY, *GUI) if need.name == name]
    assert version not in need.specifier


def test_the_commands_lead_somewhere() -> None:
    commands = PROJECT["project"]["scripts"] | PROJECT["project"]["gui-scripts"]
    assert set(commands) == {"lightning-resnets", "lightning-resnets-gui"}
    for target in commands.values():
        module, _, function = target.partition(":")
        source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text()
        assert re.search(rf"^def {function}\(", source, re.MULTILINE)


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "9. Accepting Warranty or Additional Liability." in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_every_file_says_in_its_first_line_what_it_holds() -> None:
    files = [ROOT / name for name in sorted(tracked("*.py"))] + sorted(
        (ROOT / "tests").glob("*.py")
    )
    assert not [path.name for path in files if not path.read_text().startswith(('"""', 'r"""'))]


def test_no_lock_file_and_no_path_of_one_machine() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this is no git checkout")
    names = done.stdout.splitlines()
    assert not [name for name in names if name.endswith((".lock", "Pipfile.lock"))]
    texts = [
        ROOT / name for name in names if name.endswith((".py", ".md", ".yaml", ".toml", "run"))
    ]
    local = re.compile(r"(?<![\w.])/" + r"(home|Users|root|opt|work)/[a-z]")
    assert not [path.name for path in texts if path.is_file() and local.search(path.read_text())]


def test_note_beside_the_sample_images_names_their_source_and_license() -> None:
    text = (ROOT / "lightning_resnets/data/sample/README.md").read_text()
    for name in ("train.png", "test.png", "labels.json"):
        assert name in text
    assert "https://www.cs.toronto.edu/~kriz/cifar.html" in text
    assert "license" in text
    assert "Learning Multiple Layers of Features from Tiny Images" in text


@pytest.mark.parametrize("missing", ["PySide6", "pyqtgraph"])
def test_app_without_its_packages_says_how_to_install_them(missing: str) -> None:
    hide = f"import sys; sys.modules['{missing}'] = None"
    code = f"{hide}; from gui.__main__ import main; sys.exit(main([]))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr == (
        f"lightning-resnets-gui: missing packages ({missing}). "
        "Run pip install 'lightning-resnets[gui]'.\n"
    )
