"""One look for every figure: looks that differ in shape as well as in color, open axes, a title that names the models.

Nothing here imports matplotlib: what is asked for is done to a figure that is there.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


BLUE, ORANGE, GREEN, TEXT_COLOR, GRAY = "#1f5fa8", "#c4571a", "#2f7d4f", "0.15", "0.5"


SERIES_1: dict[str, Any] = {
    "marker": "o",
    "color": BLUE,
    "linestyle": "-",
    "markersize": 4.5,
    "linewidth": 1.4,
}


SERIES_2: dict[str, Any] = {
    **SERIES_1,
    "marker": "s",
    "color": ORANGE,
    "markerfacecolor": "white",
    "linestyle": "--",
}


SERIES_3: dict[str, Any] = {
    **SERIES_1,
    "marker": "^",
    "color": GREEN,
    "markerfacecolor": "white",
    "linestyle": ":",
}


REFERENCE_LINE: dict[str, Any] = {"linewidth": 0.9, "color": GRAY}  # one to compare with


COLORMAP = "viridis"


TITLE_SIZE, LABEL_SIZE, TICK_SIZE = (
    11,
    9,
    7.5,
)  # points: the figure's title, a panel's words, numbers and names along an axis


def markers_only(look: dict[str, Any]) -> dict[str, Any]:
    """A look without its line."""
    return {**look, "linestyle": ""}


def figure_title(words: str, models: Sequence[str], images: int | None = None) -> str:
    """`resnet20 beside plain20 · error without blocks · 1,000 images`."""
    counts = () if images is None else (format_image_count(images),)
    return " · ".join((" beside ".join(models), words, *counts))


def format_image_count(images: int) -> str:
    return f"{images:,} image{'' if images == 1 else 's'}"


def finish_figure(figure: "Figure", text: str, layout: str = "constrained") -> None:
    """The last step of every figure: its title, axes open above and at the right, letters of three sizes."""
    for axes in figure.axes:
        if not axes.images:
            axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(which="both", labelsize=TICK_SIZE)
        axes.title.set_fontsize(LABEL_SIZE)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_fontsize(LABEL_SIZE)
    figure.suptitle(text, fontsize=TITLE_SIZE)
    figure.set_layout_engine(layout)  # type: ignore[call-overload] - its stubs list the words


def add_legend(axes: "Axes", **where: Any) -> None:
    """What its lines are, without a frame; beside them where `bbox_to_anchor` says so."""
    axes.legend(frameon=False, fontsize=TICK_SIZE, **where)


def add_legend_below(figure: "Figure", axes: "Axes", columns: int) -> None:
    """What the lines of these axes are, under the whole figure."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=TICK_SIZE,
    )


CHAR_WIDTH_INCHES = 0.6 * TICK_SIZE / 72  # inches: how wide one is


LINE_HEIGHT_INCHES = 2.2 * CHAR_WIDTH_INCHES  # how far apart lines of slanted letters stand


REDUNDANT_NAME_PARTS = re.compile(
    r"(?<=\d\.)(?:[a-z_]*layer|[a-z_]*block|[a-z_]*unit)(?=\d)"
)  # denseblock1.denselayer2


def set_block_ticks(axes: "Axes", names: Sequence[str]) -> None:
    """Name the places 0, 1, ... of the x axis: all where they fit below one another's letters, else every second ..."""
    shown, room = shorten_names(names), axes_width_inches(axes) / max(len(names), 1)
    step = max(1, -int(-LINE_HEIGHT_INCHES // room))
    level = step == 1 and max(map(len, shown), default=0) * CHAR_WIDTH_INCHES < room
    slant = {} if level else {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(0, len(names), step), shown[::step], **slant)
    axes.set_xlim(-0.7, len(names) - 0.3)


def set_integer_ticks(axes: "Axes", last: int, first: int = 0) -> None:
    """Whole numbers from the first to the last, both named, as many as fit."""
    step = max(
        1,
        -int(
            -(last - first + 1)
            * CHAR_WIDTH_INCHES
            * (len(str(last)) + 1)
            // axes_width_inches(axes)
        ),
    )
    axes.set_xticks(sorted({*range(first, last - step // 2, step), last}))


def axes_width_inches(axes: "Axes") -> float:
    """Inches."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return axes.get_position().width * figure.get_figwidth()


def shorten_names(names: Sequence[str]) -> list[str]:
    """Names without what all of them begin with, and without what their numbers say alone.

    `features.denseblock1.denselayer2` is `block1.2` beside `features.conv0` and `classifier`. Names stay as long as
    they are where two would become one.
    """
    parts = [name.split(".") for name in names]
    while (
        len(long := [part for part in parts if len(part) > 1]) > 1
        and len({part[0] for part in long}) == 1
    ):
        if any(part[1].isdigit() for part in long):
            break  # `layer3.0` of one stage alone
        parts = [part[1:] if len(part) > 1 else part for part in parts]
    found = [
        REDUNDANT_NAME_PARTS.sub("", ".".join(part)).replace("denseblock", "block")
        for part in parts
    ]
    return found if len(set(found)) == len(set(names)) else list(names)
