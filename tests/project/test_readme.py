"""The README is true: its Python runs as printed, its commands are those that there are, its links lead somewhere."""

import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.cli.main import TRAINING_COMMANDS, main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    return [
        line
        for page in PAGES
        for block in blocks("sh", page.read_text())
        for line in block.splitlines()
    ]


def lines(program: str) -> list[list[str]]:
    """The arguments of every printed call of a program, `uv run` before it or not."""
    words = [shlex.split(line.removeprefix("uv run ")) for line in commands()]
    return [args for name, *args in words if name == program]


OWN = "# mynets.py"  # the block that is a file of its own


@pytest.mark.parametrize(
    "code",
    [code for code in blocks("python") if not code.startswith(OWN)],
    ids=lambda code: code.split("\n")[0],
)
def test_python_runs_as_printed(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})  # our own page
    assert capsys.readouterr().out


def test_the_page_on_seeing_runs_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Its blocks build on one another."""
    code = "\n".join(blocks("python", (ROOT / "docs/seeing.md").read_text()))
    exec(compile(code, "docs/seeing.md", "exec"), {"__name__": "seeing"})  # our own page
    assert len(capsys.readouterr().out.splitlines()) > 30


@pytest.fixture
def mynets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = (code for code in blocks("python") if code.startswith(OWN))
    (tmp_path / "mynets.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mynets", raising=False)


@pytest.mark.slow  # trains two batches in one process
def test_ones_own_net_is_trained_and_opened_as_printed(
    mynets: None, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [args for args in lines("lightning-resnets") if "mynets:tiny" in args]
    assert [args[0] for args in own] == ["fit", "inspect"]
    short = ["max_epochs", "1", "limit_train_batches", "2", "enable_progress_bar", "false"]
    main(
        [
            *own[0],
            *(f"--trainer.{word}" if place % 2 == 0 else word for place, word in enumerate(short)),
        ]
    )
    capsys.readouterr()
    main(own[1])
    assert "mynets:tiny" in capsys.readouterr().out
    (code,) = (code for code in blocks("python") if code.startswith(OWN))
    assert len([line for line in code.splitlines() if line]) <= 20


def test_commands_on_a_file_are_understood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Smaller variant: they are run on a model that ships, its sample images standing for the user's."""
    from lightning_resnets.data import cifar10_sample

    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)  # its monitor is a thread that stays
    images, labels = cifar10_sample.load_sample("test")
    for place in range(4):
        folder = tmp_path / "DIR" / cifar10_sample.CLASSES[labels[place]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[place]).save(folder / f"{place}.png")
    monkeypatch.chdir(tmp_path)  # analyzes are written where one is
    replaced = {"FILE": "resnet20", "DIR": str(tmp_path / "DIR"), "imagenet": "folder"}
    for args in (args for args in lines("lightning-resnets") if "FILE" in args):
        outs = {word: str(tmp_path / word) for word in args if word.startswith("OUT")}
        main([(replaced | outs).get(word, word) for word in args])
        assert capsys.readouterr().out
        assert all(Path(out).stat().st_size > 100_000 for out in outs.values())


@pytest.mark.parametrize(
    "args",
    [args for args in lines("lightning-resnets") if args[0] in TRAINING_COMMANDS],
    ids=" ".join,
)
def test_training_commands_are_understood(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Smaller variant: up to the whole configuration; tests/test_cli.py runs every recipe."""
    with pytest.raises(SystemExit) as done:
        main([*args, "--print_config"])
    assert not done.value.code
    printed = capsys.readouterr().out
    for value in (value for option, value in pairwise(args) if option.startswith("--trainer.")):
        assert value in printed


@pytest.mark.parametrize(
    "args", [args for args in lines("lightning-resnets") if args[0] == "analyze"], ids=" ".join
)
def test_analyses_are_understood(args: list[str]) -> None:
    """Smaller variant: the arguments and what they name; tests/test_analyze.py does each analysis."""
    from lightning_resnets.cli.analyze import build_parser, select_analyses

    given = build_parser().parse_args(args[1:])
    assert select_analyses(given.name)
    assert given.file == "FILE" or resolve_checkpoint(given.file).is_file()


@pytest.mark.parametrize("args", lines("lightning-resnets-gui"), ids=" ".join)
def test_app_commands_are_understood(args: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller variant: the arguments, and the file they name; tests/test_window.py opens the window."""
    from gui.app import parse_args

    monkeypatch.chdir(ROOT)
    model = parse_args(args).checkpoint
    assert model in (None, "runs/demo/demo.ckpt") or resolve_checkpoint(model).is_file()


@pytest.mark.parametrize("args", lines("./run"), ids=" ".join)
def test_run_commands_are_those_that_help_lists(args: list[str]) -> None:
    """Smaller variant: the name; running them would run this test again."""
    usage = subprocess.run(
        [str(ROOT / "run"), "help"], capture_output=True, text=True, check=True
    ).stdout
    assert re.search(rf"^\./run {args[0]}\b", usage, re.MULTILINE)


def test_no_printed_command_goes_unlooked_at() -> None:
    known = ("./run", "lightning-resnets", "lightning-resnets-gui")
    assert len(commands()) == sum(len(lines(program)) for program in known)


def test_the_quick_start_has_two_commands() -> None:
    assert blocks("sh")[0].splitlines() == ["./run demo", "./run test"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_into_the_project_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]
