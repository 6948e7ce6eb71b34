"""One page of help for `fit`, `validate`, `test` and `predict`: our options, their defaults, and a few words on each.

Names and defaults are those of the signatures; here are only the words.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L

from lightning_resnets.cli.train import TrainingCLI
from lightning_resnets.data.cifar10 import CIFAR10
from lightning_resnets.data.imagenet import ImageNet
from lightning_resnets.training.hardware import default_precision
from lightning_resnets.training.image_classifier import ImageClassifier

COMMAND_HELP = {
    "fit": "Train the recipe's model, test its last weights, and write runs/RECIPE/RECIPE.ckpt.",
    "validate": "The accuracy of --ckpt_path on the images that --data.num_val_images holds out.",
    "test": "The accuracy of --ckpt_path on the test images.",
    "predict": "What --ckpt_path sees in each test image: runs/RECIPE/predictions.csv.",
}


RUN_HELP = {  # of the command itself; Lightning's own two have no signature of ours
    "config": "a recipe's name or a YAML file; of several the last wins",
    "ckpt_path": "weights: a file, a model that ships, or for fit `last`",
    "seed_everything": "seed of weights, order and augmentation",
    "run_dir": "where files go (null: runs/RECIPE); one for each seed",
    "checkpoint_every_minutes": "write last.ckpt also every so many minutes (0: not)",
    "checkpoint_every_steps": "the same by steps",
    "test_at_end": "test after training, and write the small RECIPE.ckpt",
    "overwrite": "begin anew in a folder whose run has not ended",
}


LIGHTNING_DEFAULTS: dict[str, Any] = {"config": "", "ckpt_path": None, "seed_everything": 0}


MODEL_HELP = {
    "arch": "of `lightning-resnets models`, or your module:function",
    "model_kwargs": "what the model takes besides, as in '{shortcut_type: B}'",
    "lr": "peak learning rate, for batch_size x processes images",
    "momentum": "of sgd; the first beta of adamw and lamb",
    "weight_decay": "on weights of two and more dimensions alone",
    "label_smoothing": "share of the target that all classes get",
    "warmup_fraction": "share of all steps in which the rate rises",
    "lr_schedule": "how it comes down to zero: linear or cosine",
    "optimizer": "sgd, adamw or lamb (lamb is timm's)",
    "loss": "cross_entropy or bce, each class on its own",
    "consistency_weight": "weight of the two answers' distance under dual_cutout",
    "compile": "torch.compile",
}


LINKED_OPTIONS = {"num_classes"}  # no option: the data say how many


DATA_HELP = {
    "data_dir": "folder of the images; ImageNet's may be s3://...",
    "batch_size": "images a step and process",
    "num_val_images": "training images held out for validation (0: none)",
    "mixup_alpha": "Beta parameter that mixes two images (0: none)",
    "cutmix_alpha": "the same for a pasted rectangle",
    "eval_batch_size": "images at once in evaluation",
    "seed": "of order and augmentation (null: --seed_everything)",
}


CIFAR_HELP = {
    "crop_padding": "a crop out of the image padded by so many pixels",
    "horizontal_flip": "left to right: true, false or alternating",
    "trivial_augment": "TrivialAugment",
    "cutout": "side of a square that is blanked (0: none)",
    "dual_cutout": "each image twice, under two squares",
    "download": "fetch the official files into root",
}


IMAGENET_HELP = {
    "train_image_size": "pixels a side; '{0: 128, 30: 160}' from an epoch on",
    "eval_image_size": "pixels a side in evaluation",
    "eval_crop_pct": "share of the scaled image's side that evaluation sees",
    "min_crop_scale": "least share of the area that a training crop takes",
    "auto_augment": "trivial (TrivialAugment), rand (RandAugment) or null",
    "auto_augment_magnitude": "of rand, 0 to 30",
    "random_erase_prob": "share of the images with a rectangle erased",
    "num_augment_repeats": "how often an epoch shows each image, augmented anew",
    "num_workers": "processes that load (null: one a core)",
}


TRAINER_HELP = {
    "max_epochs": "how long; recipes say it",
    "devices": "how many GPUs or processes, or auto: all",
    "strategy": "ddp for several",
    "accelerator": "cpu, gpu or auto",
    "precision": "bf16-mixed where the hardware computes in it",
    "limit_train_batches": "fewer batches an epoch, for a try",
}


EVAL_OPTIONS = {  # what `validate`, `test` and `predict` heed
    *(
        "config",
        "ckpt_path",
        "run_dir",
        "arch",
        "model_kwargs",
        "data_dir",
        "num_val_images",
        "eval_batch_size",
        "download",
    ),
    *("eval_image_size", "eval_crop_pct", "num_workers", "devices", "strategy", "accelerator"),
}


FOOTER = """
Other images: --data DOTTED.PATH, as lightning_resnets.data.CIFAR10Sample (a sample that ships).
What a recipe and options come to:  lightning-resnets {command} --config RECIPE ... --print_config
Everything, Lightning's options too: lightning-resnets {command} --help-all"""


