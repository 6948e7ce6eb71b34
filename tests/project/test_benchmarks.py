"""The benchmarks run and print what they promise; no figure is asserted: machines differ and are
shared.
"""

import json
import sys

import pytest

from benchmarks import checkpoint_loading, data_loading, training
from tests.helpers.imagenet_images import photographs


@pytest.mark.slow
def test_opening_is_measured_in_every_form(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checkpoint_loading, "MODEL", "resnet18")
    monkeypatch.setattr(sys, "argv", ["checkpoint_loading", "--json"])
    checkpoint_loading.main()
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["seconds"].keys() == {
        "torch.save",
        "before torch 1.6",
        "whole model",
        "safetensors",
        "torchvision",
    }
    assert all(times["first"] > 0 and times["later"] > 0 for times in report["seconds"].values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("policy", [[], ["--auto-augment", "trivial"]])
def test_loading_is_measured_beside_the_reference(
    policy: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [
        "--image-size",
        "32",
        "--batch-size",
        "8",
        "--batches",
        "2",
        "--rounds",
        "1",
        "--num-workers",
        "1",
    ]
    monkeypatch.setattr(
        sys, "argv", ["data_loading", "--data-dir", str(photographs()), "--json", *small, *policy]
    )
    data_loading.main()
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["images_per_second"].keys() == {"ours", "reference"}
    assert report["ratios"]["ours_over_reference"] > 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_training_is_measured_beside_a_bare_loop_and_the_usual_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [
        "--batch-size",
        "16",
        "--steps",
        "3",
        "--rounds",
        "2",
        "--threads",
        "1",
        "--num-workers",
        "1",
    ]
    monkeypatch.setattr(sys, "argv", ["training", "--json", *small])
    training.main()
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["ratios"].keys() == {"fit_over_bare", "fit_over_usual"}
    assert all(len(speeds) == 2 and min(speeds) > 0 for speeds in report["rounds"].values())
    both = zip(report["rounds"]["fit"], report["rounds"]["bare"], strict=True)
    assert report["ratios"]["fit_over_bare"] == pytest.approx(
        sum(fit / bare for fit, bare in both) / 2
    )  # median of two
