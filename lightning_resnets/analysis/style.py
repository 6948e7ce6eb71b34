"""One look for every figure: looks that differ in shape as well as in colour, open axes, a title that names the nets.

Nothing here imports matplotlib: what is asked for is done to a figure that is there.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, INK, GREY = "#1f5fa8", "#c4571a", "#2f7d4f", "0.15", "0.5"
FIRST: dict[str, Any] = {"marker": "o", "color": BLUE, "linestyle": "-", "markersize": 4.5, "linewidth": 1.4}
SECOND: dict[str, Any] = {**FIRST, "marker": "s", "color": ORANGE, "markerfacecolor": "white", "linestyle": "--"}
THIRD: dict[str, Any] = {**FIRST, "marker": "^", "color": GREEN, "markerfacecolor": "white", "linestyle": ":"}
LINE: dict[str, Any] = {"linewidth": 0.9, "color": GREY}  # one to compare with
MAP = "viridis"
HEAD, TEXT, SMALL = 11, 9, 7.5  # points: the figure's title, a panel's words, numbers and names along an axis


def points(look: dict[str, Any]) -> dict[str, Any]:
    """A look without its line."""
    return {**look, "linestyle": ""}


def title(words: str, nets: Sequence[str], pictures: int | None = None) -> str:
    """`resnet20 beside plain20 · error without blocks · 1,000 pictures`."""
    counts = () if pictures is None else (counted(pictures),)
    return " · ".join((" beside ".join(nets), words, *counts))


def counted(pictures: int) -> str:
    return f"{pictures:,} picture{'' if pictures == 1 else 's'}"


def finish(figure: "Figure", text: str, layout: str = "constrained") -> None:
    """The last step of every figure: its title, axes open above and at the right, letters of three sizes."""
    for axes in figure.axes:
        if not axes.images:
            axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(which="both", labelsize=SMALL)
        axes.title.set_fontsize(TEXT)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_fontsize(TEXT)
    figure.suptitle(text, fontsize=HEAD)
    figure.set_layout_engine(layout)  # type: ignore[call-overload] - its stubs list the words


def legend(axes: "Axes", **where: Any) -> None:
    """What its lines are, without a frame; beside them where `bbox_to_anchor` says so."""
    axes.legend(frameon=False, fontsize=SMALL, **where)


def below(figure: "Figure", axes: "Axes", columns: int) -> None:
    """What the lines of these axes are, under the whole figure."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=SMALL)
