"""The placement of a graph: pure, nothing on top of anything, every skip drawn and ending where it merges."""

import pickle
from dataclasses import replace
from itertools import pairwise

import pytest
from sketches import NETS

from gui.engine import diagram as as_diagram
from gui.layout import (
    Place,
    Placement,
    Rect,
    ends,
    fan,
    incoming,
    meant,
    operands,
    place,
    reached,
    room_for,
    travel,
)
from gui.layout.words import described, node_words, pretty, summary, way_words
from gui.state import Diagram, Edit, Link
from lightning_resnets.foreign import construct
from lightning_resnets.graph import trace
from lightning_resnets.graph.reveal import reveal
from lightning_resnets.zoo import build

PLACED = {name: place(net) for name, net in NETS.items()}
every = pytest.mark.parametrize("name", NETS)


@pytest.fixture
def net(name: str) -> Diagram:
    return NETS[name]


@pytest.fixture
def placed(name: str) -> Placement:
    return PLACED[name]


def at(placement: Placement, name: str) -> Place:
    place = placement.place(name)
    assert place, f"{name} has no place"
    return place


def drawn(placement: Placement) -> list[tuple[str, int]]:
    """(merge, operand) of everything drawn as a skip."""
    cells = [cell for matrix in placement.matrices for cell in matrix.cells if cell.skip]
    return sorted([(arc.merge, arc.operand) for arc in placement.arcs] + [(cell.merge, cell.operand) for cell in cells])


@pytest.mark.parametrize("name", ["resnet20", "plain20", "seresnet20", "densenet_bc_40_12"])
def test_the_hand_made_diagrams_have_the_joints_of_the_real_nets(name: str, net: Diagram) -> None:
    real = as_diagram(trace(build(name), (3, 32, 32)).fold())
    drop = {"classifier": "fc"}
    assert sorted((s.kind, s.source, s.merge, s.operand) for s in real.skips) == sorted(
        (s.kind, s.source, s.merge, s.operand) for s in net.skips
    )
    assert {drop.get(node.name, node.name) for node in real.nodes} == {node.name for node in net.nodes}
    assert place(real).style == PLACED[name].style


@every
def test_the_same_diagram_gives_the_same_placement_and_is_left_alone(net: Diagram, placed: Placement) -> None:
    before = pickle.dumps(net)
    assert place(net) == placed
    assert place(pickle.loads(before)) == placed
    assert pickle.dumps(net) == before


@every
def test_no_node_lies_on_another(placed: Placement) -> None:
    rects = [(p.name, p.rect) for p in placed.places]
    assert [(a, b) for i, (a, x) in enumerate(rects) for b, y in rects[i + 1 :] if x.meets(y)] == []
    assert all(rect.w >= 2 and rect.h >= 8 for _, rect in rects)


@every
def test_every_node_has_a_place_inside_the_bounds(net: Diagram, placed: Placement) -> None:
    assert [p.name for p in placed.places] == [node.name for node in net.nodes]
    assert all(placed.bounds.holds((p.rect.x, p.rect.y)) for p in placed.places)
    assert all(placed.bounds.holds((p.rect.right, p.rect.bottom)) for p in placed.places)


@every
def test_every_skip_is_drawn_once(net: Diagram, placed: Placement) -> None:
    assert drawn(placed) == sorted((skip.merge, skip.operand) for skip in net.skips)


@every
def test_every_arc_ends_at_its_merge(placed: Placement) -> None:
    for arc in placed.arcs:
        assert at(placed, arc.merge).rect.holds(arc.points[-1]), arc


@every
def test_every_link_is_a_wire_an_arc_or_a_cell(net: Diagram, placed: Placement) -> None:
    cells = {(cell.source, cell.merge) for matrix in placed.matrices for cell in matrix.cells}
    wires = {(wire.source, wire.target) for wire in placed.wires}
    arcs = {arc.merge for arc in placed.arcs}
    pills = {p.name for p in placed.places if p.shape == "pill"}
    for link in net.links:
        aside = link.target in arcs or link.target in pills
        assert (link.source, link.target) in cells | wires or aside, link


@every
def test_the_arrow_keys_reach_every_node(net: Diagram, placed: Placement) -> None:
    ways = travel(net, placed)
    assert reached(ways, "input") == {node.name for node in net.nodes}
    assert all(ways[name].get("right") for name in ways if name != "output"), "the flow leads on from everywhere"


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
def test_the_drawing_is_chosen_by_the_graph(style: str, placed: Placement) -> None:
    assert placed.style == style


