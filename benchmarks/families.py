"""List the convolutional families of the installed timm and the smallest model of each.

A family is what is left of the names of a file's models without their sizes: `resnet18`, `resnet34`
and `resnet50` are one, `resnet50d` begins another, since a letter behind the number is another
architecture. A family is convolutional if its smallest model has four convolutions or more over
neighborhoods that overlap, and no attention: no module whose class says so, other than the
attention to channels of SE networks and their like, which weighs what a convolution made. A file of
timm is convolutional if half of its families or more are, and counts with all of them, so that the
hybrids of such a file (an attention pool on a ResNet) are in; transformers, mixers and state space
models that have a file of their own are out. The smallest model is the one whose name says so: the
smallest size in words, then in numbers."""

import re
import warnings
from functools import cache

from torch import nn

from lightning_resnets.utils.skip_init import skip_init

SIZES = (
    "zepto",
    "atto",
    "femto",
    "pico",
    "nano",
    "xxtiny",
    "xxs",
    "xxsmall",
    "xs",
    "xsmall",
    "t",
    "tiny",
    "n",
    "mini",
    "min",
    "s",
    "small",
    "",
    "m",
    "medium",
    "b",
    "base",
    "plus",
    "l",
    "large",
    "xl",
    "xlarge",
    "xxlarge",
    "h",
    "huge",
    "g",
    "giant",
)
TO_CHANNELS = ("SplitAttn", "SelectiveKernelAttn", "ChannelAttn")
OVERLAPPING = 4  # convolutions


def families() -> list[str]:
    """Return the smallest model of every convolutional family, in order of files."""
    files: dict[str, dict[str, list[str]]] = {}
    for name, file in sorted(_files().items(), key=lambda item: item[::-1]):
        files.setdefault(file, {}).setdefault(family(name), []).append(name)
    chosen = {
        file: [min(names, key=size_key) for names in held.values()] for file, held in files.items()
    }
    return [
        name
        for names in chosen.values()
        if 2 * sum(map(is_convolutional, names)) >= len(names)
        for name in names
    ]


def family(name: str) -> str:
    """Return the name without its sizes."""
    parts = [
        part
        for part in name.split("_")
        if part not in SIZES and not re.fullmatch(r"[\dx]+[a-z]{0,2}\d*", part)
    ]
    return "_".join(re.sub(r"\d+", "", part) for part in parts)


def size_key(name: str) -> tuple[int, list[int], str]:
    """Return the sort key of a model within its family: size word, numbers, name."""
    words = [SIZES.index(part) for part in name.split("_") if part in SIZES]
    return (
        words[0] if words else SIZES.index(""),
        [int(number) for number in re.findall(r"\d+", name)],
        name,
    )


@cache
def is_convolutional(name: str) -> bool:
    """Return True if a model of timm is convolutional by the rule above."""
    import timm

    with skip_init(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: nn.Module = timm.create_model(name)
    modules = list(model.modules())
    names = {type(module).__name__ for module in modules}
    if any(re.search("Attn|Attention", each) and each not in TO_CHANNELS for each in names):
        return False
    kernels = [
        zip(m.kernel_size, m.stride, strict=True) for m in modules if isinstance(m, nn.Conv2d)
    ]
    return sum(any(side > step for side, step in kernel) for kernel in kernels) >= OVERLAPPING


def _files() -> dict[str, str]:
    """Return the source file of every model."""
    import timm

    modules = {name: timm.list_models(module=name) for name in timm.list_modules()}
    return {model: name for name, models in modules.items() for model in models}
