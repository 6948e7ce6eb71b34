"""Tests of graph layout: no overlaps, and every skip is drawn and ends at its merge."""

import pickle
from dataclasses import replace
from itertools import pairwise

import pytest

from gui.engine.conversion import to_gui_graph as as_diagram
from gui.graph import Edge, Graph
from gui.layout import (
    GraphLayout,
    NodeBox,
    Rect,
    arrow_key_map,
    available_size,
    input_edges,
    layout_graph,
    reachable_from,
    selected_arcs,
)
from lightning_resnets.graph import trace
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.models.external import build_external
from lightning_resnets.models.registry import create_model
from tests.helpers.graph_builder import MODELS

PLACED = {name: layout_graph(model) for name, model in MODELS.items()}
every = pytest.mark.parametrize("name", MODELS)


@pytest.fixture
def model(name: str) -> Graph:
    return MODELS[name]


@pytest.fixture
def placed(name: str) -> GraphLayout:
    return PLACED[name]


def at(placement: GraphLayout, name: str) -> NodeBox:
    place = placement.box(name)
    assert place, f"{name} is not in the layout"
    return place


def drawn(placement: GraphLayout) -> list[tuple[str, int]]:
    """Return (merge, operand) of everything drawn as a skip."""
    cells = [cell for matrix in placement.matrices for cell in matrix.cells if cell.skip]
    return sorted(
        [(arc.merge, arc.operand) for arc in placement.arcs]
        + [(cell.merge, cell.operand) for cell in cells]
    )


@pytest.mark.parametrize("name", ["resnet20", "plain20", "seresnet20", "densenet_bc_40_12"])
def test_built_graphs_have_nodes_and_skips_of_traced_models(name: str, model: Graph) -> None:
    real = as_diagram(trace(create_model(name), (3, 32, 32)).fold())
    drop = {"classifier": "fc"}
    assert sorted((s.kind, s.source, s.merge, s.operand) for s in real.skips) == sorted(
        (s.kind, s.source, s.merge, s.operand) for s in model.skips
    )
    assert {drop.get(node.name, node.name) for node in real.nodes} == {
        node.name for node in model.nodes
    }
    assert layout_graph(real).style == PLACED[name].style


@every
def test_layout_is_deterministic_and_keeps_the_graph(model: Graph, placed: GraphLayout) -> None:
    before = pickle.dumps(model)
    assert layout_graph(model) == placed
    assert layout_graph(pickle.loads(before)) == placed
    assert pickle.dumps(model) == before


@every
def test_nodes_do_not_overlap(placed: GraphLayout) -> None:
    rects = [(p.name, p.rect) for p in placed.boxes]
    assert [
        (a, b) for i, (a, x) in enumerate(rects) for b, y in rects[i + 1 :] if x.intersects(y)
    ] == []
    assert all(rect.w >= 2 and rect.h >= 8 for _, rect in rects)


@every
def test_every_node_is_inside_the_bounds(model: Graph, placed: GraphLayout) -> None:
    assert [p.name for p in placed.boxes] == [node.name for node in model.nodes]
    assert all(placed.bounds.contains((p.rect.x, p.rect.y)) for p in placed.boxes)
    assert all(placed.bounds.contains((p.rect.right, p.rect.bottom)) for p in placed.boxes)


@every
def test_every_skip_is_drawn_once(model: Graph, placed: GraphLayout) -> None:
    assert drawn(placed) == sorted((skip.merge, skip.operand) for skip in model.skips)


@every
def test_every_arc_ends_at_its_merge(placed: GraphLayout) -> None:
    for arc in placed.arcs:
        assert at(placed, arc.merge).rect.contains(arc.points[-1]), arc


