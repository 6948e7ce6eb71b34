"""The benchmarks run and print what they promise; no figure is asserted: machines differ and are shared."""

import json
import sys

import pytest

from benchmarks import opening


@pytest.mark.slow
def test_opening_is_measured_in_every_form(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(opening, "NET", "resnet18")
    monkeypatch.setattr(sys, "argv", ["opening", "--json"])
    opening.main()
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["seconds"].keys() == {"zip", "before 1.6", "whole net", "safetensors", "usual way"}
    assert all(times["first"] > 0 and times["later"] > 0 for times in report["seconds"].values())
