"""Find the bundled checkpoints by name, in a source checkout and in an installed wheel."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

import yaml

from lightning_resnets.checkpoint.load import load_model
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.errors import CheckpointError
from lightning_resnets.utils.arguments import check_path
from lightning_resnets.utils.atomic_write import atomic_write_text
from lightning_resnets.utils.format import printable_key
from lightning_resnets.utils.parameters import count_parameters

SUFFIXES = (".ckpt", ".safetensors")
PACKAGE_DIR = Path(__file__).resolve().parents[1]
MAX_SUGGESTIONS = 3


def bundled_dir() -> Path:
    """Return the folder of the bundled checkpoints.

    It is `checkpoints/` of a checkout, else `bundled_checkpoints/` inside the package.
    """
    root = PACKAGE_DIR.parent
    # An installed package may have a folder `checkpoints` of something else beside it.
    if (root / "pyproject.toml").is_file() and (root / "checkpoints").is_dir():
        return root / "checkpoints"
    return PACKAGE_DIR / "bundled_checkpoints"


def bundled_checkpoints() -> dict[str, Path]:
    """Return all bundled checkpoints by name (file name without suffix), sorted."""
    paths = (path for path in bundled_dir().glob("*") if path.suffix in SUFFIXES)
    return {path.stem: path for path in sorted(paths) if path.is_file()}


def resolve_checkpoint(name: str | Path) -> Path:
    """Return the file of a checkpoint.

    Args:
        name: a path; or a bundled model's name (`resnet20-cifar10`), or the start of one
            (`resnet20`) if it is the only one. Bundled names win over files.

    Returns:
        The path.

    Raises:
        CheckpointError: there is neither such a file nor such a bundled model.
    """
    check_path("name", name, CheckpointError)
    bundled = bundled_checkpoints()
    text = str(name)
    if isinstance(name, str):
        # A Path always means a file, also without a folder.
        file = bundled.get(text) or _find_unique(text, bundled)
        if file is not None:
            return file
    path = Path(name).expanduser()
    if _exists(path):
        return path
    raise _not_found_error(text, path.stem, bundled)


def _exists(path: Path) -> bool:
    """Return True if there is such a file or folder."""
    # A name may be too long for the system to look for it.
    with suppress(OSError, ValueError):
        return path.exists()
    return False


def _not_found_error(name: str, stem: str, bundled: Mapping[str, Path]) -> CheckpointError:
    """Build the error about a name, with the bundled models that are similar."""
    # The stem, so that a wrong suffix does not matter.
    near = get_close_matches(stem, bundled, n=MAX_SUGGESTIONS, cutoff=0.5)
    # Without a match all bundled names are listed.
    near = near or list(bundled)
    hint = f" (bundled models: {', '.join(near)})" if near else ""
    return CheckpointError(
        f"No file or bundled model named '{printable_key(name)}'. Check the name{hint}."
    )


def _find_unique(name: str, bundled: Mapping[str, Path]) -> Path | None:
    """Return the only bundled file whose name starts with `name-`, else None."""
    # Names are MODEL-DATASET, as the recipes are.
    found = [file for model, file in bundled.items() if model.startswith(f"{name}-")]
    # Of several, none is chosen silently.
    if len(found) != 1:
        return None
    return found[0]


INTRO = """# Bundled models

`Trainer.fit` trained each model with the recipe of the same name on all 50,000 training images of
CIFAR-10. The test error is that of the last epoch's weights in float32 on all 10,000 test images;
the test set was not used to choose anything. Training times were measured on a shared machine.
Every figure comes from the file's own model card and belongs to the trained weights. The files
store them in half precision, which may change one or two of 10,000 predictions. This page is
written by `python -m lightning_resnets.checkpoint.bundled`.

| file | parameters | test error | test accuracy | epochs | training | hardware | versions |
|---|---|---|---|---|---|---|---|
"""

OUTRO = """
To train them (DIR contains the official CIFAR-10, `cifar-10-batches-py` or `cifar-10-batches-bin`):

