"""The benchmarks run and print what they promise; no figure is asserted: machines differ and are shared."""

import json
import sys

import pytest
from photographs import photographs

from benchmarks import loading, opening


@pytest.mark.slow
def test_opening_is_measured_in_every_form(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(opening, "NET", "resnet18")
    monkeypatch.setattr(sys, "argv", ["opening", "--json"])
    opening.main()
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["seconds"].keys() == {"zip", "before 1.6", "whole net", "safetensors", "usual way"}
    assert all(times["first"] > 0 and times["later"] > 0 for times in report["seconds"].values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("policy", [[], ["--policy", "trivial"]])
def test_loading_is_measured_beside_the_reference(
    policy: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--size", "32", "--batch-size", "8", "--batches", "2", "--rounds", "1", "--workers", "1"]
    monkeypatch.setattr(sys, "argv", ["loading", "--root", str(photographs()), "--json", *small, *policy])
    loading.main()
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["pictures_per_second"].keys() == {"ours", "reference"}
    assert report["ratios"]["ours_over_reference"] > 0
