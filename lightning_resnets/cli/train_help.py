"""Help pages of `fit`, `validate`, `test` and `predict`: common options and their defaults.

Names and defaults come from the signatures; only the descriptions are written here.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L

from lightning_resnets.cli.fit_options import FIT_OPTIONS
from lightning_resnets.data.cifar10 import CIFAR10
from lightning_resnets.data.imagenet import ImageNet
from lightning_resnets.training.hardware import default_precision
from lightning_resnets.training.image_classifier import ImageClassifier

# First line of each page
COMMAND_HELP = {
    "fit": "Train a model, test its last weights, and write runs/RECIPE/RECIPE.ckpt.",
    "validate": "Measure the accuracy of --ckpt_path on --data.num_val_images held-out images.",
    "test": "Measure the accuracy of --ckpt_path on the test images.",
    "predict": "Write the predictions of --ckpt_path for the test images as CSV.",
}

# Lightning adds these to its parser, so that no signature has them.
LIGHTNING_DEFAULTS: dict[str, Any] = {"config": "", "ckpt_path": None, "seed_everything": 0}

RUN_HELP = {
    "config": "recipe or YAML file; of several, the last one wins",
    "ckpt_path": "checkpoint, bundled model, `best` or `last` of the run",
    "seed_everything": "random seed of weights, image order and augmentation",
    **{option.name: option.help for option in FIT_OPTIONS},
}

# Parameters of ImageClassifier
MODEL_HELP = {
    "arch": "from `lightning-resnets models`, or module:function",
    "model_kwargs": "arguments of the model, such as '{shortcut_type: B}'",
    "lr": "peak learning rate at the recipe's global batch size",
    "momentum": "momentum of sgd; beta1 of adamw and lamb",
    "weight_decay": "weight decay of weights with two or more dimensions",
    "label_smoothing": "label smoothing, 0 to 1",
    "warmup_fraction": "warmup, as a fraction of all steps",
    "lr_schedule": "decay of the learning rate to 0: linear or cosine",
    "optimizer": "sgd, adamw or lamb (lamb needs timm)",
    "loss": "cross_entropy, or bce (binary, per class)",
    "consistency_weight": "weight of the consistency loss under dual_cutout",
    "compile": "compile the model with torch.compile",
}

LINKED_OPTIONS = {"num_classes"}  # taken from the dataset, not from the user

# Parameters that CIFAR10 and ImageNet share
DATA_HELP = {
    "data_dir": "folder of the dataset; for ImageNet also s3://...",
    "batch_size": "batch size per device",
    "num_val_images": "training images held out for validation (0: none)",
    "mixup_alpha": "Beta parameter of mixup (0: off)",
    "cutmix_alpha": "Beta parameter of CutMix (0: off)",
    "eval_batch_size": "batch size per device in evaluation",
    "seed": "seed of order and augmentation (null: --seed_everything)",
}

# Other parameters of CIFAR10
CIFAR_HELP = {
    "crop_padding": "padding of the random crop, in pixels",
    "horizontal_flip": "true, false or alternating (swap every epoch)",
    "trivial_augment": "apply TrivialAugment",
    "cutout": "side of the cutout square, in pixels (0: off)",
    "dual_cutout": "show each image twice, with two cutout squares",
    "download": "download the official files to data_dir",
}

# Other parameters of ImageNet
IMAGENET_HELP = {
    "train_image_size": "pixels, or '{0: 128, 30: 160}' by first epoch",
    "eval_image_size": "pixels, in evaluation",
    "eval_crop_pct": "center crop in evaluation, as a fraction of the side",
    "min_crop_scale": "minimum training-crop area, as a fraction of the image",
    "auto_augment": "trivial (TrivialAugment), rand (RandAugment) or null",
    "auto_augment_magnitude": "magnitude of rand, 0 to 30",
    "random_erase_prob": "probability of random erasing",
    "num_augment_repeats": "augmented copies of each image per epoch",
    "num_workers": "data-loading processes (null: one per CPU core)",
    "skip_damaged_images": "go on without images that cannot be read, count them",
}

# Parameters of lightning.Trainer; --help-all lists the others.
TRAINER_HELP = {
    "max_epochs": "number of epochs (default: set by the recipe)",
    "devices": "number of GPUs or processes, or auto (all)",
    "strategy": "ddp for several devices",
    "accelerator": "cpu, gpu or auto",
    "precision": "bf16-mixed where the hardware supports it",
    "limit_train_batches": "train on fewer batches per epoch, for a trial",
}

# Options that have an effect in `validate`, `test` and `predict`.
EVAL_OPTIONS = {
    "config",
    "ckpt_path",
    "run_dir",
    "arch",
    "model_kwargs",
    "data_dir",
    "num_val_images",
    "eval_batch_size",
    "download",
    "eval_image_size",
    "eval_crop_pct",
    "num_workers",
    "skip_damaged_images",
    "devices",
    "strategy",
    "accelerator",
}

NAME_WIDTH = 27  # without the two dashes

DEFAULT_WIDTH = 20  # fits "data | data/imagenet"

HEADER = """\
usage: lightning-resnets {command} --config RECIPE [options]