def format_help(command: str) -> str:
    """The page of one of the four commands."""
    cifar, imagenet = signature_defaults(CIFAR10.__init__), signature_defaults(ImageNet.__init__)
    both = {name: format_defaults(cifar[name], imagenet[name]) for name in DATA_HELP}
    trainer = signature_defaults(L.Trainer.__init__) | {"precision": default_precision()}
    groups = [
        ("The run", "", RUN_HELP, LIGHTNING_DEFAULTS | command_options()),
        (
            "The model and its training",
            "model.",
            MODEL_HELP,
            signature_defaults(ImageClassifier.__init__),
        ),
        ("Images: CIFAR-10 | ImageNet", "data.", DATA_HELP, both),
        ("Images: CIFAR-10 alone", "data.", CIFAR_HELP, cifar),
        ("Images: ImageNet alone", "data.", IMAGENET_HELP, imagenet),
        ("Lightning's Trainer, the most used", "trainer.", TRAINER_HELP, trainer),
    ]
    rows = [line for title, *group in groups for line in format_section(command, title, *group)]
    head = [
        f"usage: lightning-resnets {command} --config RECIPE [options]",
        "",
        COMMAND_HELP[command],
    ]
    head += ["Each option with its default, which a recipe may overrule, and you the recipe."]
    return "\n".join([*head, *rows, FOOTER.format(command=command)])


def format_section(
    command: str, title: str, prefix: str, words: Mapping[str, str], values: Mapping[str, Any]
) -> list[str]:
    """A heading and a line for each option that the command heeds, or nothing."""
    names = [
        name for name in words if name in values and (command == "fit" or name in EVAL_OPTIONS)
    ]
    lines = [
        f"  --{prefix + name:<27} {format_default(values[name]):<20}  {words[name]}"
        for name in names
    ]
    return ["", title, *lines] if lines else []


def signature_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Every parameter that can be given, with its default."""
    found = inspect.signature(function).parameters
    return {name: one.default for name, one in found.items() if name not in ("self", "kwargs")}


def command_options() -> dict[str, Any]:
    """The options that our command adds to Lightning's, with their defaults."""
    notes = OptionCollector()
    TrainingCLI.add_arguments_to_parser(None, notes)  # type: ignore[arg-type] - it asks nothing of the command
    return notes.found


class OptionCollector:
    """In a parser's place: keeps which options are added to it."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def add_argument(self, option: str, default: Any = None, **_: Any) -> None:
        self.found[option.removeprefix("--")] = default

    def link_arguments(self, *_: Any, **__: Any) -> None:
        """Nothing that can be given."""


def format_default(value: Any) -> str:
    """A default as one writes it in a recipe."""
    return (
        {None: "null", True: "true", False: "false"}[value]
        if value is None or isinstance(value, bool)
        else str(value)
    )


def format_defaults(left: Any, right: Any) -> str:
    """Two defaults, or the one that both have."""
    return (
        format_default(left)
        if left == right
        else f"{format_default(left)} | {format_default(right)}"
    )
