"""Inputs of merges: where each starts, and which one a node belongs to."""

import pytest

from gui.layout import (
    input_endpoints,
    input_for_node,
    layout_graph,
    merge_inputs,
)
from tests.helpers.graph_builder import MODELS


@pytest.mark.parametrize(
    ("node", "merge_input"),
    [
        ("layer2.0.downsample", ("layer2.0.add", 0)),
        ("layer1.0.se", ("layer1.0.se.gate", 1)),
        ("layer1.0", ("layer1.0.se.gate", 0)),
        ("layer1.0.add", ("layer1.0.add", 0)),
        ("conv1", None),
        ("nobody", None),
    ],
)
def test_input_for_node_is_the_input_that_the_node_belongs_to(
    node: str, merge_input: tuple[str, int] | None
) -> None:
    assert (
        input_for_node(MODELS["seresnet20"], layout_graph(MODELS["seresnet20"]), node)
        == merge_input
    )


def test_input_endpoints_are_the_fork_and_the_merge() -> None:
    model = MODELS["seresnet20"]
    assert input_endpoints(model, ("layer2.0.add", 0)) == {"layer1.2.add", "layer2.0.add"}
    assert input_endpoints(model, ("layer2.0.add", 1)) == {"layer2.0.se.gate", "layer2.0.add"}
    assert merge_inputs(model, "layer2.0.add") == [("layer2.0.add", 0), ("layer2.0.add", 1)]
    assert merge_inputs(model, "layer2.0") == merge_inputs(model, None) == []