{description}
Defaults are shown. Recipes override defaults; command-line options override recipes."""

FOOTER = """
A recipe that names code of your own needs --trust_recipe: running it runs that code.
Other datasets: --data CLASS_PATH, such as lightning_resnets.data.CIFAR10Sample (bundled).
Resolved configuration: lightning-resnets {command} --config RECIPE ... --print_config
All options, including Lightning's: lightning-resnets {command} --help-all"""


@dataclass(frozen=True, slots=True)
class Section:
    """Options under one heading: their descriptions and defaults by name."""

    title: str
    prefix: str
    descriptions: Mapping[str, str]
    defaults: Mapping[str, Any]


def format_help(command: str) -> str:
    """Format the help page of a training command.

    Args:
        command: "fit", "validate", "test" or "predict".

    Returns:
        The page, without a final newline.
    """
    parts = [HEADER.format(command=command, description=COMMAND_HELP[command])]
    for section in help_sections():
        parts.extend(format_section(command, section))
    parts.append(FOOTER.format(command=command))
    return "\n".join(parts)


def help_sections() -> list[Section]:
    """Return all options by heading, with the defaults of the signatures."""
    model = signature_defaults(ImageClassifier.__init__)
    cifar = signature_defaults(CIFAR10.__init__)
    imagenet = signature_defaults(ImageNet.__init__)
    shared = {name: format_defaults(cifar[name], imagenet[name]) for name in DATA_HELP}
    # Our Trainer defaults replace Lightning's precision.
    trainer = signature_defaults(L.Trainer.__init__) | {"precision": default_precision()}
    return [
        Section("Run", "", RUN_HELP, LIGHTNING_DEFAULTS | command_options()),
        Section("Model and training", "model.", MODEL_HELP, model),
        Section("Data: CIFAR-10 | ImageNet", "data.", DATA_HELP, shared),
        Section("Data: CIFAR-10 only", "data.", CIFAR_HELP, cifar),
        Section("Data: ImageNet only", "data.", IMAGENET_HELP, imagenet),
        Section("Lightning's Trainer, most used", "trainer.", TRAINER_HELP, trainer),
    ]


def format_section(command: str, section: Section) -> list[str]:
    """Format the options of a section that have an effect in a command.

    Args:
        command: "fit", "validate", "test" or "predict".
        section: options under one heading.

    Returns:
        A blank line, the heading and a line per option; empty if there is no option.
    """
    lines: list[str] = []
    for name, description in section.descriptions.items():
        # `fit` uses every option.
        if command != "fit" and name not in EVAL_OPTIONS:
            continue
        option = f"{section.prefix}{name}".ljust(NAME_WIDTH)
        default = format_default(section.defaults[name]).ljust(DEFAULT_WIDTH)
        lines.append(f"  --{option} {default}  {description}")
    return ["", section.title, *lines] if lines else []


def signature_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the default of every parameter.

    Args:
        function: a function or an `__init__` method.

    Returns:
        Defaults by name, without self and **kwargs; `inspect.Parameter.empty` if required.
    """
    parameters = inspect.signature(function).parameters
    names = [name for name in parameters if name not in ("self", "kwargs")]
    return {name: parameters[name].default for name in names}


def command_options() -> dict[str, Any]:
    """Return the default of every option that `fit` has besides Lightning's."""
    return {option.name: option.default for option in FIT_OPTIONS}


def format_default(value: Any) -> str:
    """Format a default as YAML.

    Args:
        value: any default.

    Returns:
        The text that a recipe would have.
    """
    if value is None:
        return "null"
    # YAML writes true and false in lower case.
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def format_defaults(left: Any, right: Any) -> str:
    """Format the defaults of two classes.

    Args:
        left: default of the first class.
        right: default of the second class.

    Returns:
        Both with a bar between them, or one text if they are equal.
    """
    if left == right:
        return format_default(left)
    return f"{format_default(left)} | {format_default(right)}"
