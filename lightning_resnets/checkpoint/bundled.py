"""The trained models that ship: found by name in a checkout and in an installed wheel alike."""

import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

import yaml
from torch import nn

from lightning_resnets.checkpoint.load import load_model
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.errors import CheckpointError

SUFFIXES = (".ckpt", ".safetensors")


PACKAGE_DIR = Path(__file__).resolve().parents[1]


def bundled_dir() -> Path:
    """Where the shipped models lie: `checkpoints/` of the checkout, else `shipped/` inside the package."""
    root = PACKAGE_DIR.parent
    if (root / "pyproject.toml").is_file() and (root / "checkpoints").is_dir():
        return root / "checkpoints"
    return PACKAGE_DIR / "shipped"


def bundled_checkpoints() -> dict[str, Path]:
    """Every model that ships by its name (the file's name without its ending), sorted; empty where none is there."""
    files = sorted(
        path for path in bundled_dir().glob("*") if path.suffix in SUFFIXES and path.is_file()
    )
    return {path.stem: path for path in files}


def resolve_checkpoint(name: str | Path) -> Path:
    """The file of a shipped model (`resnet20-cifar10`, or `resnet20` where only one begins so), or the path given.

    A name without a folder or an ending is looked for among the shipped models first. Raises CheckpointError where there
    is neither such a model nor such a file.
    """
    models, text = bundled_checkpoints(), str(name)
    if isinstance(name, str) and (file := models.get(text) or _only(text, models)):
        return file
    path = Path(name).expanduser()
    if path.exists():
        return path
    near = get_close_matches(path.stem, models, n=3, cutoff=0.5) or list(models)
    listed = f" (the models that ship: {', '.join(near)})" if near else ""
    raise CheckpointError(
        f"There is no file and no shipped model called '{text}': check the name{listed}."
    )


def _only(name: str, models: dict[str, Path]) -> Path | None:
    found = [file for model, file in models.items() if model.startswith(f"{name}-")]
    return found[0] if len(found) == 1 else None


INTRO = """# Models that ship

Each was trained by `Trainer.fit` with the recipe of its name on all 50,000 training images of CIFAR-10, and tested in
float32 on all 10,000 test images with the weights of the last epoch; the test set chose nothing. Training time is
that of a machine shared with other work. Every figure comes from the file's own card and is that of the trained
weights; the files keep them rounded to half precision, which may change an answer or two in 10,000. This page is
written by `python -m lightning_resnets.checkpoint.bundled`.

| file | parameters | test error | test accuracy | epochs | training | hardware | versions |
|---|---|---|---|---|---|---|---|
"""


OUTRO = """
Made by (DIR holds the official CIFAR-10, `cifar-10-batches-py` or `cifar-10-batches-bin`):

```sh
{made}
```

Checked by:

```sh
{checked}
```

The images are Alex Krizhevsky's CIFAR-10 (Learning Multiple Layers of Features from Tiny Images, 2009).
"""


def format_row(model: nn.Module, card: ModelCard, path: Path) -> str:
    """One model's line: every figure from its file."""
    count = sum(p.numel() for p in model.parameters())
    metrics, trained = card.metrics, card.training
    versions = ", ".join(
        f"{name} {number}" for name, number in card.versions.items() if name != "lightning-resnets"
    )
    return (
        f"| [{path.name}]({path.name}) | {count:,} | {metrics['test_error']:.2%} | {metrics['test_accuracy']:.2%} "
        f"| {trained['epochs']} | {trained['seconds'] / 60:.0f} min | {trained['hardware']}, {trained['precision']} "
        f"| {versions} |"
    )


def format_command(verb: str, card: ModelCard, path: Path) -> str:
    """What made a model, or checks it."""
    if verb == "test":
        return f"lightning-resnets test --config {card.recipe} --ckpt_path checkpoints/{path.name} --data.data_dir DIR"
    recipe = yaml.safe_load(
        (files("lightning_resnets") / "recipes" / f"{card.recipe}.yaml").read_text()
    )
    other = card.training["epochs"] != recipe["trainer"]["max_epochs"]
    epochs = f" --trainer.max_epochs {card.training['epochs']}" if other else ""
    return f"lightning-resnets fit --config {card.recipe} --data.data_dir DIR{epochs}"


def render_page(models: Mapping[str, Path]) -> str:
    """The whole of `checkpoints/README.md`."""
    opened = [(*load_model(path), path) for path in models.values()]
    made, checked = (
        "\n".join(format_command(verb, card, path) for _, card, path in opened)
        for verb in ("fit", "test")
    )
    return (
        INTRO
        + "\n".join(format_row(*model) for model in opened)
        + "\n"
        + OUTRO.format(made=made, checked=checked)
    )


def main() -> None:
    """Write the page, or with `--check` say whether it is up to date."""
    target, text = bundled_dir() / "README.md", render_page(bundled_checkpoints())
    if "--check" in sys.argv[1:]:
        sys.exit(
            0
            if target.is_file() and target.read_text() == text
            else f"{target} is not what the cards say."
        )
    target.write_text(text)
    print(f"{target}: {len(bundled_checkpoints())} models")


if __name__ == "__main__":
    main()
