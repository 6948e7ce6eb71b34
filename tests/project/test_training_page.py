"""Test that the recipe, the commands and the script of docs/training.md run as printed."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
import yaml

from lightning_resnets.cli.main import TRAINING_COMMANDS, main
from lightning_resnets.recipes import list_recipes
from tests.helpers.command_line import QUIET_CPU_TRAINER

PAGE = (Path(__file__).resolve().parents[2] / "docs/training.md").read_text()


def code_blocks(language: str) -> list[str]:
    """Return the code blocks of the page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def training_commands() -> list[list[str]]:
    """Return the arguments of the training commands on the page."""
    commands: list[list[str]] = []
    for block in code_blocks("sh"):
        for line in block.splitlines():
            program, *args = shlex.split(line)
            if program == "lightning-resnets" and args[0] in TRAINING_COMMANDS:
                commands.append(args)
    return commands


@pytest.fixture(autouse=True)
def page_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the files that the page prints; the first line of each is its name."""
    monkeypatch.chdir(tmp_path)
    for text in [*code_blocks("yaml"), *code_blocks("python")]:
        if text.startswith("# "):
            name = text.split()[1]
            Path(name).write_text(text)
            monkeypatch.delitem(sys.modules, Path(name).stem, raising=False)


def test_recipe_runs_a_step_of_everything() -> None:
    (trial,) = [args for args in training_commands() if "--trainer.fast_dev_run" in args]
    main([*trial, *QUIET_CPU_TRAINER])
    rows = Path("runs/mine/gate_statistics_val.csv").read_text().splitlines()
    # The names of the gates in the two blocks.
    assert {row.split(",")[0] for row in rows[1:]} == {"1", "2"}


@pytest.mark.parametrize("args", training_commands(), ids=" ".join)
def test_commands_are_valid(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*args, "--print_config"])
    assert not caught.value.code
    config = yaml.safe_load(capsys.readouterr().out)
    assert str(config["trainer"]["devices"]) in ("auto", "1", "4", "8")


@pytest.mark.slow  # trains four epochs
def test_recipe_ends_with_the_averaged_weights() -> None:
    main(["fit", "--config", "mine.yaml", "--trust_recipe", *QUIET_CPU_TRAINER])
    small = torch.load("runs/mine/mine.ckpt", weights_only=True)["state_dict"]
    last = torch.load("runs/mine/last.ckpt", weights_only=True)
    averaged = last["state_dict"]
    current = last["current_model_state"]
    names = [name for name, value in small.items() if value.is_floating_point()]
    assert all(torch.equal(small[name], averaged[name]) for name in names)
    assert not all(torch.equal(small[name], current[name]) for name in names)
    assert "skip_norms/1/branch" in Path("runs/mine/version_0/metrics.csv").read_text()


@pytest.mark.filterwarnings(
    "ignore:.* does not have many workers", "ignore:`weights_only` was not set"
)
def test_scripts_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # tqdm's monitor is a thread that outlives the test.
    scripts = [text for text in code_blocks("python") if not text.startswith("# ")]
    for script in scripts:
        exec(compile(script, "training.md", "exec"), {"__name__": "page"})
    assert {path.name for path in Path().glob("*.c*")} == {"mine.ckpt", "gate_statistics_val.csv"}
    (metrics,) = Path().rglob("metrics.csv")
    assert "skip_norms/layer1.0/branch" in metrics.read_text()
    capsys.readouterr()
    main(["inspect", "mine.ckpt"])
    assert "seresnet20" in capsys.readouterr().out


def test_global_batch_size_is_that_of_the_recipe() -> None:
    recipe = yaml.safe_load(list_recipes()["resnet50-imagenet-a3"].read_text())
    batch_size = recipe["data"]["init_args"]["batch_size"]
    text = " ".join(PAGE.split())
    assert f"expects {8 * batch_size:,} images: 8 GPUs x {batch_size}, or 4 x {batch_size}" in text
