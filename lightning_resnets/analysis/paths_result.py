"""Tables and figure of path counts and path gradients."""

from dataclasses import dataclass
from math import log10
from typing import TYPE_CHECKING

from lightning_resnets.analysis.path_shares import gradient_shares, share_errors
from lightning_resnets.analysis.plotting import (
    BLUE,
    SERIES_1,
    TEXT_COLOR,
    LineStyle,
    figure_title,
    finish_figure,
    set_integer_ticks,
)
from lightning_resnets.analysis.result import Cell, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LENGTH_COLUMNS = (
    "model",
    "length",
    "paths",
    "share_of_paths",
    "share_of_gradient",
    "standard_error",
    "draws",
)

PathCounts = tuple[int, ...]  # at index k the number of paths through k blocks


@dataclass(frozen=True, slots=True)
class PathsResult:
    """Number of paths and gradient norms by path length.

    Attributes:
        counts: at index k the number of paths through k blocks.
        gradients: by length k, for each draw of paths, the norm of the gradient at the input: the
            mean over images of the norm for that image's own loss. Empty for a model without
            residual blocks.
        num_images: number of images behind the norms.
        model_name: name of the model.
    """

    counts: PathCounts
    gradients: dict[int, tuple[float, ...]]
    num_images: int | None = None
    model_name: str = "model"

    @property
    def total(self) -> int:
        """Return the number of all paths."""
        return sum(self.counts)

    def shares(self) -> dict[int, float]:
        """Estimate how the gradient is distributed over all path lengths.

        Returns:
            By length, the number of paths times their mean gradient norm, as a fraction of the sum
            over all lengths. Norms of lengths that were not measured are interpolated. Empty unless
            the first and the last length were measured.
        """
        return dict(enumerate(gradient_shares(self.counts, self.gradients)))

    def share_errors(self) -> dict[int, float]:
        """Estimate the standard errors of `shares` that come from drawing paths.

        Returns:
            Standard errors by length; 0 if every path was measured.
        """
        return dict(enumerate(share_errors(self.counts, self.gradients)))

    def tables(self) -> dict[str, Table]:
        """Return counts and gradient norms.

        Returns:
            `paths`: one row per length, with 0 draws where the gradient is interpolated;
            `gradients`: one row per draw.
        """
        shares = self.shares()
        errors = self.share_errors()
        by_length: list[tuple[Cell, ...]] = []
        for k, count in enumerate(self.counts):
            draws = len(self.gradients.get(k, ()))
            share = count / self.total
            row = (self.model_name, k, count, share, shares.get(k), errors.get(k), draws)
            by_length.append(row)
        by_path: list[tuple[str, int, int, float]] = []
        for k, norms in self.gradients.items():
            by_path += [(self.model_name, k, draw, norm) for draw, norm in enumerate(norms)]
        return {
            "paths": Table(LENGTH_COLUMNS, tuple(by_length)),
            "gradients": Table(("model", "length", "draw", "norm"), tuple(by_path)),
        }

    def draw(self, figure: "Figure") -> None:
        """Draw the number of paths by length, the gradient of one path, and both multiplied.

        Args:
            figure: an empty matplotlib figure.
        """
        drawings = [self._draw_counts]
        # A dense model has counts but no gradients.
        if self.gradients:
            drawings.append(self._draw_norms)
        # Shares need the shortest and the longest path.
        if self.shares():
            drawings.append(self._draw_shares)
        panels = figure.subplots(1, len(drawings), squeeze=False)[0]
        for axes, draw in zip(panels, drawings, strict=True):
            draw(axes)
            axes.set_xlabel("path length (blocks)")
            # The same lengths on all panels, so that they can be compared.
            set_integer_ticks(axes, len(self.counts) - 1)
            axes.set_xlim(-0.7, len(self.counts) - 0.3)
        # 2^50 paths are better read as a power of ten.
        total = f"{self.total:,}" if self.total < 10**9 else f"about 10^{log10(self.total):.1f}"
        num_images = self.num_images if self.gradients else None
        finish_figure(figure, figure_title(f"{total} paths", (self.model_name,), num_images))

    def _draw_counts(self, axes: "Axes") -> None:
        """Draw the distribution of path lengths."""
        shares = [100 * count / self.total for count in self.counts]
        axes.bar(range(len(self.counts)), shares, color=BLUE)
        axes.set_title("number of paths of a length\n(exact)")
        axes.set_ylabel("share of paths (%)")

    def _draw_norms(self, axes: "Axes") -> None:
        """Draw the gradient norm of each draw and the mean by length."""
        for k, norms in self.gradients.items():
            axes.plot([k] * len(norms), norms, ".", color="0.6", markersize=4)
        means = [sum(norms) / len(norms) for norms in self.gradients.values()]
        axes.plot(list(self.gradients), means, **SERIES_1)
        # Norms fall exponentially with length, but a zero has no logarithm.
        if min(means) > 0:
            axes.set_yscale("log")
        axes.set_title("gradient along one path\n(dots: draws, line: mean)")
        axes.set_ylabel("gradient norm at the input")

    def _draw_shares(self, axes: "Axes") -> None:
        """Draw the share of the gradient by length, with its standard error."""
        shares = self.shares()
        heights = [100 * share for share in shares.values()]
        errors = [100 * error for error in self.share_errors().values()]
        axes.bar(list(shares), heights, color=BLUE)
        bars: LineStyle = {"color": TEXT_COLOR, "linestyle": "", "elinewidth": 0.8, "capsize": 1.5}
        axes.errorbar(list(shares), heights, errors, **bars)
        is_interpolated = len(self.gradients) < len(self.counts)
        note = ", partly interpolated" if is_interpolated else ""
        axes.set_title(f"gradient along all paths of a length\n(bars: standard error{note})")
        axes.set_ylabel("share of the gradient (%)")
        axes.set_ylim(bottom=0)
