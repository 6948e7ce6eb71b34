"""Blocks by name, and whole numbers, along the x axis of a figure; one way to shorten names for all figures."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightning_resnets.analysis.style import SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTER = 0.6 * SMALL / 72  # inches: how wide one is
LINE = 2.2 * LETTER  # how far apart lines of slanted letters stand
INNER = re.compile(r"(?<=\d\.)(?:[a-z_]*layer|[a-z_]*block|[a-z_]*unit)(?=\d)")  # denseblock1.denselayer2


def by_depth(axes: "Axes", names: Sequence[str]) -> None:
    """Name the places 0, 1, ... of the x axis: all where they fit below one another's letters, else every second ..."""
    shown, room = short(names), width(axes) / max(len(names), 1)
    step = max(1, -int(-LINE // room))
    level = step == 1 and max(map(len, shown), default=0) * LETTER < room
    slant = {} if level else {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(0, len(names), step), shown[::step], **slant)
    axes.set_xlim(-0.7, len(names) - 0.3)


def numbered(axes: "Axes", last: int, first: int = 0) -> None:
    """Whole numbers from the first to the last, both named, as many as fit."""
    step = max(1, -int(-(last - first + 1) * LETTER * (len(str(last)) + 1) // width(axes)))
    axes.set_xticks(sorted({*range(first, last - step // 2, step), last}))


def width(axes: "Axes") -> float:
    """Inches."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return axes.get_position().width * figure.get_figwidth()


def short(names: Sequence[str]) -> list[str]:
    """Names without what all of them begin with, and without what their numbers say alone.

    `features.denseblock1.denselayer2` is `block1.2` beside `features.conv0` and `classifier`. Names stay as long as
    they are where two would become one.
    """
    parts = [name.split(".") for name in names]
    while len(long := [part for part in parts if len(part) > 1]) > 1 and len({part[0] for part in long}) == 1:
        if any(part[1].isdigit() for part in long):
            break  # `layer3.0` of one stage alone
        parts = [part[1:] if len(part) > 1 else part for part in parts]
    found = [INNER.sub("", ".".join(part)).replace("denseblock", "block") for part in parts]
    return found if len(set(found)) == len(set(names)) else list(names)
