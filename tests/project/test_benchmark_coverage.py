"""What the coverage table says of models whose answer is known; which models of timm it is about.
No speed is asserted.
"""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import coverage
from benchmarks.families import families, family, is_convolutional, size_key
from lightning_resnets.models.external import build_external
from tests.graph.test_trace import Model


@pytest.mark.parametrize(
    ("model", "adds", "concats", "gates"),
    [
        ("resnet18", 8, 0, 0),
        ("squeezenet1_1", 0, 8, 0),
        ("mobilenet_v3_small", 6, 0, 9),
        ("alexnet", 0, 0, 0),
    ],
)
def test_a_row_says_what_the_papers_say(model: str, adds: int, concats: int, gates: int) -> None:
    row = coverage.measure(f"torchvision/{model}")
    assert (row.traced_by, row.adds, row.concats, row.gates) == ("torch.fx", adds, concats, gates)
    assert (row.equal, row.backends_agree, row.cut_works, row.reason) == (
        True,
        True,
        None if model == "alexnet" else True,
        "",
    )
    assert row.seconds is not None


def test_filled_leaves_no_branch_silent_and_no_weight_as_it_was() -> None:
    model = build_external("torchvision/convnext_tiny", 10)  # its layer scales begin at a millionth
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    filled = coverage.randomize(model)
    assert all(not torch.equal(weight, before[name]) for name, weight in filled.named_parameters())
    assert (
        min(
            weight.abs().mean().item()
            for name, weight in filled.named_parameters()
            if "layer_scale" in name
        )
        > 0.4
    )


def broken(name: str, _: int) -> nn.Module:
    runs = {
        "fails": lambda p, x: x.no_such_thing(),
        "differs": lambda p, x: x + torch.rand(1, 1, 1, 1),  # another every time
        "deaf": lambda p, x: (x + x) * 0,
    }
    return Model(runs[name.partition("/")[2]])


def test_what_fails_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "build_external", broken)
    fails, differs, deaf = (
        coverage.measure(f"own/{name}") for name in ("fails", "differs", "deaf")
    )
    assert not fails.traced_by
    assert "no_such_thing" in fails.reason
    assert differs.equal is False
    assert differs.reason.startswith("logits differ by")
    assert (deaf.equal, deaf.cut_works) == (True, False)
    found = coverage.summarize([fails, differs, deaf])
    assert (found["models"], found["traced"], found["equal"]) == (3, 2, 1)
    assert coverage.list_exceptions([fails, differs, deaf])["failed"].count("; own/") == 1


def test_a_family_is_a_name_without_its_sizes() -> None:
    assert len({family(name) for name in ("resnet18", "resnet50", "resnet152")}) == 1
    assert (
        len({family(name) for name in ("convnext_tiny", "convnext_base", "convnext_xlarge")}) == 1
    )
    assert (
        len({family(name) for name in ("resnet50", "resnet50d", "seresnet50", "resnetv2_50")}) == 4
    )
    names = ["convnext_base", "convnext_tiny", "convnext_atto", "convnext_small"]
    assert sorted(names, key=size_key) == [names[i] for i in (2, 1, 3, 0)]
    assert min(("regnety_160", "regnety_002", "regnety_064"), key=size_key) == "regnety_002"


def test_what_is_convolutional() -> None:
    pytest.importorskip("timm")
    models = {
        "resnet18": True,
        "seresnet50": True,
        "skresnet18": True,
        "convnext_atto": True,
        "mixer_s32_224": False,
        "vit_tiny_patch16_224": False,
        "swin_tiny_patch4_window7_224": False,
    }
    assert {name: is_convolutional(name) for name in models} == models


@pytest.mark.slow
def test_the_families_are_those_of_the_installed_timm() -> None:
    timm = pytest.importorskip("timm")
    found = families()
    assert len(found) == len(set(found)) > 150
    assert set(found) <= set(timm.list_models())
    assert {"resnet10t", "densenet121", "nasnetalarge"} <= set(found)
    assert not any(name.startswith(("vit_", "deit", "swin", "mixer")) for name in found)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_the_command_measures_keeps_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(
        coverage,
        "model_names",
        lambda: ["torchvision/resnet18", "torchvision/vgg11", "torchvision/none"],
    )
    kept = tmp_path / "rows.jsonl"
    monkeypatch.setattr(
        sys, "argv", ["coverage", "--json", "--rows", str(kept), "--only", "resnet|none"]
    )
    for _ in range(2):
        coverage.main()
        report = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (report["models"], report["traced"], report["equal"]) == (2, 1, 1)
        assert report["torchvision"]["failed"].startswith("torchvision/none: ModelError")
        assert [row["model"] for row in report["rows"]] == [
            "torchvision/resnet18",
            "torchvision/none",
        ]
        assert len(kept.read_text().splitlines()) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_net_that_takes_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "TIMEOUT_SECONDS", 0.01)
    assert "takes longer" in coverage.measure_in_process("torchvision/resnet152").reason