@every
def test_every_edge_is_a_wire_an_arc_or_a_cell(model: Graph, placed: GraphLayout) -> None:
    cells = {(cell.source, cell.merge) for matrix in placed.matrices for cell in matrix.cells}
    wires = {(wire.source, wire.target) for wire in placed.wires}
    arcs = {arc.merge for arc in placed.arcs}
    pills = {p.name for p in placed.boxes if p.shape == "pill"}
    for link in model.edges:
        aside = link.target in arcs or link.target in pills
        assert (link.source, link.target) in cells | wires or aside, link


@every
def test_arrow_keys_reach_every_node(model: Graph, placed: GraphLayout) -> None:
    ways = arrow_key_map(model, placed)
    assert reachable_from(ways, "input") == {node.name for node in model.nodes}
    assert all(ways[name].get("right") for name in ways if name != "output"), (
        "the flow leads on from everywhere"
    )


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("resnet152", "spine"),
        ("seresnet20", "spine"),
        ("plain20", "spine"),
        ("densenet121", "dense"),
        ("inception", "layered"),
    ],
)
def test_layout_style_depends_on_the_graph(style: str, placed: GraphLayout) -> None:
    assert placed.style == style


def test_blocks_run_left_to_right_and_stages_downwards() -> None:
    placed = PLACED["resnet20"]
    blocks = [p for p in placed.boxes if p.name.count(".") == 1]
    for row in range(3):
        line = [p.rect for p in blocks if p.row == row]
        assert len(line) == 3
        assert [r.x for r in line] == sorted(r.x for r in line)
        assert len({r.center[1] for r in line}) == 1
    assert [band.title for band in placed.bands] == ["32×32", "16×16", "8×8"]
    assert [band.subtitle for band in placed.bands] == ["16 channels", "32 channels", "64 channels"]


def test_plain_model_has_the_positions_of_its_residual_model() -> None:
    plain = {p.name: p.rect for p in PLACED["plain20"].boxes}
    assert all(plain[p.name] == p.rect for p in PLACED["resnet20"].boxes if p.name in plain)
    assert PLACED["plain20"].arcs == ()


def test_projection_label_is_on_its_arc() -> None:
    pill = at(PLACED["resnet20"], "layer2.0.downsample")
    arc = next(arc for arc in PLACED["resnet20"].arcs if arc.merge == "layer2.0.add")
    assert (pill.shape, pill.lines) == ("pill", ("16→32 /2, pad",))
    assert arc.projected
    assert any(y == pytest.approx(pill.rect.center[1]) for _, y in arc.points)


def test_gate_weight_is_below_its_block() -> None:
    placed = PLACED["seresnet20"]
    gate, side, block = (at(placed, f"layer1.0{end}") for end in (".se.gate", ".se", ""))
    assert (gate.shape, side.shape) == ("diamond", "side")
    assert side.rect.y > block.rect.bottom
    wire = next(w for w in placed.wires if w.target == gate.name and w.source == side.name)
    assert gate.rect.contains(wire.points[-1])


def test_long_stages_wrap() -> None:
    placed = PLACED["resnet152"]
    assert len(placed.bands) == 4
    assert placed.bounds.w < 1000, "36 blocks on one line would be 1,500 wide"
    assert len({p.rect.center[1] for p in placed.boxes if p.row == 2 and p.shape == "box"}) > 1


@pytest.mark.parametrize(
    ("name", "counts"), [("densenet_bc_40_12", [21] * 3), ("densenet121", [21, 78, 300, 136])]
)
def test_dense_block_of_n_layers_has_half_n_times_n_plus_1_skips(
    placed: GraphLayout, counts: list[int]
) -> None:
    assert [sum(cell.skip for cell in matrix.cells) for matrix in placed.matrices] == counts
    for matrix in placed.matrices:
        assert {(c.row, c.column) for c in matrix.cells} == {
            (k, j) for k in range(len(matrix.rows)) for j in range(k + 2)
        }, "a lower triangle"
        assert all(c.skip == (c.column <= c.row) for c in matrix.cells), (
            "the last of a row is the chain"
        )


