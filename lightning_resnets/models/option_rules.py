"""Values that each option of a model may have, so that a wrong one is named before it is built."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lightning_resnets.errors import ModelError
from lightning_resnets.utils.arguments import check_bool, check_choice, check_int, check_number
from lightning_resnets.utils.format import format_value

# More than any model has; a slip of the keyboard should not ask for terabytes.
MAX_CLASSES = 10**6
MAX_WIDTH = 2**16
MAX_DEPTH = 10_000

# Checks a value; the name is for the message.
Rule = Callable[[str, Any], object]


def _integer(least: int, most: int = MAX_WIDTH) -> Rule:
    """Return a rule for an integer."""
    return lambda name, value: check_int(name, value, least, most, ModelError)


def _number(least: float, most: float) -> Rule:
    """Return a rule for a number."""
    return lambda name, value: check_number(name, value, least, most, ModelError)


def _choice(*choices: object) -> Rule:
    """Return a rule for one of a few values."""
    return lambda name, value: check_choice(name, value, choices, ModelError)


def _flag(name: str, value: Any) -> object:
    """Check a truth value."""
    return check_bool(name, value, ModelError)


def _or_none(rule: Rule) -> Rule:
    """Return a rule that also allows None."""
    return lambda name, value: None if value is None else rule(name, value)


def _integers(least_length: int) -> Rule:
    """Return a rule for a sequence of positive integers."""
    return partial(_check_integers, least_length)


def _check_integers(least_length: int, name: str, value: Any) -> object:
    """Check a sequence of positive integers."""
    # JSON and command lines give lists.
    if not isinstance(value, (tuple, list)) or len(value) < least_length:
        shown = format_value(value)
        raise ModelError(f"{name} must be a sequence of integers, got {shown}.")
    return [check_int(name, item, 1, MAX_WIDTH, ModelError) for item in value]


def _compression(name: str, value: Any) -> object:
    """Check the fraction of channels that a transition keeps."""
    if check_number(name, value, 0, 1, ModelError) == 0:
        raise ModelError(f"{name} must be above 0 and at most 1, got 0.")
    return value


# Options that share a rule.
SIZES = (
    "growth_rate in_channels groups base_width widen_factor expansion shortcut_kernel se_divisor"
)
OPTIONAL_SIZES = "stem_width first_width stem_kernel stem_stride output_stride"
FLAGS = "zero_init_last share_first stem_norm last_norm memory_efficient se_bias se_pre_relu bias"

OPTION_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(SIZES.split(), _integer(1)),
    **dict.fromkeys(OPTIONAL_SIZES.split(), _or_none(_integer(1))),
    **dict.fromkeys(FLAGS.split(), _flag),
    # 0 stands for none.
    "bottleneck_factor": _integer(0),
    "se_reduction": _integer(0),
    "dropout": _number(0, 1),
    "compression": _compression,
    "narrow_factor": _integer(1),
    "dilation": _integer(1),
    "window": _choice(3, 5),
    # Far beyond where a sigmoid is 0 or 1.
    "gate_bias": _number(-1000, 1000),
    "depths": _integers(1),
    "head_widths": _integers(0),
    "stem": _choice("imagenet", "cifar", "deep"),
    "stem_pool": _choice(None, "pad", "ceil", "none"),
    "shortcut_type": _choice("A", "B", "C", "none"),
    "shortcut_pad": _choice("both", "back"),
    "stride_in": _choice("1x1", "3x3"),
    "se_pool": _choice("mean", "max"),
    "se_placement": _choice("standard", "pre", "post", "identity", "3x3"),
}


def check_options(num_classes: object, model_kwargs: Mapping[str, Any]) -> None:
    """Check the options of a built-in model.

    Args:
        num_classes: width of the last layer.
        model_kwargs: the other options; unknown ones are left to the model.

    Raises:
        ModelError: an option has a value that no model takes.
    """
    check_int("num_classes", num_classes, 0, MAX_CLASSES, ModelError)
    for name, value in model_kwargs.items():
        rule = OPTION_RULES.get(name)
        if rule is not None:
            rule(name, value)
