"""Test the table of the built-in models."""

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
        "model                 parameters     MACs  input      published error  source",
        "plain20                  269,722   40.6 M  3×32×32                  –",
    ]


def test_table_has_the_published_error_and_its_source() -> None:
    cells = list(format_table("resnet50"))[1].split()
    assert cells[:7] == ["resnet50", "25,557,032", "4.09", "G", "3×224×224", "24.70", "%"]
    assert " ".join(cells[7:]) == PUBLISHED_RESULTS["resnet50"].source


def test_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["models", "seresnet20"])
    assert "272,095" in capsys.readouterr().out


def test_command_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["models", "--help"])
    assert not caught.value.code
    assert capsys.readouterr().out.startswith("usage: lightning-resnets models [-h] [PATTERN]")


def test_wrong_arguments_raise() -> None:
    assert "No model name matches 'mobilenet'" in error_message(["models", "mobilenet"])
    assert "Unrecognized arguments: b. See" in error_message(["models", "a", "b"])
