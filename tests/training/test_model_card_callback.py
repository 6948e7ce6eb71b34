"""Tests of the model card in a source tree without package metadata."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_resnets.training.callbacks.model_card import (
    VERSIONED_PACKAGES,
    ModelCardCallback,
)
from lightning_resnets.training.image_classifier import ImageClassifier
from lightning_resnets.utils import package_version as versions
from tests.helpers.few_images import Few, trainer

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import sys
from pathlib import Path
from importlib.metadata import PackageNotFoundError, version

try:
    version("lightning-resnets")
    sys.exit("the metadata is there")
except PackageNotFoundError:
    pass
from lightning_resnets.cli.main import main

quiet = ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]
small = ["--data", "tests.helpers.few_images.Few", "--data.batch_size", "32"]
main(["fit", "--config", "demo", *quiet, *small, "--trainer.max_epochs", "1"])
from lightning_resnets.checkpoint.load import read_card

print(read_card("runs/demo/demo.ckpt").versions["lightning-resnets"])
"""


def test_version_of_a_package_without_metadata_is_unknown() -> None:
    assert versions.package_version("torch") != "unknown"
    assert versions.package_version("no-such-package") == "unknown"


def test_training_writes_a_card_without_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_no_metadata(name: str) -> str:
        raise versions.PackageNotFoundError(name)

    monkeypatch.setattr(versions, "version", find_no_metadata)
    callback = ModelCardCallback()
    module = ImageClassifier("resnet20", lr=0.05)
    run = trainer(tmp_path, max_steps=1, callbacks=[callback])
    run.fit(module, datamodule=Few(batch_size=8))
    assert callback.card(run, module).versions == dict.fromkeys(VERSIONED_PACKAGES, "unknown")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_fit_works_from_a_source_tree_on_pythonpath(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (installed,) = [Path(path) for path in sys.path if path.endswith("site-packages")]
    for path in installed.iterdir():
        if "lightning_resnets" not in path.name:
            (packages / path.name).symlink_to(path)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{packages}"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", SCRIPT],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "unknown"
