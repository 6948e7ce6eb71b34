"""The table of the nets that ship, made of their cards: `python -m lightning_resnets.checkpoint.table`.

It writes `checkpoints/README.md` of a checkout, so that no figure there is written by hand.
"""

import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import yaml
from torch import nn

from lightning_resnets.checkpoint.card import Card
from lightning_resnets.checkpoint.read import load
from lightning_resnets.checkpoint.shipped import folder, shipped

HEAD = """# Nets that ship

Each was trained by `Trainer.fit` with the recipe of its name on all 50,000 training pictures of CIFAR-10, and tested in
float32 on all 10,000 test pictures with the weights of the last epoch; the test set chose nothing. Training time is
that of a machine shared with other work. Every figure comes from the file's own card and is that of the trained
weights; the files keep them rounded to half precision, which may change an answer or two in 10,000. This page is
written by `python -m lightning_resnets.checkpoint.table`.

| file | parameters | test error | test accuracy | epochs | training | hardware | versions |
|---|---|---|---|---|---|---|---|
"""
TAIL = """
Made by (DIR holds the official CIFAR-10, `cifar-10-batches-py` or `cifar-10-batches-bin`):

```sh
{made}
```

Checked by:

```sh
{checked}
```

The pictures are Alex Krizhevsky's CIFAR-10 (Learning Multiple Layers of Features from Tiny Images, 2009).
"""


def row(net: nn.Module, card: Card, path: Path) -> str:
    """One net's line: every figure from its file."""
    count = sum(p.numel() for p in net.parameters())
    metrics, trained = card.metrics, card.trained
    versions = ", ".join(f"{name} {number}" for name, number in card.versions.items() if name != "lightning-resnets")
    return (
        f"| [{path.name}]({path.name}) | {count:,} | {metrics['test_error']:.2%} | {metrics['test_accuracy']:.2%} "
        f"| {trained['epochs']} | {trained['seconds'] / 60:.0f} min | {trained['hardware']}, {trained['precision']} "
        f"| {versions} |"
    )


def command(verb: str, card: Card, path: Path) -> str:
    """What made a net, or checks it."""
    if verb == "test":
        return f"lightning-resnets test --config {card.recipe} --ckpt_path checkpoints/{path.name} --data.root DIR"
    recipe = yaml.safe_load((files("lightning_resnets") / "recipes" / f"{card.recipe}.yaml").read_text())
    other = card.trained["epochs"] != recipe["trainer"]["max_epochs"]
    epochs = f" --trainer.max_epochs {card.trained['epochs']}" if other else ""
    return f"lightning-resnets fit --config {card.recipe} --data.root DIR{epochs}"


def page(nets: Mapping[str, Path]) -> str:
    """The whole of `checkpoints/README.md`."""
    opened = [(*load(path), path) for path in nets.values()]
    made, checked = ("\n".join(command(verb, card, path) for _, card, path in opened) for verb in ("fit", "test"))
    return HEAD + "\n".join(row(*net) for net in opened) + "\n" + TAIL.format(made=made, checked=checked)


def main() -> None:
    """Write the page, or with `--check` say whether it is up to date."""
    target, text = folder() / "README.md", page(shipped())
    if "--check" in sys.argv[1:]:
        sys.exit(0 if target.is_file() and target.read_text() == text else f"{target} is not what the cards say.")
    target.write_text(text)
    print(f"{target}: {len(shipped())} nets")


if __name__ == "__main__":
    main()