def test_ribbon_widens_by_the_channels_of_each_layer() -> None:
    placed, model = PLACED["densenet_bc_40_12"], MODELS["densenet_bc_40_12"]
    strips = [s for s in placed.strips if s.end == "features.denseblock1.concat"]
    assert len(strips) == 7
    for above, below in pairwise(strips):
        assert below.rect.y == pytest.approx(above.rect.bottom)
        assert below.rect.x > above.rect.x
    shape = {node.name: node.shape[0] for node in model.nodes}
    assert strips[0].rect.h / strips[1].rect.h == pytest.approx(shape["features.conv0"] / 12)


def test_dense_arcs_are_built_for_the_selected_layer_only() -> None:
    placed = PLACED["densenet_bc_40_12"]
    layer, concat = "features.denseblock2.denselayer4", "features.denseblock2.denselayer4.concat"
    assert selected_arcs(placed, layer) == selected_arcs(placed, concat)
    assert [arc.operand for arc in selected_arcs(placed, layer)] == [0, 1, 2, 3]
    assert all(
        at(placed, concat).rect.contains(arc.points[-1]) for arc in selected_arcs(placed, layer)
    )
    assert selected_arcs(placed, "features.conv0") == selected_arcs(placed, None) == ()


@pytest.mark.parametrize("room", [(400.0, 700.0), (1900.0, 500.0)])
def test_nodes_do_not_overlap_in_any_room(room: tuple[float, float]) -> None:
    for name in ("resnet110", "seresnet20", "densenet_bc_40_12"):
        rects = [p.rect for p in layout_graph(MODELS[name], room).boxes]
        assert not any(a.intersects(b) for i, a in enumerate(rects) for b in rects[i + 1 :]), name


def test_empty_graph_has_an_empty_layout() -> None:
    assert layout_graph(Graph()) == GraphLayout()


def test_graph_that_is_not_a_chain_is_layered() -> None:
    model = MODELS["resnet20"]
    odd = replace(model, edges=(*model.edges, Edge("input", "layer3.2.add", 2)))
    placed = layout_graph(odd)
    assert placed.style == "layered"
    assert len(placed.boxes) == len(model.nodes)
    assert drawn(placed) == drawn(PLACED["resnet20"])


def test_input_edges_are_sorted_by_operand() -> None:
    shuffled = replace(MODELS["resnet20"], edges=MODELS["resnet20"].edges[::-1])
    assert [link.operand for link in input_edges(shuffled)["layer1.0.add"]] == [0, 1]
    assert layout_graph(shuffled) == PLACED["resnet20"]


def test_rectangles_that_share_an_edge_do_not_intersect() -> None:
    assert not Rect(0, 0, 2, 2).intersects(Rect(2, 0, 2, 2))
    assert Rect(0, 0, 2, 2).intersects(Rect(1.9, 1.9, 2, 2))


@pytest.mark.parametrize(("width", "height"), [(860, 396), (968, 344), (500, 700), (3000, 1000)])
def test_available_size_has_the_aspect_ratio_of_the_view(width: float, height: float) -> None:
    wide, high = available_size(width, height)
    assert wide / high == pytest.approx(width / height)
    assert wide >= 560


@pytest.mark.parametrize("name", ["regnet_y_400mf", "mobilenet_v3_small"])
@pytest.mark.parametrize("room", [(860.0, 396.0), (500.0, 300.0), (1600.0, 700.0)])
def test_blocks_of_several_nodes_do_not_overlap(name: str, room: tuple[float, float]) -> None:
    model = build_external(f"torchvision/{name}", 10)
    placed = layout_graph(as_diagram(trace(insert_merges(model), (3, 224, 224)).fold()), room)
    rects = [(one.name, one.rect) for one in placed.boxes]
    assert placed.style == "spine"
    assert [
        (a, b) for i, (a, x) in enumerate(rects) for b, y in rects[i + 1 :] if x.intersects(y)
    ] == []
    assert min(rect.w for _, rect in rects) > 2
