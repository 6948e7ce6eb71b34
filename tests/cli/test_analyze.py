"""The command `analyze`: what it writes is what the analyzes found, and every mistake is one sentence."""

import csv
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from lightning_resnets import analyze as command
from lightning_resnets.analysis.lesion import lesion
from lightning_resnets.analysis.registry import ANALYSES, AnalysisInputs, run_analysis
from lightning_resnets.analysis.result import LabeledImages, Table
from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.cli import open_model
from lightning_resnets.cli.main import main
from lightning_resnets.data import cifar10_sample
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from lightning_resnets.models.registry import create_model
from lightning_resnets.preprocessing import preprocess
from tests.cli.test_main import sentence


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def subject(name: str, count: int = 12) -> AnalysisInputs:
    """A shipped model and the first test images of the sample."""
    opened = load_checkpoint(resolve_checkpoint(name))
    pixels, labels = cifar10_sample.load_sample("test")
    card = opened.card
    batch = torch.cat(
        [preprocess(one, card.input_size, card.mean, card.std) for one in pixels[:count]]
    )
    return open_model.make_analysis_inputs(
        opened, None, LabeledImages(batch, torch.tensor(labels[:count]))
    )


def test_the_table_is_what_the_analysis_found() -> None:
    main(["analyze", "lesion", "resnet20", "--images", "10", "--out", "here", "--figure", "svg"])
    assert sorted(path.name for path in Path("here").iterdir()) == [
        "lesion.csv",
        "lesion.json",
        "lesion.svg",
    ]
    with Path("here/lesion.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [
        list(map(str, row.values())) for row in json.loads(Path("here/lesion.json").read_text())
    ] == [list(row.values()) for row in rows]
    opened, twin = (
        load_checkpoint(resolve_checkpoint("resnet20")),
        load_checkpoint(resolve_checkpoint("plain20")),
    )
    images = open_model.load_analysis_images(opened.card, None, None, 10)
    wounds = lesion(opened.model, images, twin.model)
    found = {(row["model"], row["change"]): float(row["error"]) for row in rows}
    assert found["resnet20", "intact"] == pytest.approx(wounds.errors.intact_error)
    assert found["resnet20", "without layer1.1"] == pytest.approx(
        wounds.errors.error_without_block["layer1.1"]
    )
    assert any(model == "plain20" for model, _ in found), (
        "plain20 ships, so it is seen beside resnet20"
    )


def test_a_file_holds_rounded_numbers_and_python_exact_ones() -> None:
    table = Table(("a", "b", "c"), ((0.1 + 0.2, True, 2**70), (math.inf, None, 1)))
    assert table.csv() == f"a,b,c\n0.3,true,{2**70}\ninf,,1\n"
    assert json.loads(table.json()) == [
        {"a": 0.3, "b": True, "c": 2**70},
        {"a": None, "b": None, "c": 1},
    ]
    assert table.rows[0][0] == 0.1 + 0.2


def test_pictures_are_those_of_the_net_and_its_card() -> None:
    card = load_checkpoint(resolve_checkpoint("resnet20")).card
    pixels, labels = cifar10_sample.load_sample("test")
    images = open_model.load_analysis_images(card, None, None, 1000)
    for place in (0, 499, 999):
        own = preprocess(pixels[place], card.input_size, card.mean, card.std)[0]
        torch.testing.assert_close(images.images[place], own, rtol=0, atol=0)
    assert images.labels.tolist() == labels.tolist()


@pytest.mark.parametrize("name", ANALYSES)
@pytest.mark.parametrize("model", ["resnet20", "seresnet20", "densenet_bc_40_12", "plain20"])
def test_every_analysis_answers_or_says_in_a_sentence_why_not(
    name: str, model: str, trial: dict[str, int]
) -> None:
    given = subject(model, 2)
    try:
        result = run_analysis(name, given)
    except AnalysisError as error:
        text = str(error)
        assert text.endswith(".")
        assert (model, name) in REFUSED
        assert any(
            word in text
            for word in ("there are", "it has", "what meets in it", "no ", "take a model")
        )
    else:
        assert (model, name) not in REFUSED
        for path in command.save_result(result, name, Path("out"), "none"):
            assert path.stat().st_size > 10


