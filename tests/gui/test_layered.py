"""Layered drawings: projections of custom blocks are drawn as skips, and titles stay readable."""

import pytest
from torch import Tensor, nn

from gui.engine.conversion import to_gui_graph
from gui.graph import Graph
from gui.layout import GraphLayout, available_size, layout_graph
from gui.layout.labels import shorten_label, wrap_label
from gui.layout.layered import skip_routes
from gui.tooltips import MERGE_HINT, PLAIN_HINT, SKIP_HINT, edit_hint
from gui.views.graph.view import GraphView
from lightning_resnets import Add, Concat
from lightning_resnets.graph import trace
from lightning_resnets.models.registry import create_model
from lightning_resnets.models.resnet import ResNet
from tests.helpers.graph_builder import MODELS
from tests.helpers.graph_view import has, pixels

INCEPTION = MODELS["inception"]
BRANCHES = Graph(INCEPTION.nodes, INCEPTION.edges, ())


class TwoKernelSizes(nn.Module):
    """The block of docs/training.md: two parallel convolutions beside a projection."""

    def __init__(self, inplanes: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.small = nn.Conv2d(inplanes, planes // 2, 3, stride, padding=1)
        self.large = nn.Conv2d(inplanes, planes // 2, 5, stride, padding=2)
        self.concat = Concat()
        self.bn = nn.BatchNorm2d(planes)
        self.downsample = nn.Conv2d(inplanes, planes, 1, stride)
        self.add = Add()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn(self.concat(self.small(x), self.large(x)))
        return self.relu(self.add(self.downsample(x), branch))


@pytest.fixture(scope="module")
def graph() -> Graph:
    model = ResNet(TwoKernelSizes, (2, 2, 2), 10, stem="cifar")
    return to_gui_graph(trace(model, (3, 32, 32)).fold())


@pytest.fixture(scope="module")
def resnet50() -> Graph:
    return to_gui_graph(trace(create_model("resnet50"), (3, 224, 224)).fold())


@pytest.fixture
def placed(graph: Graph) -> GraphLayout:
    return layout_graph(graph)


def test_every_projected_skip_is_an_arc_through_its_projection(
    graph: Graph, placed: GraphLayout
) -> None:
    assert placed.style == "layered"
    assert len(placed.arcs) == len(graph.skips) == 6
    for arc, names in zip(placed.arcs, skip_routes(graph), strict=True):
        assert names[0] == arc.source
        assert names[-1] == arc.merge
        for name in names[1:-1]:
            box = placed.box(name)
            assert box
            assert box.shape == "pill"
            assert any(box.rect.contains(point) for point in arc.points)


def test_no_plain_wire_hides_a_skip(placed: GraphLayout) -> None:
    arcs = {(arc.merge, arc.operand) for arc in placed.arcs}
    assert not arcs & {(wire.target, wire.operand) for wire in placed.wires}


def test_projected_skips_are_painted_in_the_color_of_skips(view: GraphView, graph: Graph) -> None:
    view.set_graph(graph)
    items = [view.scene_items.merge_inputs[s.merge, s.operand] for s in graph.skips]
    assert all(item.skip and item.is_projection for item in items)
    assert has(pixels(view), view.paint_state.theme.add)


def test_titles_are_beside_the_lines_that_enter_a_row(placed: GraphLayout) -> None:
    for band in placed.bands:
        for wire in placed.wires:
            xs = [x for x, y in wire.points if band.rect.y < y < band.rect.bottom]
            assert not [x for x in xs if band.at[0] - 2 <= x <= band.at[0] + 30 and x < 40]


@pytest.mark.parametrize(
    ("graph", "text"),
    [
        (BRANCHES, "parallel branches, concatenated"),
        (MODELS["plain20"], "no skip connections"),
        (MODELS["resnet20"], "identity shortcut"),
    ],
)
def test_the_legend_names_what_the_model_has(view: GraphView, graph: Graph, text: str) -> None:
    texts = [entry for _, entry in view.legend.entries(graph)]
    assert text in texts
    assert ("no skip connections" in texts) == (graph is MODELS["plain20"])


def test_the_legend_draws_every_symbol(view: GraphView) -> None:
    view.set_graph(BRANCHES)
    assert has(pixels(view)[-24:], view.paint_state.theme.text)


def test_a_model_of_projections_has_no_identity_shortcut(view: GraphView, graph: Graph) -> None:
    texts = [entry for _, entry in view.legend.entries(graph)]
    assert "identity shortcut" not in texts
    assert "projection shortcut" in texts


@pytest.mark.parametrize(
    ("graph", "hint"),
    [
        (MODELS["resnet20"], SKIP_HINT),
        (MODELS["densenet121"], SKIP_HINT),
        (BRANCHES, MERGE_HINT),
        (MODELS["plain20"], PLAIN_HINT),
    ],
)
def test_the_hint_fits_the_model(graph: Graph, hint: str) -> None:
    assert edit_hint(graph) == hint


def test_a_long_operation_keeps_every_part() -> None:
    op = "conv 1x1, conv 3x3, conv 1x1"
    assert wrap_label(op, 500) == (op,)
    assert wrap_label(op, 110) == ("conv 1x1, conv 3x3,", "conv 1x1")
    assert wrap_label(op, 80) == ("conv 1x1, 3x3,", "1x1")


@pytest.mark.parametrize("width", range(10, 120, 5))
def test_a_projection_label_is_whole_or_ends_in_an_ellipsis(width: int) -> None:
    label = "1024→2048 /2, conv 1x1, norm"
    shown = shorten_label(label, width)
    assert shown in (label, "1024→2048 /2", "") or shown.endswith("…")


def test_pills_of_resnet50_name_channels_and_stride(resnet50: Graph) -> None:
    # In a window of 1280 pixels the stride was left out.
    placed = layout_graph(resnet50, available_size(974, 346))
    pills = [box.lines[0] for box in placed.boxes if box.shape == "pill"]
    assert pills == ["64→256", "256→512 /2", "512→1024 /2", "1024→2048 /2"]


def test_blocks_of_resnet50_name_the_kernel_of_three(resnet50: Graph) -> None:
    placed = layout_graph(resnet50, available_size(974, 346))
    box = placed.box("layer3.1")
    assert box
    assert "3x3" in "".join(box.lines)


def test_hover_over_a_pill_tells_the_whole_projection(view: GraphView, resnet50: Graph) -> None:
    view.set_graph(resnet50)
    text = view.describe("layer4.0.downsample", None)
    assert text.endswith("projection 1024→2048 /2, conv 1x1")
