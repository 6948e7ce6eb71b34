"""List the options of a model, also in the error for one that it does not take."""

import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from lightning_resnets.models.squeeze_excite import SEOptions
from lightning_resnets.utils.format import printable_key

# The registry sets them, or they are an argument of `create_model`.
FIXED_OPTIONS = ("num_classes", "block", "depths", "widths", "name", "inplanes", "planes", "stride")
UNEXPECTED_RE = re.compile(r"unexpected keyword argument '(\w+)'")


def list_options(factory: Callable[..., nn.Module]) -> list[str]:
    """List the options of a model.

    Args:
        factory: function of the registry that builds it.

    Returns:
        Names of its keyword arguments, and of those that it passes on to its blocks.
    """
    parts: list[Any] = [factory]
    # A ResNet passes unknown options on to its blocks.
    if isinstance(factory, partial):
        parts += [arg for arg in factory.args if inspect.isclass(arg)]
    names: dict[str, None] = {}
    for part in parts:
        parameters = inspect.signature(part).parameters.values()
        names |= {p.name: None for p in parameters if p.kind is not p.VAR_KEYWORD}
        if any(p.name == "se_kwargs" for p in parameters):
            names |= dict.fromkeys(SEOptions.__annotations__)
    return [name for name in names if name not in FIXED_OPTIONS]


def describe_bad_options(name: str, factory: Callable[..., nn.Module], error: TypeError) -> str:
    """Describe why a model could not be built from its options.

    Args:
        name: name of the model.
        factory: function that builds it.
        error: exception that it raised.

    Returns:
        A message with the options that the model takes.
    """
    unexpected = UNEXPECTED_RE.search(str(error))
    if unexpected is None or ":" in name:
        # A value of a wrong type, or a function of the user's own.
        return f"The model {name} does not take these options: {printable_key(error)}."
    options = ", ".join(sorted(list_options(factory)))
    return (
        f"The model {name} does not take these options: {printable_key(unexpected[1])}. "
        f"Use num_classes, {options}."
    )
