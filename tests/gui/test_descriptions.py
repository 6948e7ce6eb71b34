"""Nodes, edges and edits in words."""

from dataclasses import replace

from gui.descriptions import (
    describe_for_screen_reader,
    describe_graph,
    describe_merge_input,
    describe_node,
    typeset_op,
)
from gui.graph import Edit
from gui.layout import layout_graph
from tests.helpers.graph_builder import MODELS


def test_screen_reader_text_describes_graph_and_nodes() -> None:
    model = MODELS["seresnet20"]
    text = describe_graph(model, layout_graph(MODELS["seresnet20"]))
    assert text == "43 blocks in 3 stages, 9 additive skips, 9 gates."
    assert describe_graph(MODELS["plain20"], layout_graph(MODELS["plain20"])).endswith("no skips.")
    node = model.node("layer1.0")
    assert node
    assert describe_node(node) == "layer1.0 · 2 × conv 3×3 · 16×32×32 · 9 parameters"
    assert "reads layer1.0, layer1.0.se" in describe_for_screen_reader(model, "layer1.0.se.gate")
    assert typeset_op("max pool 3x3 /2, experts") == "max pool 3×3 /2, experts"


def test_merge_input_text_names_the_projection() -> None:
    model = MODELS["seresnet20"]
    text = describe_merge_input(model, "layer2.0.add", 0)
    assert text == "layer1.2 → layer2.0 · added · projected 16→32 /2, pad"
    # Neither a convolution nor a pool: the shape is not projected.
    for projection in ("16, norm", "32→16, slice"):
        skips = tuple(replace(skip, projection=projection) for skip in model.skips)
        text = describe_merge_input(replace(model, skips=skips), "layer2.0.add", 0)
        assert text.endswith(f"added · through {projection}")


def test_merge_input_text_names_cuts_and_concatenations() -> None:
    cut = (Edit("scale", "layer2.0.add", 0, 0.0),)
    assert describe_merge_input(MODELS["seresnet20"], "layer2.0.add", 0, cut).endswith("· cut")
    dense = MODELS["densenet_bc_40_12"]
    text = describe_merge_input(dense, "features.denseblock1.denselayer4.concat", 1)
    assert text == "denseblock1.denselayer1 → denseblock1.denselayer4 · concatenated"
