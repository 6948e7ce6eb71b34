"""Read the settings of a whole pickled module: class, strides, dilations, pools, epsilons.

Weights do not tell them. Nothing is executed: a setting is a plain value in the pickle.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lightning_resnets.formats.budget import Budget
from lightning_resnets.formats.pickled_objects import OpaqueObject
from lightning_resnets.formats.tensors import printable_key

MAX_DEPTH = 100  # modules within modules
MAX_MODULES = 20_000
MAX_PATH_LENGTH = 500
MAX_SEQUENCE = 8  # numbers of one setting

# Attributes of torch.nn's layers that change what they compute.
SETTING_NAMES = (
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
    "padding_mode",
    "ceil_mode",
    "count_include_pad",
    "output_size",
    "eps",
    "negative_slope",
)


@dataclass(frozen=True, slots=True)
class ModuleSettings:
    """The settings of one module.

    Attributes:
        class_name: `torch.nn.modules.conv.Conv2d`.
        values: settings by name, numbers, texts and tuples of them.
    """

    class_name: str
    values: Mapping[str, Any]

    @property
    def short_name(self) -> str:
        """Return the class without its module: `Conv2d`."""
        return self.class_name.rpartition(".")[2]


def read_module_settings(module: OpaqueObject, budget: Budget) -> dict[str, ModuleSettings]:
    """Read the settings of a pickled module and all its children.

    Args:
        module: the module, inert.
        budget: charged for each module.

    Returns:
        Settings by the module's path; "" is the module itself.

    Raises:
        UnsupportedFileError: the budget is used up.
    """
    settings = dict[str, ModuleSettings]()
    for path, item in _walk(module, "", 0, budget):
        if len(settings) >= MAX_MODULES:
            break
        settings[path] = ModuleSettings(str(item.name), _plain_settings(item.state))
    return settings


def _walk(
    module: OpaqueObject, path: str, depth: int, budget: Budget
) -> Iterator[tuple[str, OpaqueObject]]:
    """Yield a module and its children with their paths, depth first."""
    budget.visit()
    yield path, module
    state: Any = module.state
    children = state.get("_modules") if isinstance(state, dict) else None
    if not isinstance(children, dict) or depth >= MAX_DEPTH:
        return
    for name, child in children.items():
        inner = f"{path}.{name}" if path else str(name)
        if isinstance(child, OpaqueObject) and len(inner) <= MAX_PATH_LENGTH:
            yield from _walk(child, printable_path(inner), depth + 1, budget)


def printable_path(path: str) -> str:
    """Return a module's path as it is if it is printable, else with replacements.

    Args:
        path: names joined by dots.

    Returns:
        The path.
    """
    return path if path.isprintable() else printable_key(path)


def _plain_settings(state: Any) -> dict[str, Any]:
    """Return the settings among a module's attributes that are plain values."""
    if not isinstance(state, dict):
        return {}
    found = {name: state[name] for name in SETTING_NAMES if name in state}
    return {name: value for name, value in found.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    """Return True for a number, a short text, or a few of them."""
    if isinstance(value, (tuple, list)):
        return len(value) <= MAX_SEQUENCE and all(type(item) in (int, float) for item in value)
    if type(value) is str:
        return len(value) <= MAX_PATH_LENGTH
    return value is None or type(value) in (bool, int, float)
