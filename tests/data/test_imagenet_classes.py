"""ImageNet's classes: torchvision as oracle for the names, and its absence while they are read."""

import re
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from itertools import pairwise
from pathlib import Path

import pytest

from lightning_resnets.data import imagenet_classes
from lightning_resnets.data.imagenet_classes import WNIDS, class_names, read_class_list
from tests.helpers.cifar10_files import SOURCE

SAMPLE = SOURCE.with_name("imagenet-sample")


@pytest.fixture
def torchvision_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path | None], None]:
    """Return a function that lets torchvision be found in a folder, or not at all."""

    def place(folder: Path | None) -> None:
        spec = None
        if folder:
            spec = ModuleSpec("torchvision", None, is_package=True)
            spec.submodule_search_locations = [str(folder)]
        monkeypatch.setattr(imagenet_classes, "find_spec", lambda _: spec)
        monkeypatch.setattr(imagenet_classes, "class_names", class_names.__wrapped__)

    return place


def test_names_are_those_of_torchvision() -> None:
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    assert list(class_names()) == _IMAGENET_CATEGORIES


def test_numbers_are_the_folders_of_the_real_pictures() -> None:
    if not SAMPLE.is_dir():
        pytest.skip("the sample of ImageNet is not there: ../shared/data/imagenet-sample")
    assert list(WNIDS) == sorted(folder.name for folder in SAMPLE.iterdir())


def test_every_number_comes_once_and_in_order() -> None:
    assert len(WNIDS) == len(class_names()) == 1000
    assert all(former < latter for former, latter in pairwise(WNIDS))
    assert all(re.fullmatch(r"n\d{8}", number) for number in WNIDS)
    assert (WNIDS[0], class_names()[0]) == ("n01440764", "tench")
    assert (WNIDS[-1], class_names()[-1]) == ("n15075141", "toilet tissue")


def test_without_torchvision_the_numbers_serve(
    torchvision_at: Callable[[Path | None], None],
) -> None:
    torchvision_at(None)
    assert imagenet_classes.class_names() == WNIDS


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "OTHER = ['tench']",
        "_IMAGENET_CATEGORIES = ['tench']",
        f"_IMAGENET_CATEGORIES = {list(range(1000))}",
        "_IMAGENET_CATEGORIES = [str(number) for number in range(1000)]",
        "_IMAGENET_CATEGORIES = [",
        "_IMAGENET_CATEGORIES = '\0'",
    ],
)
def test_another_kind_of_torchvision_gives_the_numbers(
    text: str | None, tmp_path: Path, torchvision_at: Callable[[Path | None], None]
) -> None:
    (tmp_path / "models").mkdir()
    if text is not None:
        (tmp_path / "models" / "_meta.py").write_text(text)
    torchvision_at(tmp_path)
    assert imagenet_classes.class_names() == WNIDS


def test_the_file_is_read_and_not_run(tmp_path: Path) -> None:
    marker, given = tmp_path / "ran", [str(number) for number in range(1000)]
    path = tmp_path / "_meta.py"
    path.write_text(
        f"open({str(marker)!r}, 'w')\n_IMAGENET_CATEGORIES = {given}\nopen({str(marker)!r}, 'w')\n"
    )
    assert read_class_list(path) == tuple(given)
    assert not marker.exists()


def test_neither_torchvision_nor_torch_is_imported() -> None:
    code = (  # the file by itself: its package imports torch
        "import runpy, sys; names = runpy.run_path(sys.argv[1])['class_names']; "
        "assert names()[0] == 'tench'; "
        "print(sorted({'torch', 'torchvision', 'lightning'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(imagenet_classes.__file__)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
