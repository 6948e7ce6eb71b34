"""Tables and figure of iterative refinement."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightning_resnets.analysis.plotting import (
    REFERENCE_LINE,
    SERIES_1,
    SERIES_2,
    SERIES_3,
    add_legend,
    figure_title,
    finish_figure,
    set_block_ticks,
)
from lightning_resnets.analysis.result import Cell, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = (
    "model",
    "block",
    "accuracy",
    "probability",
    "logit",
    "agreement",
    "step",
    "cosine",
    "images",
)


@dataclass(frozen=True, slots=True, eq=False)
class IterativeRefinementResult:
    """Means over images for each block of the last stage, in order.

    Attributes:
        blocks: names of the blocks.
        accuracy: fraction of images that the head classifies correctly after the block.
        probability: probability of the true class.
        mean_logit: logit of the true class.
        agreement: fraction of images with the same prediction as the whole model.
        step: relative change of the map by the block, |out - in| / |in|; None for the first block.
        cosine: cosine of that change and the negative gradient of the loss; None for the first.
        num_images: number of images.
        model_name: name of the model.
    """

    blocks: tuple[str, ...]
    accuracy: tuple[float, ...]
    probability: tuple[float, ...]
    mean_logit: tuple[float, ...]
    agreement: tuple[float, ...]
    step: tuple[float | None, ...]
    cosine: tuple[float | None, ...]
    num_images: int
    model_name: str = "model"

    def tables(self) -> dict[str, Table]:
        """Return the means.

        Returns:
            `iterative_refinement`: one row per block.
        """
        values = zip(
            self.blocks,
            self.accuracy,
            self.probability,
            self.mean_logit,
            self.agreement,
            self.step,
            self.cosine,
            strict=True,
        )
        rows: list[tuple[Cell, ...]] = [(self.model_name, *row, self.num_images) for row in values]
        return {"iterative_refinement": Table(COLUMNS, tuple(rows))}

    def draw(self, figure: "Figure") -> None:
        """Draw the head's predictions after each block, and size and direction of its change.

        Args:
            figure: an empty matplotlib figure.
        """
        head_panel, step_panel = figure.subplots(1, 2)
        self._draw_head(head_panel)
        self._draw_steps(step_panel)
        for axes in (head_panel, step_panel):
            set_block_ticks(axes, self.blocks)
            axes.set_xlabel("block of the last stage")
            add_legend(axes)
        title = figure_title("refinement in the last stage", (self.model_name,), self.num_images)
        finish_figure(figure, title)

    def _draw_head(self, axes: "Axes") -> None:
        """Draw agreement, accuracy and probability after every block."""
        for label, style, values in (
            ("agreement with the final prediction", SERIES_3, self.agreement),
            ("accuracy", SERIES_1, self.accuracy),
            ("probability of the true class", SERIES_2, self.probability),
        ):
            axes.plot([100 * value for value in values], label=label, **style)
        # Room for a line at 100 %.
        axes.set_ylim(0, 104)
        axes.set_ylabel("mean over images (%)")
        axes.set_title("head after every block")

    def _draw_steps(self, axes: "Axes") -> None:
        """Draw the relative change by each block and its direction."""
        for label, style, values in (
            ("relative step |out − in| / |in|", SERIES_1, self.step),
            ("cosine of step and −gradient", SERIES_2, self.cosine),
        ):
            # The first block has no predecessor of the same shape.
            known = [(i, value) for i, value in enumerate(values) if value is not None]
            axes.plot(*zip(*known, strict=True), label=label, **style)
        # A cosine above 0 means a step that lowers the loss.
        axes.axhline(0, **REFERENCE_LINE)
        axes.set_title("change of the map by each block")
        axes.set_ylabel("mean over images")
