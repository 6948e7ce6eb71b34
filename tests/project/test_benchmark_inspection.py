"""The benchmark of looking runs and prints what it promises; no figure is asserted: machines differ
and are shared.
"""

import json
import sys
from importlib.util import find_spec

import pytest

from benchmarks import inspection


@pytest.mark.slow
def test_looking_is_measured_beside_the_usual_ways(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(inspection, "CASES", (("resnet20", 1, 32),))
    monkeypatch.setattr(inspection, "SWEEP_CASES", (("resnet20", 1),))
    monkeypatch.setattr(sys, "argv", ["inspection", "--rounds", "2", "--images", "3", "--json"])
    inspection.main()
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    ratios = report["ratios"]["resnet20, 1 x 32 px"]
    ways = [
        "bare forward pass",
        "record_activations",
        "record_activations, opened per batch",
        "forward hooks",
        "torchvision feature extractor",
        "TorchLens",
    ]
    assert list(ratios) == ways == list(report["milliseconds"]["resnet20, 1 x 32 px"])
    assert all(ratio > 0 for ratio in ratios.values() if not isinstance(ratio, str))
    assert ratios["bare forward pass"] == 1
    assert report["sweep"]["resnet20, 1 x 32 px"]["changes"] == 9
    assert report["memory"]["tensors_after_all"] == report["memory"]["tensors_after_one"]


def test_without_torchlens_its_row_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "find_spec", lambda name: None)
    case = inspection.Case.create("resnet20", 1, 8)
    assert len(case.hook_points) == 23
    assert inspection.measure(case, 1)["ratios"]["TorchLens"] == "not installed"


def test_what_torchlens_says_is_in_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(case: inspection.Case) -> float:
        raise RuntimeError("no such call\nand more")

    monkeypatch.setattr(
        inspection, "find_spec", find_spec if find_spec("torchlens") else lambda name: name
    )
    monkeypatch.setattr(inspection, "time_torchlens", fails)
    assert (
        inspection.measure(inspection.Case.create("resnet20", 1, 8), 1)["ratios"]["TorchLens"]
        == "fails: no such call"
    )
