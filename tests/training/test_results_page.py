"""Tests of the results page and of run records."""

import json
import re
import statistics
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lightning_resnets.checkpoint import load as checkpoint
from lightning_resnets.checkpoint.bundled import bundled_checkpoints
from lightning_resnets.cli.main import main
from lightning_resnets.models.published_results import PUBLISHED_RESULTS
from lightning_resnets.recipes import list_recipes
from lightning_resnets.training import results_page
from lightning_resnets.training.result_records import read_records
from lightning_resnets.training.results_page import ROOT, render_page
from lightning_resnets.training.run_record import RunRecord, reproduce_command

RUN = RunRecord(
    recipe="resnet20-cifar10",
    arch="resnet20",
    model_kwargs={},
    dataset="cifar10",
    seed=0,
    parameters=269_722,
    train_images=50_000,
    epochs=60,
    steps=23_400,
    seconds=3723.4,
    hardware="1 x GPU",
    precision="bf16-mixed",
    versions={"torch": "2.9", "lightning-resnets": "1"},
    metrics={"test_error": 0.08, "test_error_flip_tta": 0.075, "test_images": 10_000},
    command="lightning-resnets fit --config resnet20-cifar10 --data.data_dir DIR",
)


def cells(text: str, model: str) -> list[list[str]]:
    """Split the rows of a model with results into cells."""
    lines = [line for line in text.splitlines() if f"| {model} |" in line and "not run" not in line]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_row_shows_mean_and_standard_deviation_over_seeds() -> None:
    errors = (0.08, 0.084, 0.079)
    runs = [
        replace(
            RUN,
            seed=seed,
            metrics={"test_error": error, "test_error_flip_tta": error - 0.01},
            command=RUN.command + f" --seed_everything {seed}" * bool(seed),
        )
        for seed, error in enumerate(errors)
    ]
    (
        (_, count, published, error, flip_tta, seeds, epochs, seconds, hardware, versions, command),
    ) = cells(render_page(runs), "resnet20")
    mean, deviation = statistics.mean(errors) * 100, statistics.stdev(errors) * 100
    assert (error, flip_tta) == (
        f"{mean:.2f} ± {deviation:.2f}",
        f"{mean - 1:.2f} ± {deviation:.2f}",
    )
    assert re.fullmatch(r"8\.75\[\^\d+\]", published)
    assert (count, seeds, epochs, seconds) == ("269,722", "3", "60", "3,723")
    assert (hardware, versions, command) == ("1 x GPU, bf16-mixed", "torch 2.9", f"`{RUN.command}`")


def test_other_command_gets_its_own_row() -> None:
    other = replace(RUN, epochs=30, command=RUN.command + " --trainer.max_epochs 30")
    assert [line[6] for line in cells(render_page([RUN, other]), "resnet20")] == ["60", "30"]


def test_recipe_without_record_is_not_run() -> None:
    text = render_page([])
    assert text.count("| not run |") == len(list_recipes()) - 1  # The demo has no result.
    assert all(f"--config {name} " in text for name in list_recipes() if name != "demo")


def test_page_says_how_many_recipes_have_been_run() -> None:
    number = len(list_recipes()) - 1  # The demo has no result.
    assert f"\n0 of {number} recipes have been run so far." in render_page([])
    text = render_page([RUN, replace(RUN, epochs=30, command=RUN.command + " --x 1")])
    assert f"\n1 of {number} recipes have been run so far." in text


def test_page_mentions_deviations_only_if_there_are_some() -> None:
    other = replace(RUN, seed=1, command=RUN.command + " --seed_everything 1")
    for records, expected in (([RUN], False), ([RUN, other], True)):
        text = render_page(records)
        assert ("±" in text.split("[^1]:")[0]) == expected
        assert ("Each row is one run with one seed" in text) != expected


def test_footnote_says_which_of_several_runs_a_published_error_is() -> None:
    text = render_page([])
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")]
    for _, model, _, published, *_ in rows:
        result = PUBLISHED_RESULTS.get(model.strip())
        if result is None:
            continue
        number = published[published.index("[") :].strip()
        (footnote,) = re.findall(rf"^{re.escape(number)}: (.*)\.$", text, re.MULTILINE)
        assert footnote.startswith(result.source)
        assert footnote.endswith(result.note)
    assert re.search(r"table 6: best of 5 runs; mean 6\.61 ± 0\.16", text)


def test_page_says_how_the_pair_was_trained() -> None:
    errors = {"resnet56": 0.07, "plain56": 0.21}
    pair = [
        replace(
            RUN,
            recipe=f"{arch}-cifar10",
            arch=arch,
            epochs=31,
            seed=4,
            metrics={"test_error": error, "test_error_flip_tta": error},
        )
        for arch, error in errors.items()
    ]
    text = " ".join(render_page(pair).split())
    assert "plain56 was trained for 31 epochs with seed 4 and has 21.00 % error." in text
    assert "resnet56 was trained for 31 epochs with seed 4 and has 7.00 % error." in text
    assert "learning rate of the ResNet" in text
    assert "are the pair" not in render_page(pair[:1])


def test_help_prints_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results_page, "ROOT", tmp_path)
    with pytest.raises(SystemExit) as caught:
        results_page.main(["--help"])
    assert caught.value.code == 0
    assert "docs/results.md" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        results_page.main(["--chekc"])
    assert caught.value.code == 2
    assert not list(tmp_path.iterdir())


