"""Check the options of `ImageClassifier` before anything is built."""

from typing import Any, Literal, get_args

from lightning_resnets.errors import ModelError, TrainingError
from lightning_resnets.models.option_rules import MAX_CLASSES
from lightning_resnets.training.optimizers import OPTIMIZERS
from lightning_resnets.utils.arguments import (
    check_bool,
    check_choice,
    check_int,
    check_number,
    check_type,
)

LRSchedule = Literal["linear", "cosine"]
LossName = Literal["cross_entropy", "bce"]

# The largest value of each option that may be part of a sensible training.
LARGEST = {
    "lr": 1000,
    "momentum": 1,
    "weight_decay": 100,
    "label_smoothing": 1,
    "warmup_fraction": 1,
    "consistency_weight": 1000,
}


def check_model_options(num_classes: Any, model_kwargs: Any) -> None:
    """Check the options of the model.

    Args:
        num_classes: number of classes.
        model_kwargs: keyword arguments of the model, or None.

    Raises:
        ModelError: an option is not valid.
    """
    if model_kwargs is not None:
        check_type("model_kwargs", model_kwargs, dict, "a dictionary of options", ModelError)
        if invalid := {"num_classes", "name"} & model_kwargs.keys():
            raise ModelError(
                f"model_kwargs must not contain '{min(invalid)}': the dataset sets the number of "
                "classes and arch the name."
            )
    check_int("num_classes", num_classes, 1, MAX_CLASSES, ModelError)


def check_training_options(module: Any) -> None:
    """Check the options of loss, optimizer and schedule.

    Args:
        module: an `ImageClassifier`, with the options as attributes.

    Raises:
        TrainingError: an option is not valid.
    """
    # First of all types and sizes: the comparisons below need finite numbers.
    for name, largest in LARGEST.items():
        check_number(name, getattr(module, name), most=largest, error=TrainingError)
    check_choice("lr_schedule", module.lr_schedule, get_args(LRSchedule), TrainingError)
    check_choice("optimizer", module.optimizer, tuple(OPTIMIZERS), TrainingError)
    check_choice("loss", module.loss, get_args(LossName), TrainingError)
    check_bool("compile", module.is_compiled, TrainingError)
    _require(module, "lr", module.lr > 0, "above 0")
    # A momentum of 1 would add up all gradients without end.
    _require(module, "momentum", 0 <= module.momentum < 1, "at least 0 and below 1")
    _require(module, "weight_decay", module.weight_decay >= 0, "at least 0")
    _require(module, "label_smoothing", 0 <= module.label_smoothing < 1, "at least 0 and below 1")
    _require(module, "warmup_fraction", 0 <= module.warmup_fraction <= 1, "0 to 1")
    _require(module, "consistency_weight", module.consistency_weight >= 0, "at least 0")


def _require(module: Any, name: str, is_valid: bool, allowed: str) -> None:
    """Raise TrainingError with the allowed range unless an option is valid."""
    if not is_valid:
        value = getattr(module, name)
        raise TrainingError(f"{name} must be {allowed}, got {value:g} (--model.{name}).")
