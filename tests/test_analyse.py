"""The command `analyse`: what it writes is what the analyses found, and every mistake is one sentence."""

import csv
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from test_cli import sentence

from lightning_resnets import analyse as command
from lightning_resnets import subjects
from lightning_resnets.analysis.every import ANALYSES, Subject, analyse
from lightning_resnets.analysis.lesion import lesion
from lightning_resnets.analysis.result import AnalysisError, Cancelled, Pictures, Table
from lightning_resnets.checkpoint.read import open_checkpoint
from lightning_resnets.checkpoint.shipped import find
from lightning_resnets.data import sample
from lightning_resnets.image import prepare
from lightning_resnets.training.cli import main
from lightning_resnets.zoo import build


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def subject(name: str, count: int = 12) -> Subject:
    """A shipped net and the first test pictures of the sample."""
    opened = open_checkpoint(find(name))
    pixels, labels = sample.pictures("test")
    card = opened.card
    images = torch.cat([prepare(one, card.size, card.mean, card.std) for one in pixels[:count]])
    return subjects.subject(opened, None, Pictures(images, torch.tensor(labels[:count])))


def test_the_table_is_what_the_analysis_found() -> None:
    main(["analyse", "lesion", "resnet20", "--pictures", "10", "--out", "here", "--figure", "svg"])
    assert sorted(path.name for path in Path("here").iterdir()) == ["lesion.csv", "lesion.json", "lesion.svg"]
    with Path("here/lesion.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [list(map(str, row.values())) for row in json.loads(Path("here/lesion.json").read_text())] == [
        list(row.values()) for row in rows
    ]
    opened, twin = open_checkpoint(find("resnet20")), open_checkpoint(find("plain20"))
    pictures = subjects.looked_at(opened.card, None, None, 10)
    wounds = lesion(opened.net, pictures, twin.net)
    found = {(row["net"], row["change"]): float(row["error"]) for row in rows}
    assert found["resnet20", "intact"] == pytest.approx(wounds.net.intact)
    assert found["resnet20", "without layer1.1"] == pytest.approx(wounds.net.dropped["layer1.1"])
    assert any(net == "plain20" for net, _ in found), "plain20 ships, so it is seen beside resnet20"


def test_a_file_holds_rounded_numbers_and_python_exact_ones() -> None:
    table = Table(("a", "b", "c"), ((0.1 + 0.2, True, 2**70), (math.inf, None, 1)))
    assert table.csv() == f"a,b,c\n0.3,true,{2**70}\ninf,,1\n"
    assert json.loads(table.json()) == [{"a": 0.3, "b": True, "c": 2**70}, {"a": None, "b": None, "c": 1}]
    assert table.rows[0][0] == 0.1 + 0.2


def test_pictures_are_those_of_the_net_and_its_card() -> None:
    card = open_checkpoint(find("resnet20")).card
    pixels, labels = sample.pictures("test")
    pictures = subjects.looked_at(card, None, None, 1000)
    for place in (0, 499, 999):
        own = prepare(pixels[place], card.size, card.mean, card.std)[0]
        torch.testing.assert_close(pictures.images[place], own, rtol=0, atol=0)
    assert pictures.labels.tolist() == labels.tolist()


@pytest.mark.parametrize("name", ANALYSES)
@pytest.mark.parametrize("net", ["resnet20", "seresnet20", "densenet_bc_40_12", "plain20"])
def test_every_analysis_answers_or_says_in_a_sentence_why_not(name: str, net: str, trial: dict[str, int]) -> None:
    given = subject(net, 2)
    try:
        result = analyse(name, given)
    except AnalysisError as error:
        text = str(error)
        assert text.endswith(".")
        assert (net, name) in REFUSED
        assert any(word in text for word in ("there are", "it has", "what meets in it", "no ", "take a net"))
    else:
        assert (net, name) not in REFUSED
        for path in command.save(result, name, Path("out"), "none"):
            assert path.stat().st_size > 10


