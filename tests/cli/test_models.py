"""Test the table of the built-in models."""

import json

import pytest

from lightning_resnets.cli.main import main
from lightning_resnets.cli.models import format_table, match_names
from lightning_resnets.models.published_results import PUBLISHED_RESULTS
from lightning_resnets.models.registry import MODELS
from tests.helpers.command_line import error_message


def test_pattern_is_a_part_of_the_name_or_a_shell_pattern() -> None:
    assert match_names("densenet_bc_40") == [f"densenet_bc_40_{k}" for k in (12, 36, 48, 60)]
    assert match_names("wrn*") == ["wrn_16_8", "wrn_28_10"]
    assert match_names() == list(MODELS)


def test_pattern_without_match_raises() -> None:
    with pytest.raises(ValueError, match="No model name matches 'mobilenet'"):
        match_names("mobilenet")


def test_columns_are_aligned() -> None:
    assert list(format_table("plain20")) == [
        "model                depth   parameters     MACs  input      published error  source",
        "plain20                 20      269,722   40.6 M  3×32×32                  –",
    ]


def test_table_has_the_published_error_and_its_source() -> None:
    cells = list(format_table("densenet121"))[1].split()
    assert cells[:8] == ["densenet121", "121", "7,978,856", "2.83", "G", "3×224×224", "25.02", "%"]
    assert " ".join(cells[8:]) == PUBLISHED_RESULTS["densenet121"].source


def test_notes_say_which_model_and_run_an_error_is_of() -> None:
    lines = list(format_table("resnet[135]*[80]"))
    assert [line.split()[0] for line in lines if line.startswith("resnet")] == [
        "resnet110",
        "resnet18",
        "resnet50",
    ]
    assert "  [1] 6.43 %  He et al." in lines[1]
    assert lines[-4:] == [
        "",
        "[1] best of 5 runs; mean 6.61 ± 0.16 %",
        f"[2] {PUBLISHED_RESULTS['resnet18'].note}",
        f"[3] {PUBLISHED_RESULTS['resnet50'].note}",
    ]


def test_models_of_one_note_share_its_number() -> None:
    lines = list(format_table("wrn_*"))
    assert ["[1]" in line for line in lines] == [False, True, True, False, True]
    assert lines[-1] == "[1] median of 5 runs"


def test_json_has_the_same_facts(capsys: pytest.CaptureFixture[str]) -> None:
    main(["models", "highway*", "--json"])
    first, second = json.loads(capsys.readouterr().out)
    assert first == {
        "model": "highway19",
        "depth": 19,
        "parameters": first["parameters"],
        "macs": first["macs"],
        "input_size": [3, 32, 32],
        "published_error": 7.54,
        "source": PUBLISHED_RESULTS["highway19"].source,
        "note": "best run; mean 7.72 ± 0.16 %",
    }
    assert second["note"] is None


def test_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["models", "seresnet20"])
    assert "272,095" in capsys.readouterr().out


def test_command_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["models", "--help"])
    assert not caught.value.code
    assert capsys.readouterr().out.startswith(
        "usage: lightning-resnets models [-h] [--json] [PATTERN]"
    )


def test_wrong_arguments_raise() -> None:
    assert "No model name matches 'mobilenet'" in error_message(["models", "mobilenet"])
    assert "Unrecognized arguments: b. See" in error_message(["models", "a", "b"])
