"""What a checkpoint does not say is said to be assumed, and can be given in every command."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lightning_resnets import InteractiveModel
from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.card_overrides import CardOverrides
from lightning_resnets.checkpoint.load import load_checkpoint, load_model, read_card
from lightning_resnets.cli.main import main
from lightning_resnets.data.cifar10_sample import CLASSES, load_sample
from lightning_resnets.errors import CheckpointWarning
from lightning_resnets.evaluation import evaluate
from tests.helpers.command_line import error_message

SAMPLE = ["--dataset", "sample", "--num-images", "200"]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Return trained weights as a training script saves them: without a card, with its accuracy."""
    loaded = load_checkpoint(resolve_checkpoint("resnet20-cifar10"))
    path = tmp_path / "ckpt.pth"
    torch.save({"net": loaded.model.state_dict(), "acc": 92.1, "epoch": 59}, path)
    return path


def run_json(args: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the JSON that a command prints."""
    main([*args, "--json"])
    return json.loads(capsys.readouterr().out)


def test_inspect_says_what_is_assumed_and_what_the_file_says(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["inspect", str(checkpoint)])
    text = capsys.readouterr().out
    (preprocessing,) = [line for line in text.splitlines() if line.startswith("preprocessing")]
    assert preprocessing.endswith("(assumed)")
    assert "10 classes (names unknown)" in text
    assert "acc 92.1, epoch 59" in text
    report = run_json(["inspect", str(checkpoint)], capsys)
    assert report["card"]["assumed"] == ["mean", "std", "channel_order", "class_names"]
    assert report["reported"] == {"acc": 92.1, "epoch": 59}


def test_given_values_are_no_longer_assumed(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"digit {index}" for index in range(10)) + "\n")
    args = ["--mean", "0.4377,0.4438,0.4728", "--std", "0.2", "--class-names", str(names)]
    card = run_json(["inspect", str(checkpoint), *args], capsys)["card"]
    assert "assumed" not in card
    assert (card["mean"], card["std"]) == ([0.4377, 0.4438, 0.4728], [0.2, 0.2, 0.2])
    assert card["class_names"][3] == "digit 3"


@pytest.mark.parametrize(
    "args",
    [
        ["--mean", "0.4,0.5,0.6", "--std", "0.2"],
        ["--mean", "0.4", "0.5", "0.6", "--std", "0.2", "0.2", "0.2"],
        ["--mean=0.4,0.5,0.6", "--std=0.2"],
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_numbers_are_separated_by_commas_or_spaces(
    args: list[str], is_first: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*args, "resnet20"] if is_first else ["resnet20", *args]
    card = run_json(["inspect", *words], capsys)["card"]
    assert (card["mean"], card["std"]) == ([0.4, 0.5, 0.6], [0.2, 0.2, 0.2])


def test_file_with_a_card_assumes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    main(["inspect", "resnet20"])
    text = capsys.readouterr().out
    assert "assumed" not in text
    assert "10 classes of CIFAR-10" in text


def test_classes_are_named_only_by_the_file_or_the_user(checkpoint: Path, tmp_path: Path) -> None:
    assert read_card(checkpoint).class_names == tuple(f"class {index}" for index in range(10))
    assert read_card(checkpoint).dataset == ""
    content = torch.load(checkpoint, weights_only=True)
    named = tmp_path / "named.pth"
    torch.save({**content, "classes": [f"digit {index}" for index in range(10)]}, named)
    card = read_card(named)
    assert card.class_names[7] == "digit 7"
    assert "class_names" not in card.assumed


def test_evaluate_says_that_the_normalization_is_assumed(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["evaluate", str(checkpoint), *SAMPLE])
    output = capsys.readouterr()
    assert "note: The normalization is assumed (--mean 0.4914,0.4822,0.4465 --std" in output.err
    assert "file says       acc 92.10%" in output.out
    assert "differs" not in output.out


def test_wrong_normalization_differs_from_the_files_own_accuracy(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["evaluate", str(checkpoint), "--no-normalize", *SAMPLE]
    result = run_json(args, capsys)
    assert result["top1"] < 0.8
    assert result["reported"] == {"acc": pytest.approx(0.921)}
    assert any("The file says acc 92.10%, which differs" in note for note in result["notes"])


def test_untrained_model_is_at_chance_level(capsys: pytest.CaptureFixture[str]) -> None:
    loaded = load_checkpoint(resolve_checkpoint("resnet20"))
    # The classes are those of another dataset: the logits are permuted.
    head = loaded.model.get_submodule("fc")
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.copy_(head.weight.roll(3, 0))
        head.bias.copy_(head.bias.roll(3, 0))
    result = evaluate(loaded, "sample", Path(), num_images=300)
    assert any("at chance level (10.00% for 10 classes)" in note for note in result.notes)


def test_try_preprocessing_names_the_best(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["evaluate", str(checkpoint), "--no-normalize", "--try-preprocessing", *SAMPLE]
    main(args)
    *rows, verdict = capsys.readouterr().out.splitlines()
    assert verdict.startswith("Best: CIFAR-10's")
    assert "Use --mean 0.4914,0.4822,0.4465 --std 0.2" in verdict
    assert len(rows) >= 9
    report = run_json(args, capsys)
    assert report["verdict"] == verdict
    assert report["trials"][0]["mean"] == pytest.approx([0.4914, 0.4822, 0.4465])
    assert all(row["total"] == 200 for row in report["trials"])


def test_convert_writes_the_given_values(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.safetensors"
    main(["convert", str(checkpoint), str(out)])
    assert "Note: The normalization is assumed" in capsys.readouterr().out
    # A guess does not become a fact in the new file.
    assert "mean" in read_card(out).assumed
    args = ["--mean", "0.5", "--std", "0.25", "--class-names", "cifar10", "--overwrite"]
    main(["convert", str(checkpoint), str(out), *args])
    assert "assumed" not in capsys.readouterr().out
    card = read_card(out)
    assert (card.mean, card.std) == ((0.5,) * 3, (0.25,) * 3)
    assert card.class_names == CLASSES
    assert card.assumed == ()


def test_analyze_uses_the_given_normalization(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    errors = list[str]()
    for name, extra in (("assumed", []), ("given", ["--no-normalize"])):
        out = ["--out", str(tmp_path / name), "--figure-format", "none"]
        args = ["--dataset", "sample", "--num-images", "100", "--baseline", "none", *extra]
        main(["analyze", "lesion", str(checkpoint), *args, *out])
        assert ("The normalization is assumed" in capsys.readouterr().err) == (not extra)
        errors.append((tmp_path / name / "lesion.csv").read_text().splitlines()[1])
    assert errors[0] != errors[1]


def test_api_takes_the_same_values(checkpoint: Path) -> None:
    overrides = CardOverrides(mean=0, std=1)
    image = load_sample("test")[0][0]
    plain = InteractiveModel.open(checkpoint, overrides=overrides)
    assumed = InteractiveModel.open(checkpoint)
    assert plain.card.mean == (0.0, 0.0, 0.0)
    assert np.abs(plain.run(image).logits - assumed.run(image).logits).max() > 0.1
    known = load_checkpoint(checkpoint, overrides=overrides)
    with pytest.warns(CheckpointWarning, match="Identified as resnet20"):
        assert load_model(checkpoint, overrides=overrides)[1] == known.card
    right = replace(known, card=assumed.card)
    top1 = [evaluate(each, "sample", Path(), num_images=200).top1 for each in (known, right)]
    assert top1[1] > top1[0] + 0.1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--mean", "a,b,c"], "must be numbers separated by commas"),
        (["--mean", "123.7,116.3,103.5"], "divide by 255"),
        (["--std", "0"], "std must be above 0"),
        (["--mean", "0.5,0.5"], "one for each of the 3 channels"),
        (["--no-normalize", "--std", "0.5"], "--no-normalize excludes --mean and --std"),
        (["--class-names", "nowhere.txt"], "Cannot read the class names in 'nowhere.txt'"),
        (["--class-names", "imagenet"], "1,000 class names, but the model has 10 classes"),
        (["--channel-order", "GRB"], "invalid choice"),
    ],
)
def test_invalid_values_are_one_message(args: list[str], message: str) -> None:
    assert message in error_message(["inspect", "resnet20", *args])


def test_images_of_other_formats_are_counted(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    for name, pixels in zip(CLASSES, load_sample("test")[0], strict=False):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        Image.fromarray(pixels).save(folder / "1.png")
        (folder / "2.gif").touch()
    args = ["--dataset", "folder", "--data-dir", str(tmp_path / "images")]
    main(["evaluate", "resnet20", *args])
    output = capsys.readouterr()
    assert "note: 10 images in " in output.err
    assert "(10 .gif)" in output.err
    assert "images          10 (" in output.out
