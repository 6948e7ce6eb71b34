"""What the figures share: blocks by name along an axis, and two looks that differ in shape as well as in colour."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 18  # names that fit below one another's letters
FIRST: dict[str, Any] = {"marker": "o", "color": "#1f5fa8"}
SECOND: dict[str, Any] = {"marker": "s", "color": "#c4571a", "markerfacecolor": "white", "linestyle": "--"}


def by_depth(axes: "Axes", names: Sequence[str], most: int = MOST) -> None:
    """Name the places 0, 1, ... of the x axis, each second, third ... where there are many."""
    step = -(-len(names) // most) or 1
    shown = short(names)
    axes.set_xticks(range(0, len(names), step), shown[::step], rotation=60, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlim(-0.7, len(names) - 0.3)
    plain(axes)


def short(names: Sequence[str]) -> list[str]:
    """Names without what all of them begin with, and without the word that all of them number last."""
    parts = [name.split(".") for name in names]
    while len(parts) > 1 and all(len(part) > 2 and part[0] == parts[0][0] for part in parts):
        parts = [part[1:] for part in parts]
    words = {part[-1].rstrip("0123456789") for part in parts if len(part) > 1}
    cut = len(words.copy().pop()) if len(words) == 1 and all(part[-1][-1:].isdigit() for part in parts) else 0
    return [".".join((*part[:-1], part[-1][cut:] if len(part) > 1 else part[-1])) for part in parts]


def plain(axes: "Axes") -> None:
    """Only the two lines that are read."""
    axes.spines[["top", "right"]].set_visible(False)


def counted(axes: "Axes") -> None:
    """Whole numbers only along x."""
    axes.locator_params(axis="x", integer=True)
