"""Tables and figure of path counts and path gradients."""

from dataclasses import dataclass
from math import log10
from typing import TYPE_CHECKING

from lightning_resnets.analysis.plotting import (
    BLUE,
    SERIES_1,
    figure_title,
    finish_figure,
    set_integer_ticks,
)
from lightning_resnets.analysis.result import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PathCounts = tuple[int, ...]  # at index k the number of paths through k blocks


@dataclass(frozen=True, slots=True)
class PathsResult:
    """Number of paths and gradient norms by path length.

    Attributes:
        counts: at index k the number of paths through k blocks.
        gradients: by length k, for each sampled path, the norm of the gradient at the input:
            the mean over images of the norm for that image's own loss. Empty for a model without
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
        """Estimate how the gradient is distributed over path lengths.

        Returns:
            By sampled length, the number of paths times their mean gradient norm, as a fraction of
            the sum over all sampled lengths.
        """
        parts = {k: self.counts[k] * sum(norms) / len(norms) for k, norms in self.gradients.items()}
        # Shares of the sampled lengths only: the others are unknown.
        total = sum(parts.values())
        return {k: part / total if total else 0.0 for k, part in parts.items()}

    def tables(self) -> dict[str, Table]:
        """Return counts and gradient norms.

        Returns:
            `paths`: one row per length; `gradients`: one row per sampled path.
        """
        shares = self.shares()
        by_length = tuple(
            (self.model_name, k, count, count / self.total, shares.get(k))
            for k, count in enumerate(self.counts)
        )
        by_path: list[tuple[str, int, int, float]] = []
        for k, norms in self.gradients.items():
            by_path += [(self.model_name, k, draw, norm) for draw, norm in enumerate(norms)]
        length_columns = ("model", "length", "paths", "share_of_paths", "share_of_gradient")
        return {
            "paths": Table(length_columns, by_length),
            "gradients": Table(("model", "length", "draw", "norm"), tuple(by_path)),
        }

    def draw(self, figure: "Figure") -> None:
        """Draw the number of paths by length, the gradient of one path, and both multiplied.

        Args:
            figure: an empty matplotlib figure.
        """
        # A dense model has counts but no gradients.
        panels = figure.subplots(1, 3 if self.gradients else 1, squeeze=False)[0]
        self._draw_counts(panels[0])
        if self.gradients:
            self._draw_norms(panels[1])
            self._draw_shares(panels[2])
        for axes in panels:
            axes.set_xlabel("path length (blocks)")
            set_integer_ticks(axes, len(self.counts) - 1)
        # 2^50 paths are better read as a power of ten.
        total = f"{self.total:,}" if self.total < 10**9 else f"about 10^{log10(self.total):.1f}"
        num_images = self.num_images if self.gradients else None
        finish_figure(figure, figure_title(f"{total} paths", (self.model_name,), num_images))

    def _draw_counts(self, axes: "Axes") -> None:
        """Draw the distribution of path lengths."""
        shares = [100 * count / self.total for count in self.counts]
        axes.bar(range(len(self.counts)), shares, color=BLUE)
        axes.set_title("all paths")
        axes.set_ylabel("share of paths (%)")

    def _draw_norms(self, axes: "Axes") -> None:
        """Draw the gradient norm of each sampled path and the mean by length."""
        for k, norms in self.gradients.items():
            axes.plot([k] * len(norms), norms, ".", color="0.6", markersize=4)
        means = [sum(norms) / len(norms) for norms in self.gradients.values()]
        axes.plot(list(self.gradients), means, **SERIES_1)
        # Norms fall exponentially with length, but a zero has no logarithm.
        if min(means) > 0:
            axes.set_yscale("log")
        axes.set_title("one path (dots: samples, line: mean)")
        axes.set_ylabel("gradient norm at the input")

    def _draw_shares(self, axes: "Axes") -> None:
        """Draw the share of the gradient by length."""
        shares = self.shares()
        axes.bar(list(shares), [100 * share for share in shares.values()], color=BLUE)
        axes.set_title("all paths of a length")
        axes.set_ylabel("share of the gradient (%)")