def test_blocks_run_left_to_right_and_stages_downwards() -> None:
    placed = PLACED["resnet20"]
    blocks = [p for p in placed.places if p.name.count(".") == 1]
    for row in range(3):
        line = [p.rect for p in blocks if p.row == row]
        assert len(line) == 3
        assert [r.x for r in line] == sorted(r.x for r in line)
        assert len({r.middle[1] for r in line}) == 1
    assert [band.title for band in placed.bands] == ["32×32", "16×16", "8×8"]
    assert [band.note for band in placed.bands] == ["16 channels", "32 channels", "64 channels"]


def test_the_plain_twin_lies_as_its_residual_net_does() -> None:
    twin = {p.name: p.rect for p in PLACED["plain20"].places}
    assert all(twin[p.name] == p.rect for p in PLACED["resnet20"].places if p.name in twin)
    assert PLACED["plain20"].arcs == ()


def test_a_projection_carries_its_words_on_its_arc() -> None:
    pill = at(PLACED["resnet20"], "layer2.0.downsample")
    arc = next(arc for arc in PLACED["resnet20"].arcs if arc.merge == "layer2.0.add")
    assert (pill.shape, pill.lines) == ("pill", ("16→32 /2, pad",))
    assert arc.projected
    assert any(y == pytest.approx(pill.rect.middle[1]) for _, y in arc.points)


def test_the_weight_of_a_gate_is_made_below_its_block() -> None:
    placed = PLACED["seresnet20"]
    gate, side, block = (at(placed, f"layer1.0{end}") for end in (".se.gate", ".se", ""))
    assert (gate.shape, side.shape) == ("diamond", "side")
    assert side.rect.y > block.rect.bottom
    wire = next(w for w in placed.wires if w.target == gate.name and w.source == side.name)
    assert gate.rect.holds(wire.points[-1])


def test_long_stages_are_wrapped_so_that_numbers_stay_legible() -> None:
    placed = PLACED["resnet152"]
    assert len(placed.bands) == 4
    assert placed.bounds.w < 1000, "36 blocks on one line would be 1,500 wide"
    assert len({p.rect.middle[1] for p in placed.places if p.row == 2 and p.shape == "box"}) > 1


@pytest.mark.parametrize(("name", "counts"), [("densenet_bc_40_12", [21] * 3), ("densenet121", [21, 78, 300, 136])])
def test_a_dense_block_of_n_layers_has_half_n_times_n_plus_1_skips(placed: Placement, counts: list[int]) -> None:
    assert [sum(cell.skip for cell in matrix.cells) for matrix in placed.matrices] == counts
    for matrix in placed.matrices:
        assert {(c.row, c.column) for c in matrix.cells} == {
            (k, j) for k in range(len(matrix.rows)) for j in range(k + 2)
        }, "a lower triangle"
        assert all(c.skip == (c.column <= c.row) for c in matrix.cells), "the last of a row is the chain"


def test_a_ribbon_widens_by_what_joins_it() -> None:
    placed, net = PLACED["densenet_bc_40_12"], NETS["densenet_bc_40_12"]
    strips = [s for s in placed.strips if s.end == "features.denseblock1.concat"]
    assert len(strips) == 7
    for above, below in pairwise(strips):
        assert below.rect.y == pytest.approx(above.rect.bottom)
        assert below.rect.x > above.rect.x
    shape = {node.name: node.shape[0] for node in net.nodes}
    assert strips[0].rect.h / strips[1].rect.h == pytest.approx(shape["features.conv0"] / 12)


def test_arcs_of_a_dense_block_are_there_only_for_the_layer_in_question() -> None:
    placed = PLACED["densenet_bc_40_12"]
    layer, concat = "features.denseblock2.denselayer4", "features.denseblock2.denselayer4.concat"
    assert fan(placed, layer) == fan(placed, concat)
    assert [arc.operand for arc in fan(placed, layer)] == [0, 1, 2, 3]
    assert all(at(placed, concat).rect.holds(arc.points[-1]) for arc in fan(placed, layer))
    assert fan(placed, "features.conv0") == fan(placed, None) == ()


@pytest.mark.parametrize("room", [(400.0, 700.0), (1900.0, 500.0)])
def test_any_room_gives_a_sound_drawing(room: tuple[float, float]) -> None:
    for name in ("resnet110", "seresnet20", "densenet_bc_40_12"):
        rects = [p.rect for p in place(NETS[name], room).places]
        assert not any(a.meets(b) for i, a in enumerate(rects) for b in rects[i + 1 :]), name


def test_an_empty_diagram_has_an_empty_placement() -> None:
    assert place(Diagram()) == Placement()


