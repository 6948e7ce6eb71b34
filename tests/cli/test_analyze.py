"""Test `analyze`: its files hold what the analysis found, and its errors are one line."""

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from lightning_resnets.analysis.lesion import lesion
from lightning_resnets.analysis.registry import ANALYSES
from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.cli.analysis_inputs import load_analysis_images
from lightning_resnets.cli.main import main
from lightning_resnets.data import cifar10_sample
from lightning_resnets.models.registry import create_model
from tests.helpers.analysis_inputs import shrink_slow_analyses
from tests.helpers.command_line import error_message

NO_FIGURE = ["--figure-format", "none"]


@pytest.fixture(autouse=True)
def working_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save_checkpoint(path: str, card: ModelCard) -> None:
    """Save an untrained resnet20 with a model card."""
    model = create_model("resnet20", len(card.class_names))
    weights = {f"model.{name}": weight for name, weight in model.state_dict().items()}
    torch.save({"state_dict": weights, "card": card.to_dict()}, path)


def test_files_hold_the_result_of_the_analysis() -> None:
    options = ["--num-images", "10", "--out", "here", "--figure-format", "svg"]
    main(["analyze", "lesion", "resnet20", *options])
    names = sorted(path.name for path in Path("here").iterdir())
    assert names == ["lesion.csv", "lesion.json", "lesion.svg"]
    with Path("here/lesion.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    json_rows = json.loads(Path("here/lesion.json").read_text())
    assert len(json_rows) == len(rows)
    for json_row, row in zip(json_rows, rows, strict=True):
        assert json_row.keys() == row.keys()
    loaded = load_checkpoint(resolve_checkpoint("resnet20"))
    baseline = load_checkpoint(resolve_checkpoint("plain20"))
    images = load_analysis_images(loaded.card, None, None, 10)
    result = lesion(loaded.model, images, baseline.model)
    found = {(row["model"], row["change"]): float(row["error"]) for row in rows}
    expected = result.errors.error_without_block["layer1.1"]
    assert found["resnet20", "intact"] == pytest.approx(result.errors.intact_error)
    assert found["resnet20", "without layer1.1"] == pytest.approx(expected)
    # The bundled plain20 is the baseline of resnet20.
    assert any(model == "plain20" for model, _ in found)


def test_files_of_an_earlier_run_are_replaced_only_with_overwrite() -> None:
    args = ["analyze", "cost", "resnet20", "--out", "here", *NO_FIGURE]
    main(args)
    first = Path("here/cost.csv")
    first.write_text("mine")
    message = error_message(args)
    assert message.endswith("already exists. Choose another folder with --out, or add --overwrite.")
    assert "'here/cost" in message
    assert first.read_text() == "mine"
    # Files of other analyses and of the user do not matter.
    Path("here/notes.txt").write_text("mine")
    Path("here/paths-depth.csv").write_text("mine")
    main([*args, "--overwrite"])
    assert first.read_text() != "mine"
    assert Path("here/paths-depth.csv").read_text() == "mine"


def test_earlier_files_of_one_analysis_stop_all_of_them() -> None:
    Path("here").mkdir()
    Path("here/gate_weights-classes.csv").write_text("mine")
    message = error_message(["analyze", "all", "resnet20", "--out", "here", *NO_FIGURE])
    assert "'here/gate_weights-classes.csv' already exists" in message
    assert [path.name for path in Path("here").iterdir()] == ["gate_weights-classes.csv"]


def test_all_leaves_out_analyses_that_the_model_does_not_allow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shrink_slow_analyses(monkeypatch)
    options = ["--num-images", "2", "--baseline", "none", *NO_FIGURE]
    main(["analyze", "all", "densenet_bc_40_12", *options])
    header, *lines = capsys.readouterr().out.splitlines()
    assert "2 images" in header
    assert [line.split()[0] for line in lines] == list(ANALYSES)
    left_out = {line.split()[0] for line in lines if "not available: " in line}
    assert left_out == {"gradient_flow", "gate_weights", "iterative_refinement"}
    assert Path("analysis/densenet_bc_40_12-cifar10/feature_reuse.csv").is_file()


ERRORS = {
    "lessions resnet20": "Unknown analysis 'lessions'. Choose one of lesion, paths, ",
    "gate_weights resnet20": "The model has no gate",
    "lesion resnet20 --num-images 0": "must be a whole number of at least 1, got '0'",
    "lesion nosuch": "There is no model or file named 'nosuch'",
    "lesion resnet20 --dataset folder": "--dataset folder requires --data-dir DIR.",
    "lesion resnet20 --dataset folder --data-dir empty": "'empty'",
    "lesion resnet20 --baseline wide.ckpt": (
        "--baseline 'wide.ckpt' has 3 classes and input size 3×32×32, but the model has 10 and "
        "3×32×32. Give a baseline for the same images, or --baseline none."
    ),
    "lesion resnet20 --out /proc/nope": "Cannot write to '/proc/nope' (",
    "lesion resnet20 --out taken": "Cannot write to 'taken' (File exists). Choose another folder",
    "lesion resnet50": "Missing --dataset: the bundled images are from CIFAR-10, but the model is "
    "for imagenet.",
    "lesion torchvision/resnet19": "torchvision/resnet18",
    "lesion wide.ckpt": "with --data-dir DIR, or --dataset sample for CIFAR-10.",
    "lesion": "The following arguments are required: MODEL_OR_CHECKPOINT",
    "depth_by_year --model resnet20": "arguments are required: MODEL_OR_CHECKPOINT",
}


@pytest.mark.parametrize("args", ERRORS)
def test_errors_are_one_line(args: str) -> None:
    Path("empty").mkdir()
    Path("taken").touch()
    card = load_checkpoint(resolve_checkpoint("resnet20")).card
    save_checkpoint("wide.ckpt", replace(card, class_names=("a", "b", "c"), dataset="mine"))
    assert ERRORS[args] in error_message(["analyze", *args.split(), *NO_FIGURE])


@pytest.mark.parametrize(
    ("name", "model", "folder"),
    [
        ("cost", "torchvision/resnet18", "torchvision-resnet18"),
        ("receptive_field", "resnet18", "resnet18"),
        ("feature_reuse", "densenet_bc_40_12", "densenet_bc_40_12-cifar10"),
    ],
)
def test_analyses_without_images_need_no_dataset(
    name: str, model: str, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["analyze", name, model, *NO_FIGURE])
    header = capsys.readouterr().out.splitlines()[0]
    assert header == f"{model}; files in {Path('analysis', folder)}"
    rows = json.loads(Path("analysis", folder, f"{name}.json").read_text())
    assert rows
    if name == "cost":
        # Batch norms have the other 9,600 parameters.
        assert sum(int(row["parameters"]) for row in rows) == 11_689_512 - 9_600


def test_published_models_are_compared_without_a_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shrink_slow_analyses(monkeypatch)
    args = ["analyze", "accuracy_vs_cost", "--dataset", "cifar10"]
    main([*args, "--figure-format", "svg"])
    header = capsys.readouterr().out.splitlines()[0]
    assert header == f"published models; files in {Path('analysis/accuracy_vs_cost')}"
    rows = json.loads(Path("analysis/accuracy_vs_cost/accuracy_vs_cost.json").read_text())
    assert {row["kind"] for row in rows} == {"published", "measured"}
    assert Path("analysis/accuracy_vs_cost/accuracy_vs_cost.svg").is_file()
    # A model may stand behind an option, and then it is compared too.
    main([*args, "resnet20", *NO_FIGURE])
    rows = json.loads(Path("analysis/resnet20-cifar10/accuracy_vs_cost.json").read_text())
    assert rows[-1]["kind"] == "analyzed"


def test_winners_of_ilsvrc_need_no_model() -> None:
    main(["analyze", "depth_by_year", "--out", "here", *NO_FIGURE])
    assert sorted(path.name for path in Path("here").iterdir()) == [
        "depth_by_year.csv",
        "depth_by_year.json",
    ]
    rows = json.loads(Path("here/depth_by_year.json").read_text())
    assert [row["layers"] for row in rows if row["name"] == "ResNet-152"] == [152]


def test_failed_analysis_leaves_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--num-images", "2", *NO_FIGURE, "--out", "new/folder"]
    error_message(["analyze", "gate_weights", "resnet20", *options])
    assert not capsys.readouterr().out
    assert not Path("new").exists()


def test_two_models_of_one_architecture_have_the_names_of_their_files() -> None:
    save_checkpoint("mine.ckpt", load_checkpoint(resolve_checkpoint("resnet20")).card)
    options = ["--baseline", "mine.ckpt", "--num-images", "2", "--out", "o", *NO_FIGURE]
    main(["analyze", "lesion", "resnet20", *options])
    rows = json.loads(Path("o/lesion.json").read_text())
    assert {row["model"] for row in rows} == {"resnet20-cifar10", "mine"}


def test_missing_matplotlib_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    args = ["analyze", "feature_reuse", "densenet_bc_40_12"]
    assert "pip install 'lightning-resnets[plots]'" in error_message(args)
    main([*args, *NO_FIGURE])


def test_images_are_read_from_folders() -> None:
    for index, name in enumerate(cifar10_sample.CLASSES):
        Path("mine", name).mkdir(parents=True)
        Image.new("RGB", (32, 32), (index * 20, 0, 0)).save(Path("mine", name, "one.png"))
    options = ["--dataset", "folder", "--data-dir", "mine", "--figure-format", "png"]
    main(["analyze", "layer_responses", "resnet20", *options])
    assert Path("analysis/resnet20-cifar10/layer_responses.png").is_file()