def test_check_reports_an_outdated_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_page, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "checkpoints" / "records").mkdir(parents=True)
    with pytest.raises(SystemExit, match="out of date"):
        results_page.main(["--check"])
    assert not list((tmp_path / "docs").iterdir())
    results_page.main([])
    results_page.main(["--check"])


def test_results_page_is_up_to_date() -> None:
    records = read_records(ROOT / "checkpoints" / "records")
    assert (ROOT / "docs" / "results.md").read_text() == render_page(records)


def test_every_bundled_checkpoint_has_its_record() -> None:
    # Bundled checkpoints come from the runs with seed 0.
    records = {
        record.recipe: record
        for record in read_records(ROOT / "checkpoints" / "records")
        if record.seed == 0
    }
    for name, path in bundled_checkpoints().items():
        card = checkpoint.read_card(path)
        assert records[name].epochs == card.training["epochs"]
        assert records[name].metrics["test_error"] == pytest.approx(
            card.metrics["test_error"], abs=1e-4
        )


INVALID_RECORDS = {
    "part of the training images": (
        [replace(RUN, train_images=45_000)],
        "used 45,000 training and 10000 test images of cifar10; a result needs 50,000 and 10,000",
    ),
    "part of the test images": (
        [replace(RUN, metrics={"test_error": 0.0, "test_images": 100})],
        "used 50,000 training and 100 test images",
    ),
    "not tested": ([replace(RUN, metrics={})], "50,000 training and None test images"),
    "twice": ([RUN, RUN], "Two records have the same command and seed"),
    "another model": (
        [replace(RUN, arch="resnet56")],
        "trained resnet56, but its recipe resnet20-cifar10 trains resnet20",
    ),
    "no recipe": ([replace(RUN, recipe="mine")], "Unknown recipe 'mine'"),
}


@pytest.mark.parametrize("name", INVALID_RECORDS)
def test_invalid_record_raises(tmp_path: Path, name: str) -> None:
    records, expected = INVALID_RECORDS[name]
    for index, record in enumerate(records):
        record.write(tmp_path / f"{index}.json")
    with pytest.raises(ValueError, match=expected):
        read_records(tmp_path)


def test_other_hardware_gets_its_own_row() -> None:
    other = replace(RUN, seed=1, hardware="2 x GPU", command=RUN.command + " --seed_everything 1")
    assert [line[5] for line in cells(render_page([RUN, other]), "resnet20")] == ["1", "1"]


def test_record_round_trip_and_invalid_files(tmp_path: Path) -> None:
    RUN.write(tmp_path / "a.json")
    assert read_records(tmp_path) == [RUN]
    for text in ("", "{}", json.dumps({**asdict(RUN), "more": 1}), "[1]"):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(ValueError, match="is not a run record"):
            read_records(tmp_path)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (
            ["fit", "--config", "/a/resnet20-cifar10.yaml", "--data.data_dir", "/elsewhere"],
            "--data.data_dir DIR",
        ),
        (["fit", "--ckpt_path", "last", "--trainer.max_epochs", "30"], "--trainer.max_epochs 30"),
        (["fit", "--seed_everything", "2", "--flag"], "--seed_everything 2 --flag"),
        (
            ["fit", "--seed_everything=2", "--data.data_dir=/elsewhere"],
            "--seed_everything 2 --data.data_dir DIR",
        ),
        (
            ["fit", "--trainer.default_root_dir", "x", "--a", "1e-3"],
            "--trainer.default_root_dir DIR --a 1e-3",
        ),
    ],
)
def test_command_keeps_options_and_masks_paths(args: list[str], expected: str) -> None:
    assert (
        reproduce_command(args, "resnet20-cifar10")
        == f"lightning-resnets fit --config resnet20-cifar10 {expected}"
    )


def test_fit_leaves_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quiet = [
        "--trainer.accelerator",
        "cpu",
        "--trainer.enable_progress_bar",
        "false",
        "--seed_everything",
        "3",
    ]
    small = [
        "--data",
        "tests.helpers.few_images.Few",
        "--data.batch_size",
        "16",
        "--trainer.precision",
        "32-true",
    ]
    fit = ["fit", "--config", "seresnet20-cifar10", *small, *quiet, "--trainer.max_epochs"]
    main([*fit, "1"])
    path = Path("runs/seresnet20-cifar10/record.json")
    record = RunRecord.read(path)
    assert (record.arch, record.seed, record.parameters, record.epochs, record.steps) == (
        "seresnet20",
        3,
        272_095,
        1,
        4,
    )
    assert record.metrics["test_error_flip_tta"] == pytest.approx(
        1 - record.metrics["test_accuracy_flip_tta"]
    )
    assert (record.train_images, record.metrics["test_images"]) == (64, 40)
    assert record.command.startswith(
        "lightning-resnets fit --config seresnet20-cifar10 --data tests.helpers.few_images.Few"
    )
    main(
        [
            "test",
            *fit[1:-1],
            "--seed_everything",
            "0",
            "--ckpt_path",
            "runs/seresnet20-cifar10/last.ckpt",
        ]
    )
    assert RunRecord.read(path) == record, "testing must not change the record"
    main([*fit, "2", "--ckpt_path", "last"])
    assert not path.exists(), "an extended run is not a result"
    main([*fit, "1", "--trainer.limit_test_batches", "2"])
    assert not path.exists()