def test_a_broken_chain_is_still_drawn() -> None:
    net = NETS["resnet20"]
    odd = replace(net, links=(*net.links, Link("input", "layer3.2.add", 2)))
    placed = place(odd)
    assert placed.style == "layered"
    assert len(placed.places) == len(net.nodes)
    assert drawn(placed) == drawn(PLACED["resnet20"])


def test_incoming_links_are_sorted_by_operand() -> None:
    shuffled = replace(NETS["resnet20"], links=NETS["resnet20"].links[::-1])
    assert [link.operand for link in incoming(shuffled)["layer1.0.add"]] == [0, 1]
    assert place(shuffled) == PLACED["resnet20"]


def test_rectangles_that_share_an_edge_do_not_meet() -> None:
    assert not Rect(0, 0, 2, 2).meets(Rect(2, 0, 2, 2))
    assert Rect(0, 0, 2, 2).meets(Rect(1.9, 1.9, 2, 2))


def test_the_words_for_those_who_cannot_see_it() -> None:
    net, dense = NETS["seresnet20"], NETS["densenet_bc_40_12"]
    assert summary(net, PLACED["seresnet20"]) == "43 blocks in 3 stages, 9 additive skips, 9 gates."
    assert summary(NETS["plain20"], PLACED["plain20"]).endswith("no skips.")
    node = net.node("layer1.0")
    assert node
    assert node_words(node) == "layer1.0 · 2 × conv 3×3 · 16×32×32 · 9 parameters"
    assert way_words(net, "layer2.0.add", 0) == "layer1.2 → layer2.0 · added · projected 16→32 /2, pad"
    for done in ("16, norm", "32→16, slice"):  # neither a convolution nor a pool: nothing is made to fit
        skips = tuple(replace(skip, projected=done) for skip in net.skips)
        assert way_words(replace(net, skips=skips), "layer2.0.add", 0).endswith(f"added · through {done}")
    cut = (Edit("scale", "layer2.0.add", 0, 0.0),)
    assert way_words(net, "layer2.0.add", 0, cut).endswith("· cut")
    words = way_words(dense, "features.denseblock1.denselayer4.concat", 1)
    assert words == "denseblock1.denselayer1 → denseblock1.denselayer4 · concatenated"
    assert "reads layer1.0, layer1.0.se" in described(net, "layer1.0.se.gate")
    assert pretty("max pool 3x3 /2, experts") == "max pool 3×3 /2, experts"


@pytest.mark.parametrize(
    ("node", "way"),
    [
        ("layer2.0.downsample", ("layer2.0.add", 0)),
        ("layer1.0.se", ("layer1.0.se.gate", 1)),
        ("layer1.0", ("layer1.0.se.gate", 0)),
        ("layer1.0.add", ("layer1.0.add", 0)),
        ("conv1", None),
        ("nobody", None),
    ],
)
def test_a_menu_on_a_node_means_the_way_it_lies_on(node: str, way: tuple[str, int] | None) -> None:
    assert meant(NETS["seresnet20"], PLACED["seresnet20"], node) == way


def test_the_ends_of_a_way_are_where_it_forks_and_where_it_merges() -> None:
    net = NETS["seresnet20"]
    assert ends(net, ("layer2.0.add", 0)) == {"layer1.2.add", "layer2.0.add"}
    assert ends(net, ("layer2.0.add", 1)) == {"layer2.0.se.gate", "layer2.0.add"}
    assert operands(net, "layer2.0.add") == [("layer2.0.add", 0), ("layer2.0.add", 1)]
    assert operands(net, "layer2.0") == operands(net, None) == []


@pytest.mark.parametrize(("width", "height"), [(860, 396), (968, 344), (500, 700), (3000, 1000)])
def test_the_room_has_the_shape_of_the_view(width: float, height: float) -> None:
    wide, high = room_for(width, height)
    assert wide / high == pytest.approx(width / height)
    assert wide >= 560


@pytest.mark.parametrize("name", ["regnet_y_400mf", "mobilenet_v3_small"])
@pytest.mark.parametrize("room", [(860.0, 396.0), (500.0, 300.0), (1600.0, 700.0)])
def test_blocks_of_foreign_nets_that_hold_several_nodes_do_not_lie_on_one_another(
    name: str, room: tuple[float, float]
) -> None:
    net = construct(f"torchvision/{name}", 10)
    placed = place(as_diagram(trace(reveal(net), (3, 224, 224)).fold()), room)
    rects = [(one.name, one.rect) for one in placed.places]
    assert placed.style == "spine"
    assert [(a, b) for i, (a, x) in enumerate(rects) for b, y in rects[i + 1 :] if x.meets(y)] == []
    assert min(rect.w for _, rect in rects) > 2
