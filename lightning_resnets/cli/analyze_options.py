"""Options and help text of `lightning-resnets analyze`."""

from pathlib import Path

from lightning_resnets.analysis.registry import ANALYSES
from lightning_resnets.cli.args import CommandParser, parse_positive_int
from lightning_resnets.cli.card_options import add_card_options
from lightning_resnets.cli.open_model import MODEL_OR_CHECKPOINT_HELP
from lightning_resnets.data.datasets import DATASETS
from lightning_resnets.utils.format import join_words

DEFAULT_NUM_IMAGES = 1000

FIGURE_FORMATS = ("png", "svg", "pdf")

# Column of the names, in the help text and in the output
NAME_WIDTH = max(map(len, ANALYSES)) + 2

DESCRIPTION = f"""Run an analysis of skip connections, concatenations and gates.
Each one writes tables (CSV, JSON) and a figure.

{{analyses}}
  {"all":<{NAME_WIDTH}}every analysis that the model allows

A model given by name that is not bundled is untrained."""


def build_parser() -> CommandParser:
    """Build the parser of `analyze`."""
    parser = CommandParser("analyze", DESCRIPTION.format(analyses=list_analyses()))
    parser.add_argument("name", metavar="NAME", help="an analysis from the list above, or all")
    parser.add_checkpoint("MODEL_OR_CHECKPOINT", _model_help(), is_required=False)
    add_card_options(parser)
    _add_image_options(parser)
    _add_output_options(parser)
    parser.add_argument(
        "--baseline",
        metavar="CHECKPOINT",
        help="model to compare with, or none (default: the bundled plain model of the same depth)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed (default: %(default)s)"
    )
    parser.add_argument(
        "--figure-format",
        choices=(*FIGURE_FORMATS, "none"),
        default="png",
        help="format of the figures, or none to leave them out (default: %(default)s)",
    )
    return parser


def _model_help() -> str:
    """Describe the model argument and name the analyses that can do without."""
    without = [name for name, analysis in ANALYSES.items() if not analysis.needs_model]
    return f"{MODEL_OR_CHECKPOINT_HELP}; not needed for {join_words(without, 'and')}"


def list_analyses() -> str:
    """Format the names and descriptions of all analyses, one per line."""
    lines = [f"  {name:<{NAME_WIDTH}}{item.description}" for name, item in ANALYSES.items()]
    return "\n".join(lines)


def _add_image_options(parser: CommandParser) -> None:
    """Add the options that select the images."""
    parser.add_argument(
        "--dataset",
        choices=DATASETS,
        help="dataset of the images (default for CIFAR-10 models: the bundled sample)",
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of the dataset")
    parser.add_argument(
        "--num-images",
        type=parse_positive_int,
        default=DEFAULT_NUM_IMAGES,
        metavar="N",
        help="use at most N images, evenly spaced over the dataset (default: %(default)s)",
    )


def _add_output_options(parser: CommandParser) -> None:
    """Add the options on the output folder."""
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="output folder (default: analysis/MODEL)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the files of an earlier run"
    )
