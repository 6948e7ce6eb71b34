"""One page of help for `fit`, `validate`, `test` and `predict`: our options, their defaults, and a few words on each.

Names and defaults are those of the signatures; here are only the words.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L

from lightning_resnets.data.cifar import CIFAR10
from lightning_resnets.data.imagenet import ImageNet
from lightning_resnets.training.classifier import Classifier
from lightning_resnets.training.command import Command
from lightning_resnets.training.hardware import precision

DOES = {
    "fit": "Train the recipe's net, test its last weights, and write runs/RECIPE/RECIPE.ckpt.",
    "validate": "The accuracy of --ckpt_path on the pictures that --data.validation holds out.",
    "test": "The accuracy of --ckpt_path on the test pictures.",
    "predict": "What --ckpt_path sees in each test picture: runs/RECIPE/predictions.csv.",
}
RUN = {  # of the command itself; Lightning's own two have no signature of ours
    "config": "a recipe's name or a YAML file; of several the last wins",
    "ckpt_path": "weights: a file, a net that ships, or for fit `last`",
    "seed_everything": "seed of weights, order and augmentation",
    "folder": "where files go (null: runs/RECIPE); one for each seed",
    "save_minutes": "write last.ckpt also every so many minutes (0: not)",
    "save_steps": "the same by steps",
    "test_at_end": "test after training, and write the small RECIPE.ckpt",
    "overwrite": "begin anew in a folder whose run has not ended",
}
LIGHTNINGS: dict[str, Any] = {"config": "", "ckpt_path": None, "seed_everything": 0}
MODEL = {
    "net": "of `lightning-resnets models`, or your module:function",
    "options": "what the net takes besides, as in '{shortcut: B}'",
    "lr": "peak learning rate, for batch_size x processes pictures",
    "momentum": "of sgd; the first beta of adamw and lamb",
    "weight_decay": "on weights of two and more dimensions alone",
    "label_smoothing": "share of the target that all classes get",
    "warmup": "share of all steps in which the rate rises",
    "schedule": "how it comes down to zero: linear or cosine",
    "optimizer": "sgd, adamw or lamb (lamb is timm's)",
    "loss": "cross_entropy or bce, each class on its own",
    "consistency": "weight of the two answers' distance under dual_cutout",
    "compile": "torch.compile",
}
LINKED = {"classes"}  # no option: the data say how many
DATA = {
    "root": "folder of the pictures; ImageNet's may be s3://...",
    "batch_size": "pictures a step and process",
    "validation": "training pictures held out for validation (0: none)",
    "mixup": "Beta parameter that mixes two pictures (0: none)",
    "cutmix": "the same for a pasted rectangle",
    "eval_batch_size": "pictures at once in evaluation",
    "seed": "of order and augmentation (null: --seed_everything)",
}
CIFAR = {
    "pad": "a crop out of the picture padded by so many pixels",
    "flip": "left to right: true, false or alternating",
    "trivial": "TrivialAugment",
    "cutout": "side of a square that is blanked (0: none)",
    "dual_cutout": "each picture twice, under two squares",
    "download": "fetch the official files into root",
}
IMAGENET = {
    "train_size": "pixels a side; '{0: 128, 30: 160}' from an epoch on",
    "val_size": "pixels a side in evaluation",
    "crop": "share of the scaled picture's side that evaluation sees",
    "least": "least share of the area that a training crop takes",
    "policy": "trivial (TrivialAugment), rand (RandAugment) or null",
    "magnitude": "of rand, 0 to 30",
    "erase": "share of the pictures with a rectangle erased",
    "repeats": "how often an epoch shows each picture, augmented anew",
    "workers": "processes that load (null: one a core)",
}
TRAINER = {
    "max_epochs": "how long; recipes say it",
    "devices": "how many GPUs or processes, or auto: all",
    "strategy": "ddp for several",
    "accelerator": "cpu, gpu or auto",
    "precision": "bf16-mixed where the hardware computes in it",
    "limit_train_batches": "fewer batches an epoch, for a try",
}
ELSEWHERE = {  # what `validate`, `test` and `predict` heed
    *("config", "ckpt_path", "folder", "net", "options", "root", "validation", "eval_batch_size", "download"),
    *("val_size", "crop", "workers", "devices", "strategy", "accelerator"),
}
END = """
Other pictures: --data DOTTED.PATH, as lightning_resnets.data.cifar.CIFAR10Sample (a sample that ships).
What a recipe and options come to:  lightning-resnets {command} --config RECIPE ... --print_config
Everything, Lightning's options too: lightning-resnets {command} --help-all"""


def page(command: str) -> str:
    """The page of one of the four commands."""
    cifar, imagenet = defaults(CIFAR10.__init__), defaults(ImageNet.__init__)
    both = {name: pair(cifar[name], imagenet[name]) for name in DATA}
    trainer = defaults(L.Trainer.__init__) | {"precision": precision()}
    groups = [
        ("The run", "", RUN, LIGHTNINGS | extras()),
        ("The net and its training", "model.", MODEL, defaults(Classifier.__init__)),
        ("Pictures: CIFAR-10 | ImageNet", "data.", DATA, both),
        ("Pictures: CIFAR-10 alone", "data.", CIFAR, cifar),
        ("Pictures: ImageNet alone", "data.", IMAGENET, imagenet),
        ("Lightning's Trainer, the most used", "trainer.", TRAINER, trainer),
    ]
    rows = [line for title, *group in groups for line in section(command, title, *group)]
    head = [f"usage: lightning-resnets {command} --config RECIPE [options]", "", DOES[command]]
    head += ["Each option with its default, which a recipe may overrule, and you the recipe."]
    return "\n".join([*head, *rows, END.format(command=command)])


def section(command: str, title: str, prefix: str, words: Mapping[str, str], values: Mapping[str, Any]) -> list[str]:
    """A heading and a line for each option that the command heeds, or nothing."""
    names = [name for name in words if name in values and (command == "fit" or name in ELSEWHERE)]
    lines = [f"  --{prefix + name:<27} {shown(values[name]):<20}  {words[name]}" for name in names]
    return ["", title, *lines] if lines else []


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Every parameter that can be given, with its default."""
    found = inspect.signature(function).parameters
    return {name: one.default for name, one in found.items() if name not in ("self", "kwargs")}


def extras() -> dict[str, Any]:
    """The options that our command adds to Lightning's, with their defaults."""
    notes = Notes()
    Command.add_arguments_to_parser(None, notes)  # type: ignore[arg-type] - it asks nothing of the command
    return notes.found


class Notes:
    """In a parser's place: keeps which options are added to it."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def add_argument(self, option: str, default: Any = None, **_: Any) -> None:
        self.found[option.removeprefix("--")] = default

    def link_arguments(self, *_: Any, **__: Any) -> None:
        """Nothing that can be given."""


def shown(value: Any) -> str:
    """A default as one writes it in a recipe."""
    return (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)
    )


def pair(left: Any, right: Any) -> str:
    """Two defaults, or the one that both have."""
    return shown(left) if left == right else f"{shown(left)} | {shown(right)}"
