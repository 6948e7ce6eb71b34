"""Write the predictions of a model as CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor


def write_predictions(path: Path, probabilities: Tensor, class_names: Sequence[str]) -> None:
    """Write the most probable class of each image as CSV.

    Args:
        path: file to write; its folder is created if missing.
        probabilities: (N, K), in the order of the images.
        class_names: K names.
    """
    top_probabilities, top_classes = probabilities.max(1)
    pairs = zip(top_classes.tolist(), top_probabilities.tolist(), strict=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image_index", "class", "probability"))
        for index, (label, probability) in enumerate(pairs):
            writer.writerow((index, class_names[label], f"{probability:.4f}"))
