"""The list of models: counted, never typed; quick, light, and a mistake in one sentence."""

import pytest

from lightning_resnets.cli.main import main
from lightning_resnets.cli.models import format_table, match_names, summarize_model
from lightning_resnets.models.published_results import PUBLISHED_RESULTS
from lightning_resnets.models.registry import MODELS


@pytest.mark.parametrize(
    ("name", "parameters", "gigas", "error"),
    [
        ("resnet50", 25_557_032, 4.089, 24.7),
        ("resnet152", 60_192_808, 11.514, 23.0),
        ("densenet161", 28_681_000, 7.728, 22.33),
        ("seresnet110", 1_742_200, 0.2529, None),
        ("resnet110", 1_727_962, 0.2529, 6.43),
    ],
)
def test_a_row_says_what_the_papers_and_torchvision_say(
    name: str, parameters: int, gigas: float, error: float | None
) -> None:
    found = summarize_model(name)
    assert (found.parameters, found.published and found.published.error) == (parameters, error)
    assert found.macs / 1e9 == pytest.approx(gigas, abs=6e-4)


def test_every_published_error_belongs_to_a_net() -> None:
    assert PUBLISHED_RESULTS.keys() <= MODELS.keys()
    assert all(
        1 < fact.error < 50 and "arXiv" in fact.source
        for fact in PUBLISHED_RESULTS.values()
        if "authors" not in fact.source
    )


def test_patterns() -> None:
    assert match_names("densenet_bc_40") == [f"densenet_bc_40_{k}" for k in (12, 36, 48, 60)]
    assert match_names("wrn*") == ["wrn_16_8", "wrn_28_10"]
    assert match_names() == list(MODELS)
    with pytest.raises(ValueError, match="No model's name fits 'mobilenet'"):
        match_names("mobilenet")


def test_the_table_as_text() -> None:
    assert list(format_table("plain20")) == [
        "model                   parameters  mult-adds  image      error  source of the error",
        "plain20                  269,722     40.6 M  3×32×32          –",
    ]
    assert list(format_table("resnet18"))[1].split()[:5] == [
        "resnet18",
        "11,689,512",
        "1,814.1",
        "M",
        "3×224×224",
    ]


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["models", "seresnet20"])
    assert "272,095" in capsys.readouterr().out
    for wrong in (["models", "mobilenet"], ["models", "a", "b"]):
        with pytest.raises(SystemExit) as caught:
            main(wrong)
        assert str(caught.value.code).startswith("lightning-resnets: ")
