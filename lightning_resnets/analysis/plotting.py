"""Shared style of all figures: line styles, titles, legends and ticks.

Styles differ in marker and line as well as in color, so that they survive a black-and-white print.
matplotlib is never imported here: every function works on a figure or axes that exist already.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lightning_resnets.utils.format import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE = "#1f5fa8"
ORANGE = "#c4571a"
GREEN = "#2f7d4f"
GRAY = "0.5"
TEXT_COLOR = "0.15"
COLORMAP = "viridis"

LineStyle = dict[str, Any]

SERIES_1: LineStyle = {
    "marker": "o",
    "color": BLUE,
    "linestyle": "-",
    "markersize": 4.5,
    "linewidth": 1.4,
}
SERIES_2: LineStyle = {
    **SERIES_1,
    "marker": "s",
    "color": ORANGE,
    "markerfacecolor": "white",
    "linestyle": "--",
}
SERIES_3: LineStyle = {
    **SERIES_1,
    "marker": "^",
    "color": GREEN,
    "markerfacecolor": "white",
    "linestyle": ":",
}
REFERENCE_LINE: LineStyle = {"linewidth": 0.9, "color": GRAY}

# Font sizes in points: figure title; panel titles and axis labels; tick labels and legends.
TITLE_SIZE = 11
LABEL_SIZE = 9
TICK_SIZE = 7.5

CHAR_WIDTH_INCHES = 0.6 * TICK_SIZE / 72
LINE_HEIGHT_INCHES = 2.2 * CHAR_WIDTH_INCHES  # distance between two slanted tick labels

# The word in `denseblock1.denselayer2` that the number alone says too.
REDUNDANT_NAME_RE = re.compile(r"(?<=\d\.)(?:[a-z_]*layer|[a-z_]*block|[a-z_]*unit)(?=\d)")


def markers_only(style: LineStyle) -> LineStyle:
    """Return a style without its line.

    Args:
        style: keyword arguments of `Axes.plot`.

    Returns:
        The same keyword arguments with an empty line style.
    """
    return {**style, "linestyle": ""}


def select_evenly(names: Sequence[str], most: int) -> list[str]:
    """Select names evenly from first to last, both included.

    Args:
        names: names in order.
        most: how many to select, 2 or more.

    Returns:
        At most `most` names.
    """
    if len(names) <= most:
        return list(names)
    last = len(names) - 1
    # round, not floor: the last name is included.
    return [names[round(i * last / (most - 1))] for i in range(most)]


def figure_title(text: str, model_names: Sequence[str], num_images: int | None = None) -> str:
    """Format a title: `resnet20 vs. plain20 · error without blocks · 1,000 images`.

    Args:
        text: the measured quantity.
        model_names: names of the models in the figure; empty if none is analyzed.
        num_images: number of images behind the numbers; None leaves it out.

    Returns:
        The title.
    """
    parts = [text]
    if model_names:
        parts.insert(0, " vs. ".join(model_names))
    if num_images is not None:
        parts.append(plural(num_images, "image"))
    return " · ".join(parts)


def finish_figure(figure: "Figure", title: str, layout: str = "constrained") -> None:
    """Set the title, font sizes and layout: the last step of every figure.

    Args:
        figure: a figure with all its axes.
        title: the figure's title.
        layout: name of a matplotlib layout engine.
    """
    for axes in figure.axes:
        # Images keep their frame.
        if not axes.images:
            axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(which="both", labelsize=TICK_SIZE)
        axes.title.set_fontsize(LABEL_SIZE)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_fontsize(LABEL_SIZE)
    figure.suptitle(title, fontsize=TITLE_SIZE)
    figure.set_layout_engine(layout)  # type: ignore[call-overload] - its stubs list the words


def add_legend(axes: "Axes", **kwargs: Any) -> None:
    """Add a legend without a frame.

    Args:
        axes: axes with labeled lines.
        **kwargs: further arguments of `Axes.legend`, such as `bbox_to_anchor`.
    """
    axes.legend(frameon=False, fontsize=TICK_SIZE, **kwargs)


def add_legend_below(figure: "Figure", axes: "Axes", columns: int) -> None:
    """Add the legend of one panel below the whole figure.

    Args:
        figure: the figure.
        axes: the panel with the labeled lines.
        columns: number of legend columns.
    """
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=TICK_SIZE,
    )


def set_block_ticks(axes: "Axes", names: Sequence[str]) -> None:
    """Label the x positions 0, 1, ... with block names.

    Every n-th name is shown, with the smallest n for which labels do not overlap.

    Args:
        axes: axes whose x axis counts blocks.
        names: block names in order.
    """
    labels = shorten_names(names)
    inches_per_block = axes_width_inches(axes) / max(len(names), 1)
    # Rounded up: labels need at least LINE_HEIGHT_INCHES each.
    step = max(1, -int(-LINE_HEIGHT_INCHES // inches_per_block))
    # Upright labels need room for the longest name.
    longest = max(map(len, labels), default=0) * CHAR_WIDTH_INCHES
    fits_upright = step == 1 and longest < inches_per_block
    slant: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(0, len(names), step), labels[::step], **({} if fits_upright else slant))
    # Half a block of room at both ends.
    axes.set_xlim(-0.7, len(names) - 0.3)


def set_integer_ticks(axes: "Axes", last: int, first: int = 0) -> None:
    """Set ticks at integers from first to last, as many as fit.

    Args:
        axes: axes whose x axis counts.
        last: last tick, always shown.
        first: first tick, always shown.
    """
    label_width = CHAR_WIDTH_INCHES * (len(str(last)) + 1)
    step = max(1, -int(-(last - first + 1) * label_width // axes_width_inches(axes)))
    # A tick closer than half a step to the last one would overlap its label.
    axes.set_xticks(sorted({*range(first, last - step // 2, step), last}))


def axes_width_inches(axes: "Axes") -> float:
    """Return the width of axes.

    Args:
        axes: axes of a figure.

    Returns:
        The width in inches.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    return axes.get_position().width * figure.get_figwidth()


def shorten_names(names: Sequence[str]) -> list[str]:
    """Drop common prefixes and redundant words from block names.

    `features.denseblock1.denselayer2` becomes `block1.2` next to `features.conv0` and
    `classifier`.

    Args:
        names: dotted module names.

    Returns:
        Short names in the same order; the original names if two would become equal.
    """
    parts = _drop_common_prefix([name.split(".") for name in names])
    short = [_drop_redundant_words(".".join(part)) for part in parts]
    return short if len(set(short)) == len(set(names)) else list(names)


def _drop_common_prefix(parts: list[list[str]]) -> list[list[str]]:
    """Drop leading parts that all names of several parts share."""
    while True:
        dotted = [part for part in parts if len(part) > 1]
        has_common_prefix = len(dotted) > 1 and len({part[0] for part in dotted}) == 1
        # `layer3.0`, `layer3.1` of one stage alone keep their stage: `0` says nothing.
        if not has_common_prefix or any(part[1].isdigit() for part in dotted):
            return parts
        parts = [part[1:] if len(part) > 1 else part for part in parts]


def _drop_redundant_words(name: str) -> str:
    """Shorten one dotted name: `denseblock1.denselayer2` to `block1.2`."""
    return REDUNDANT_NAME_RE.sub("", name).replace("denseblock", "block")
