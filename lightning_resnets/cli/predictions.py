"""Write the predictions of a model as CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from lightning_resnets.utils.atomic_write import atomic_write


def write_predictions(path: Path, probabilities: Tensor, class_names: Sequence[str]) -> None:
    """Write the most probable class of each image as CSV.

    Args:
        path: file to write; its folder is created if missing.
        probabilities: (N, K), in the order of the images.
        class_names: K names.

    Raises:
        CheckpointError: the file cannot be written.
    """
    # The most probable class only: a table of all would be large.
    top_probabilities, top_classes = probabilities.max(1)
    pairs = zip(top_classes.tolist(), top_probabilities.tolist(), strict=True)
    # newline="" leaves the line ends to the writer.
    with atomic_write(path) as part, part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image_index", "class", "probability"))
        for index, (label, probability) in enumerate(pairs):
            writer.writerow((index, class_names[label], f"{probability:.4f}"))