```sh
{fit_commands}
```

To test them:

```sh
{test_commands}
```

The images are from Alex Krizhevsky's CIFAR-10 (Learning Multiple Layers of Features from Tiny
Images, 2009).
"""


@dataclass(frozen=True, slots=True)
class BundledModel:
    """A bundled checkpoint for the page: its file, card and number of parameters."""

    path: Path
    card: ModelCard
    parameters: int


def format_row(model: BundledModel) -> str:
    """Format a model's row of the page's table.

    Args:
        model: the model; every figure comes from its card.

    Returns:
        One line of Markdown.
    """
    card = model.card
    training = card.training
    # Our own version says nothing about the result.
    packages = (item for item in card.versions.items() if item[0] != "lightning-resnets")
    cells = (
        f"[{model.path.name}]({model.path.name})",
        f"{model.parameters:,}",
        f"{card.metrics['test_error']:.2%}",
        f"{card.metrics['test_accuracy']:.2%}",
        f"{training['epochs']}",
        f"{training['seconds'] / 60:.0f} min",
        f"{training['hardware']}, {training['precision']}",
        ", ".join(f"{name} {version}" for name, version in packages),
    )
    return f"| {' | '.join(cells)} |"


def fit_command(card: ModelCard) -> str:
    """Format the command that trains a bundled model again.

    Args:
        card: the model's card.

    Returns:
        A shell command; it names the epochs if they differ from the recipe's.
    """
    recipes = files("lightning_resnets") / "recipes"
    recipe = yaml.safe_load((recipes / f"{card.recipe}.yaml").read_text())
    epochs = card.training["epochs"]
    command = f"lightning-resnets fit --config {card.recipe} --data.data_dir DIR"
    if epochs != recipe["trainer"]["max_epochs"]:
        # Some models were trained for fewer epochs than their recipe says.
        command += f" --trainer.max_epochs {epochs}"
    return command


def evaluate_command(card: ModelCard, path: Path) -> str:
    """Format the command that tests a bundled model.

    Args:
        card: the model's card.
        path: its file.

    Returns:
        A shell command.
    """
    return (
        f"lightning-resnets test --config {card.recipe} --ckpt_path checkpoints/{path.name} "
        "--data.data_dir DIR"
    )


def render_page(checkpoints: Mapping[str, Path]) -> str:
    """Render `checkpoints/README.md`.

    Args:
        checkpoints: bundled files by name.

    Returns:
        The page in Markdown.
    """
    models = list[BundledModel]()
    for path in checkpoints.values():
        # Loading checks that every weight fits the card.
        model, card = load_model(path)
        models.append(BundledModel(path, card, count_parameters(model)))
    rows = "\n".join(format_row(model) for model in models)
    fit_commands = "\n".join(fit_command(model.card) for model in models)
    test_commands = "\n".join(evaluate_command(model.card, model.path) for model in models)
    outro = OUTRO.format(fit_commands=fit_commands, test_commands=test_commands)
    return f"{INTRO}{rows}\n{outro}"


def main(args: Sequence[str] | None = None) -> None:
    """Write the page, or with `--check` exit with an error if it is out of date.

    Args:
        args: command-line arguments; None for those of the process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lightning_resnets.checkpoint.bundled",
        description="Write the README.md beside the bundled checkpoints.",
    )
    parser.add_argument("--check", action="store_true", help="only check that it is up to date")
    options = parser.parse_args(args)
    target = bundled_dir() / "README.md"
    text = render_page(bundled_checkpoints())
    if options.check:
        # CI runs this.
        if not target.is_file() or target.read_text() != text:
            sys.exit(f"{target} does not match the model cards. Run this without --check.")
        return
    atomic_write_text(target, text)
    print(f"{target}: {len(bundled_checkpoints())} models")


if __name__ == "__main__":
    main()