REFUSED = {
    ("resnet20", "gates"), ("resnet20", "reuse"),
    ("seresnet20", "reuse"),
    ("densenet_bc_40_12", "gradients"), ("densenet_bc_40_12", "gates"), ("densenet_bc_40_12", "refinement"),
    ("plain20", "paths"), ("plain20", "gradients"), ("plain20", "gates"), ("plain20", "reuse"),
}  # fmt: skip


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A landscape of 3 x 3 points: its own tests look at larger ones."""
    small = {"points": 3}
    real = sys.modules["lightning_resnets.analysis.landscape"].landscape
    monkeypatch.setattr(
        "lightning_resnets.analysis.every.landscape", lambda *args, **given: real(*args, **given, **small)
    )
    return small


@pytest.mark.parametrize(
    ("arch", "twin"),
    [("resnet56", "plain56"), ("seresnet20", "plain20"), ("preresnet110", "plain110"), ("resnet50", None),
     ("densenet_bc_40_12", None), ("plain20", None), ("wrn16_8", None)],
)  # fmt: skip
def test_the_plain_twin_is_the_plain_net_of_the_same_depth(arch: str, twin: str | None) -> None:
    assert subjects.plain_twin(arch) == twin


def test_nets_at_initialisation_are_the_seeds_and_leave_the_chance_alone() -> None:
    before = torch.get_rng_state()
    given = subject("seresnet20", 2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(0)
    for name, weight in build("seresnet20").state_dict().items():
        assert torch.equal(given.fresh.state_dict()[name], weight)  # type: ignore[union-attr]
    torch.set_rng_state(before)


def test_all_passes_over_what_does_not_fit(capsys: pytest.CaptureFixture[str], trial: dict[str, int]) -> None:
    main(["analyse", "all", "densenet_bc_40_12", "--pictures", "2", "--figure", "none", "--twin", "none"])
    lines = capsys.readouterr().out.splitlines()
    assert "2 pictures" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == list(ANALYSES)
    assert {line.split()[0] for line in lines if "not done" in line} == {"gradients", "gates", "refinement"}
    assert Path("analysis/densenet_bc_40_12-cifar10/reuse.csv").is_file()


WRONG = {
    "lessions resnet20": "There is no analysis called 'lessions': there are lesion, paths",
    "gates resnet20": "This net has no gate",
    "lesion resnet20 --pictures 0": "'0' is no whole number from 1 on",
    "lesion nosuch": "There is no net and no file called 'nosuch'",
    "lesion resnet20 --data folder": "Say where the pictures lie",
    "lesion resnet20 --data folder --root empty": "There is no class folder in 'empty'",
    "lesion resnet20 --twin wide.ckpt": "a twin sees the same pictures",
    "lesion resnet20 --out /proc/nope": "Nothing can be written to '/proc/nope' (",
    "lesion resnet20 --out taken": "Nothing can be written to 'taken' (File exists): choose another --out.",
    "lesion resnet50": "this net was made for imagenet: say which to look at",
    "lesion torchvision/resnet19": "There is no net named 'torchvision/resnet19' (near: torchvision/resnet18",
    "lesion wide.ckpt": "say which to look at, with --data imagenet|folder --root DIR",
    "lesion": "The following arguments are required: FILE",
}


@pytest.mark.parametrize("words", WRONG)
def test_mistakes(words: str) -> None:
    Path("empty").mkdir()
    Path("taken").touch()
    card = replace(open_checkpoint(find("resnet20")).card, classes=("a", "b", "c"), data="mine")
    weights = {f"net.{name}": weight for name, weight in build("resnet20", 3).state_dict().items()}
    torch.save({"state_dict": weights, "card": card.to_dict()}, "wide.ckpt")
    assert WRONG[words] in sentence(["analyse", *words.split(), "--figure", "none"])


def test_what_needs_no_picture_asks_for_none(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ("arithmetic torchvision/resnet18", "receptive resnet18", "reuse densenet_bc_40_12"):
        main(["analyse", *words.split(), "--figure", "none"])
        first = capsys.readouterr().out.splitlines()[0]
        assert (
            first == f"{words.split()[1]}; files in {Path('analysis', NAMED.get(words.split()[1], words.split()[1]))}"
        )
    rows = json.loads(Path("analysis/torchvision-resnet18/arithmetic.json").read_text())
    assert sum(int(row["parameters"]) for row in rows) == 11_689_512 - 9_600  # batch norms have the rest


NAMED = {"torchvision/resnet18": "torchvision-resnet18", "densenet_bc_40_12": "densenet_bc_40_12-cifar10"}


def test_a_failure_says_one_sentence_and_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    sentence(["analyse", "gates", "resnet20", "--pictures", "2", "--figure", "none", "--out", "new/folder"])
    assert not capsys.readouterr().out
    assert not Path("new").exists()


def test_two_nets_of_one_kind_are_told_apart() -> None:
    card = open_checkpoint(find("resnet20")).card
    weights = {f"net.{name}": weight for name, weight in build("resnet20").state_dict().items()}
    torch.save({"state_dict": weights, "card": card.to_dict()}, "mine.ckpt")
    main(["analyse", "lesion", "resnet20", "--twin", "mine.ckpt", "--pictures", "2", "--figure", "none", "--out", "o"])
    rows = json.loads(Path("o/lesion.json").read_text())
    assert {row["net"] for row in rows} == {"resnet20-cifar10", "mine"}


def test_without_matplotlib_it_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install 'lightning-resnets[plots]'" in sentence(["analyse", "reuse", "densenet_bc_40_12"])
    main(["analyse", "reuse", "densenet_bc_40_12", "--figure", "none"])


def test_an_analysis_stops_when_it_is_told_to() -> None:
    given = subject("resnet20", 8)
    before = {name: weight.clone() for name, weight in given.net.state_dict().items()}

    def stop(done: int, total: int) -> None:
        if done:
            raise Cancelled

    for name in set(ANALYSES) - {"gates", "reuse", "paths"}:
        with pytest.raises(Cancelled):
            analyse(name, given, stop)
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in given.net.modules())
        assert all(torch.equal(weight, before[key]) for key, weight in given.net.state_dict().items())


def test_pictures_in_folders(trial: dict[str, int]) -> None:
    for place, name in enumerate(sample.CLASSES):
        Path("mine", name).mkdir(parents=True)
        Image.new("RGB", (32, 32), (place * 20, 0, 0)).save(Path("mine", name, "one.png"))
    main(["analyse", "responses", "resnet20", "--data", "folder", "--root", "mine", "--figure", "png"])
    assert Path("analysis/resnet20-cifar10/responses.png").is_file()
