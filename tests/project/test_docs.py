"""The README and the pages are true: their Python runs as printed, their commands exist, their
links lead somewhere.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.cli.main import TRAINING_COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCS = sorted(ROOT.glob("docs/*.md"))
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]
GENERATED = ROOT / "docs/results.md"
CUSTOM_FILE_RE = re.compile(r"^# (\w+\.(?:py|yaml))\n")  # the first line of a block that is a file
CUSTOM = ("mymodels", "mine.yaml", "mine.ckpt")
PLACEHOLDERS = ("CHECKPOINT", "DIR")
PROGRAMS = ("./run", "lightning-resnets", "lightning-resnets-gui")
ELSEWHERE = ("pip", "torchrun", "python")  # commands of other programs


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a language on a page."""
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every printed command of a page; shell scripts are left out."""
    for block in blocks(page, "sh"):
        if block.startswith("#!"):
            continue
        for line in block.splitlines():
            yield shlex.split(line)


def calls(program: str) -> list[list[str]]:
    """Return the arguments of every printed call of a program, each once."""
    found = [args for page in PAGES for name, *args in commands(page) if name == program]
    return [list(args) for args in dict.fromkeys(map(tuple, found))]


def is_custom(args: list[str]) -> bool:
    """Return True for commands on files that the reader makes."""
    return any(word.startswith(CUSTOM) for word in args)


def programs_on(page: Path) -> list[str]:
    """Return the Python blocks of a page that are no files of their own."""
    return [code for code in blocks(page, "python") if not CUSTOM_FILE_RE.match(code)]


def alone() -> list[tuple[str, str]]:
    """Return the blocks that run each on its own: those of the README and most pages."""
    pages = [README, *(page for page in DOCS if page.stem not in ("interventions", "training"))]
    return [(page.name, code) for page in pages for code in programs_on(page)]


@pytest.mark.parametrize(("page", "code"), alone(), ids=lambda text: text.split("\n")[0][:40])
def test_python_runs_as_printed(page: str, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, page, "exec"), {"__name__": "page"})
    assert capsys.readouterr().out


def test_page_on_interventions_runs_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Smaller variant: none; its blocks build on one another."""
    page = ROOT / "docs/interventions.md"
    exec(compile("\n".join(programs_on(page)), page.name, "exec"), {"__name__": "page"})
    assert len(capsys.readouterr().out.splitlines()) > 30


@pytest.fixture
def custom_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the files that docs/training.md prints, in a folder of their own."""
    page = ROOT / "docs/training.md"
    for code in blocks(page, "python") + blocks(page, "yaml"):
        if match := CUSTOM_FILE_RE.match(code):
            (tmp_path / match[1]).write_text(code)
    monkeypatch.chdir(tmp_path)
    for name in ("mymodels", "gated"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.mark.slow  # trains two batches in this process
def test_custom_model_trains_and_opens_as_printed(
    custom_files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [args for args in calls("lightning-resnets") if "mymodels:tiny" in args]
    assert [args[0] for args in own] == ["fit", "inspect"]
    short = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2"]
    main([*own[0], *short, "--trainer.enable_progress_bar", "false"])
    capsys.readouterr()
    main(own[1])
    assert "mymodels:tiny" in capsys.readouterr().out


def test_commands_on_a_file_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Smaller variant: on a bundled model, with sample images in place of the user's."""
    from lightning_resnets.data import cifar10_sample

    images, labels = cifar10_sample.load_sample("test")
    for index in range(4):
        folder = tmp_path / "DIR" / cifar10_sample.CLASSES[labels[index]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[index]).save(folder / f"{index}.png")
    monkeypatch.chdir(tmp_path)  # analyses are written to the current folder
    values = {"CHECKPOINT": "resnet20", "DIR": str(tmp_path / "DIR"), "imagenet": "folder"}
    for args in (args for args in calls("lightning-resnets") if "CHECKPOINT" in args):
        outs = {word: str(tmp_path / word) for word in args if word.startswith("OUT")}
        main([(values | outs).get(word, word) for word in args])
        assert capsys.readouterr().out
        assert all(Path(out).stat().st_size > 100_000 for out in outs.values())


def training_calls() -> list[list[str]]:
    """Return the training commands that need no file of the reader's."""
    found = [args for args in calls("lightning-resnets") if args[0] in TRAINING_COMMANDS]
    return [args for args in found if not is_custom(args)]


@pytest.mark.parametrize("args", training_calls(), ids=" ".join)
def test_training_commands_are_valid(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Smaller variant: up to the whole configuration; tests/training/test_recipes.py runs every
    recipe.
    """
    with pytest.raises(SystemExit) as done:
        main([*args, "--print_config"])
    assert not done.value.code
    printed = capsys.readouterr().out
    for value in (value for option, value in pairwise(args) if option.startswith("--trainer.")):
        assert value in printed


@pytest.mark.parametrize(
    "args", [args for args in calls("lightning-resnets") if args[0] == "analyze"], ids=" ".join
)
def test_analyses_are_valid(args: list[str]) -> None:
    """Smaller variant: the arguments and what they name; tests/cli/test_analyze.py runs each
    analysis.
    """
    from lightning_resnets.cli.analyze import build_parser, select_analyses

    options = build_parser().parse_args(args[1:])
    assert select_analyses(options.name)


@pytest.mark.parametrize("args", calls("lightning-resnets-gui"), ids=" ".join)
def test_app_commands_are_valid(args: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller variant: the arguments and the file they name; tests/gui/test_window.py opens the
    window.
    """
    from gui.app import parse_args

    monkeypatch.chdir(ROOT)
    checkpoint = parse_args(args).checkpoint
    if checkpoint not in (None, "runs/demo/demo.ckpt"):
        assert resolve_checkpoint(checkpoint).is_file()


@pytest.mark.parametrize("args", calls("./run"), ids=" ".join)
def test_run_commands_are_listed_by_its_help(args: list[str]) -> None:
    """Smaller variant: the name; running them would run this test again."""
    command = [str(ROOT / "run"), "help"]
    usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^\./run {args[0]}\b", usage, re.MULTILINE)


def test_every_printed_command_is_tested() -> None:
    unknown = []
    for page in PAGES:
        for name, *args in commands(page):
            if name not in (*PROGRAMS, *ELSEWHERE) and "pre-commit" not in name:
                unknown.append(f"{page.name}: {name} {args}")
    assert not unknown


def test_readme_has_the_promised_order_and_length() -> None:
    text = README.read_text()
    titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert titles[:4] == ["Install", "Use", "Demo and tests", "Three commands"]
    assert len(text.splitlines()) <= 140
    assert ["./run demo", "./run test"] in [block.splitlines() for block in blocks(README, "sh")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_into_the_project_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]