REFUSED = {
    ("resnet20", "gates"),
    ("resnet20", "reuse"),
    ("seresnet20", "reuse"),
    ("densenet_bc_40_12", "gradients"),
    ("densenet_bc_40_12", "gates"),
    ("densenet_bc_40_12", "refinement"),
    ("plain20", "paths"),
    ("plain20", "gradients"),
    ("plain20", "gates"),
    ("plain20", "reuse"),
}


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A landscape of 3 x 3 points: its own tests look at larger ones."""
    small = {"num_points": 3}
    real = sys.modules["lightning_resnets.analysis.loss_landscape"].loss_landscape
    monkeypatch.setattr(
        "lightning_resnets.analysis.registry.loss_landscape",
        lambda *args, **given: real(*args, **given, **small),
    )
    return small


@pytest.mark.parametrize(
    ("arch", "twin"),
    [
        ("resnet56", "plain56"),
        ("seresnet20", "plain20"),
        ("preresnet110", "plain110"),
        ("resnet50", None),
        ("densenet_bc_40_12", None),
        ("plain20", None),
        ("wrn16_8", None),
    ],
)
def test_the_plain_twin_is_the_plain_net_of_the_same_depth(arch: str, twin: str | None) -> None:
    assert open_model.plain_baseline_name(arch) == twin


def test_nets_at_initialisation_are_the_seeds_and_leave_the_chance_alone() -> None:
    before = torch.get_rng_state()
    given = subject("seresnet20", 2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(0)
    for name, weight in create_model("seresnet20").state_dict().items():
        assert torch.equal(given.untrained.state_dict()[name], weight)  # type: ignore[union-attr]
    torch.set_rng_state(before)


def test_all_passes_over_what_does_not_fit(
    capsys: pytest.CaptureFixture[str], trial: dict[str, int]
) -> None:
    main(
        [
            "analyze",
            "all",
            "densenet_bc_40_12",
            "--images",
            "2",
            "--figure",
            "none",
            "--twin",
            "none",
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert "2 images" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == list(ANALYSES)
    assert {line.split()[0] for line in lines if "not done" in line} == {
        "gradients",
        "gates",
        "refinement",
    }
    assert Path("analysis/densenet_bc_40_12-cifar10/reuse.csv").is_file()


WRONG = {
    "lessions resnet20": "There is no analysis called 'lessions': there are lesion, paths",
    "gates resnet20": "This model has no gate",
    "lesion resnet20 --images 0": "'0' is no whole number from 1 on",
    "lesion nosuch": "There is no model and no file called 'nosuch'",
    "lesion resnet20 --data folder": "Say where the images lie",
    "lesion resnet20 --data folder --root empty": "There is no class folder in 'empty'",
    "lesion resnet20 --twin wide.ckpt": "a twin sees the same images",
    "lesion resnet20 --out /proc/nope": "Nothing can be written to '/proc/nope' (",
    "lesion resnet20 --out taken": "Nothing can be written to 'taken' (File exists): choose another --out.",
    "lesion resnet50": "this model was made for imagenet: say which to look at",
    "lesion torchvision/resnet19": "There is no model named 'torchvision/resnet19' (near: torchvision/resnet18",
    "lesion wide.ckpt": "say which to look at, with --data imagenet|folder --root DIR",
    "lesion": "The following arguments are required: FILE",
}


@pytest.mark.parametrize("words", WRONG)
def test_mistakes(words: str) -> None:
    Path("empty").mkdir()
    Path("taken").touch()
    card = replace(
        load_checkpoint(resolve_checkpoint("resnet20")).card,
        class_names=("a", "b", "c"),
        dataset="mine",
    )
    weights = {
        f"model.{name}": weight for name, weight in create_model("resnet20", 3).state_dict().items()
    }
    torch.save({"state_dict": weights, "card": card.to_dict()}, "wide.ckpt")
    assert WRONG[words] in sentence(["analyze", *words.split(), "--figure", "none"])


def test_what_needs_no_picture_asks_for_none(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        "arithmetic torchvision/resnet18",
        "receptive resnet18",
        "reuse densenet_bc_40_12",
    ):
        main(["analyze", *words.split(), "--figure", "none"])
        first = capsys.readouterr().out.splitlines()[0]
        assert (
            first
            == f"{words.split()[1]}; files in {Path('analysis', NAMED.get(words.split()[1], words.split()[1]))}"
        )
    rows = json.loads(Path("analysis/torchvision-resnet18/arithmetic.json").read_text())
    assert (
        sum(int(row["parameters"]) for row in rows) == 11_689_512 - 9_600
    )  # batch norms have the rest


NAMED = {
    "torchvision/resnet18": "torchvision-resnet18",
    "densenet_bc_40_12": "densenet_bc_40_12-cifar10",
}


def test_a_failure_says_one_sentence_and_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    sentence(
        ["analyze", "gates", "resnet20", "--images", "2", "--figure", "none", "--out", "new/folder"]
    )
    assert not capsys.readouterr().out
    assert not Path("new").exists()


def test_two_nets_of_one_kind_are_told_apart() -> None:
    card = load_checkpoint(resolve_checkpoint("resnet20")).card
    weights = {
        f"model.{name}": weight for name, weight in create_model("resnet20").state_dict().items()
    }
    torch.save({"state_dict": weights, "card": card.to_dict()}, "mine.ckpt")
    main(
        [
            "analyze",
            "lesion",
            "resnet20",
            "--twin",
            "mine.ckpt",
            "--images",
            "2",
            "--figure",
            "none",
            "--out",
            "o",
        ]
    )
    rows = json.loads(Path("o/lesion.json").read_text())
    assert {row["model"] for row in rows} == {"resnet20-cifar10", "mine"}


def test_without_matplotlib_it_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install 'lightning-resnets[plots]'" in sentence(
        ["analyze", "reuse", "densenet_bc_40_12"]
    )
    main(["analyze", "reuse", "densenet_bc_40_12", "--figure", "none"])


def test_an_analysis_stops_when_it_is_told_to() -> None:
    given = subject("resnet20", 8)
    before = {name: weight.clone() for name, weight in given.model.state_dict().items()}

    def stop(done: int, total: int) -> None:
        if done:
            raise AnalysisCancelled

    for name in set(ANALYSES) - {"gates", "reuse", "paths"}:
        with pytest.raises(AnalysisCancelled):
            run_analysis(name, given, stop)
        assert not any(
            module._forward_hooks or module._forward_pre_hooks for module in given.model.modules()
        )
        assert all(
            torch.equal(weight, before[key]) for key, weight in given.model.state_dict().items()
        )


def test_pictures_in_folders(trial: dict[str, int]) -> None:
    for place, name in enumerate(cifar10_sample.CLASSES):
        Path("mine", name).mkdir(parents=True)
        Image.new("RGB", (32, 32), (place * 20, 0, 0)).save(Path("mine", name, "one.png"))
    main(
        [
            "analyze",
            "responses",
            "resnet20",
            "--data",
            "folder",
            "--root",
            "mine",
            "--figure",
            "png",
        ]
    )
    assert Path("analysis/resnet20-cifar10/responses.png").is_file()
