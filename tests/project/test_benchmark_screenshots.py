"""Screenshots of the README: their numbers are those of the app and of the model cards."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QImageReader

from benchmarks.screenshots import DEVICE_PIXEL_RATIO, IMAGES_DIR, ROOT, SCREENSHOTS, WINDOW_SIZE
from lightning_resnets.checkpoint.load import read_card

COMMITTED: dict[str, dict[str, Any]] = json.loads((IMAGES_DIR / "figures.json").read_text("utf-8"))
FULL_SIZE = QSize(*WINDOW_SIZE) * DEVICE_PIXEL_RATIO


@pytest.mark.slow
def test_new_screenshots_show_the_committed_numbers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.screenshots", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "figures.json").read_text("utf-8")) == COMMITTED
    for shot in SCREENSHOTS:
        assert QImageReader(str(tmp_path / f"{shot.name}.png")).size() == FULL_SIZE
        assert f"{shot.name}.png: {COMMITTED[shot.name]['model']}, " in done.stdout


@pytest.mark.parametrize("shot", SCREENSHOTS, ids=lambda shot: shot.name)
def test_committed_numbers_are_those_of_the_model_cards(shot: Any) -> None:
    card = read_card(ROOT / "checkpoints" / f"{shot.model}.ckpt")
    figures = COMMITTED[shot.name]
    assert figures["model"] == card.arch
    assert figures["data"] == card.dataset_title
    assert figures["accuracy"] == f"{100 * card.metrics['test_accuracy']:.2f} % on the test set"
    assert figures["top_class"] in card.class_names
    assert figures["image"] in card.class_names


def test_all_screenshots_are_committed() -> None:
    assert set(COMMITTED) == {shot.name for shot in SCREENSHOTS}
    for shot in SCREENSHOTS:
        assert QImageReader(str(IMAGES_DIR / f"{shot.name}.png")).size() == FULL_SIZE
