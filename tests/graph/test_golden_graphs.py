"""The graphs of twenty models as text, each read by a person before it was kept.

`python -m tests.graph.test_golden_graphs` writes them anew; read what differs before you keep it.
"""

import argparse
from pathlib import Path

import pytest

from lightning_resnets.graph import trace
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.models.registry import MODELS, create_model
from lightning_resnets.utils.skip_init import skip_init

GOLDEN = Path(__file__).parents[1] / "golden" / "graph"
OURS = (
    "resnet18",
    "resnet50",
    "resnet152",
    "plain34",
    "resnext50_32x4d",
    "seresnet50",
    "preresnet164",
    "wrn_28_10",
    "densenet121",
    "densenet_40_12",
    "highway19",
    "googlenet",
    "inception_resnet_v2",
)
THEIRS = (  # torchvision's: their structure is that of published weights and does not change
    "convnext_tiny",
    "efficientnet_b0",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "shufflenet_v2_x1_0",
    "squeezenet1_1",
)
NAMES = (*OURS, *(f"torchvision/{name}" for name in THEIRS))
USUAL = (3, 224, 224)


def text(name: str) -> str:
    """Return the graph of the model for 10 classes, folded to blocks with repeats collapsed."""
    size = MODELS[name].input_size if name in MODELS else USUAL
    with skip_init():
        model = create_model(name, 10)
    if name not in MODELS:
        model = insert_merges(model, size)
    return f"{trace(model, size).fold('block', collapse_repeats=True)}\n"


def file(name: str) -> Path:
    return GOLDEN / f"{name.replace('/', '-')}.txt"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if "/" in name else name for name in NAMES]
)  # torchvision takes seconds to import
def test_text(name: str) -> None:
    assert text(name) == file(name).read_text(encoding="utf-8")


def test_each_of_twenty_models_has_a_golden_text() -> None:
    assert len(NAMES) == len(set(NAMES)) == 20
    assert {path.name for path in GOLDEN.iterdir()} == {file(name).name for name in NAMES}


if __name__ == "__main__":
    argparse.ArgumentParser(description="Write the golden texts.").parse_args()
    for name in NAMES:
        file(name).write_text(text(name), encoding="utf-8")
