"""Test the SVG drawing: no overlaps, all merges and skips, well-formed for any name."""

import re
from collections import Counter
from functools import cache
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as some
from torch import Tensor, nn

from lightning_resnets.graph import trace
from lightning_resnets.graph.export import to_svg
from lightning_resnets.graph.export.svg_drawing import Drawing
from lightning_resnets.graph.export.svg_geometry import layout_drawing
from lightning_resnets.graph.export.svg_layout import arc_levels, assign_rows_and_lanes
from lightning_resnets.graph.export.xml_text import escape_control_chars
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.merges import Add, Concat, MergeKind
from lightning_resnets.models.registry import create_model
from lightning_resnets.utils.skip_init import skip_init
from tests.graph.test_export import names, odd

SVG = "{http://www.w3.org/2000/svg}"
INCEPTION = pytest.param(
    "inception_v3", marks=pytest.mark.slow
)  # torchvision's, which takes long to import
MODELS = (
    "resnet20",
    "resnet50",
    "seresnet50",
    "densenet_bc_40_12",
    "densenet121",
    "googlenet",
    "highway19",
    INCEPTION,
)


@cache
def graph(name: str) -> ModelGraph:
    with skip_init():
        model = create_model(name, 10)
    return trace(model, (3, 299, 299) if name == "inception_v3" else (3, 64, 64))


@cache
def make_image(name: str) -> Drawing:
    return layout_drawing(graph(name).fold())


@pytest.mark.parametrize("name", MODELS)
def test_nodes_do_not_overlap_and_edges_go_down(name: str) -> None:
    boxes = make_image(name).boxes
    assert list(boxes) == [block.name for block in graph(name).fold().nodes]
    for a, b in combinations(boxes.values(), 2):
        apart = (
            a.right <= b.rect[0]
            or b.right <= a.rect[0]
            or a.bottom <= b.rect[1]
            or b.bottom <= a.rect[1]
        )
        assert apart, (a.node.name, b.node.name)
    for source, target, _ in graph(name).fold().edges:
        assert boxes[source].bottom < boxes[target].rect[1]
    assert all(box.rect[0] > 0 and box.right < make_image(name).width for box in boxes.values())
    assert all(box.rect[1] >= 0 and box.bottom < make_image(name).height for box in boxes.values())


@pytest.mark.parametrize("name", MODELS)
def test_no_line_runs_through_a_block(name: str) -> None:
    """A segment that lies inside a block's box, edges left out, would hide what it says."""
    for line in make_image(name).lines:
        for (ax, ay), (bx, by) in pairwise(line.points):
            for box in make_image(name).boxes.values():
                x, y, wide, high = box.rect
                left, right, top, bottom = min(ax, bx), max(ax, bx), min(ay, by), max(ay, by)
                inside = (
                    left < x + wide - 3 and right > x + 3 and top < y + high - 1 and bottom > y + 1
                )
                assert not inside, (line, box.node.name)


@pytest.mark.parametrize("name", MODELS)
def test_every_link_is_drawn(name: str) -> None:
    """Each edge is a line; in a ribbon each source joins once and each concat reads once."""
    folded, dense = graph(name).fold(), assign_rows_and_lanes(graph(name).fold()).dense
    carried = sum(len(folded.inputs(merge)) - 1 for run in dense for merge in run.merges)
    joined = sum(len(run.sources) - 1 for run in dense)
    assert len(make_image(name).lines) == len(folded.edges) - carried + joined
    assert len(make_image(name).ribbon_edges) == sum(len(run.merges) for run in dense)


def test_a_densenets_skips_are_all_in_its_ribbons() -> None:
    dense = assign_rows_and_lanes(graph("densenet121").fold()).dense
    assert [len(run.merges) for run in dense] == [6, 12, 24, 16]
    carried = sum(
        len(graph("densenet121").fold().inputs(merge)) - 1 for run in dense for merge in run.merges
    )
    assert carried == 535
    ends = {
        round(rect[0] + rect[2])
        for rect in (stripe.rect for stripe in make_image("densenet121").stripes)
    }
    assert max(ends) < min(box.rect[0] for box in make_image("densenet121").boxes.values())


def test_every_kind_of_line_is_drawn_as_often_as_it_occurs() -> None:
    looks = Counter((line.style, line.dashed) for line in make_image("seresnet50").lines)
    assert looks["add", False] == 12
    assert looks["add", True] == 8  # four projections, into and out of each
    assert looks["gate", False] == 32
    assert {line.style for line in make_image("googlenet").lines} == {
        "flow"
    }  # parallel branches are not skips
    gates = sum(block.kind is MergeKind.GATE for block in graph("highway19").merges)
    assert (
        Counter(line.style for line in make_image("highway19").lines)["gate"]
        == gates + gates // 2 * 2
    )


def texts(root: ElementTree.Element) -> list[str]:
    return [item.text or "" for item in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", ["seresnet50", "densenet121"])
def test_legend_counts_merges_and_skips(name: str) -> None:
    root = ElementTree.fromstring(to_svg(graph(name).fold(collapse_repeats=True), name))
    shown = texts(root)
    assert name in shown
    assert f"{graph(name).parameters:,} parameters" in shown[1]
    expected = {
        "seresnet50": {
            "adds (16)",
            "identity shortcut (12)",
            "projection shortcut (4)",
            "gates (16)",
        },
        "densenet121": {"concatenates (58)", "skip into a concat (535)"},
    }[name]
    assert expected <= set(shown)
    assert (name == "seresnet50") == any(text.startswith("equal neighbors") for text in shown)
    marks = Counter(
        item.get("class") for item in root.iter() if (item.get("class") or "").endswith("-mark")
    )
    kinds = Counter(
        f"{block.kind}-mark" for block in graph(name).fold(collapse_repeats=True).merges
    )
    assert marks == kinds + Counter(set(kinds))  # and one each in the legend


def test_repeats_are_framed_with_their_number() -> None:
    shown = texts(ElementTree.fromstring(to_svg(graph("resnet50").fold(collapse_repeats=True))))
    assert [text for text in shown if text.startswith("×")] == ["×2", "×3", "×5", "×2"]


@given(names, some.sampled_from(("auto", "light", "dark")))
def test_any_name_is_drawn_as_text_only(names: tuple[str, str, str], theme: str) -> None:
    text = to_svg(odd(names), names[0], theme)  # type: ignore[arg-type]
    root = ElementTree.fromstring(text.encode())
    tags = {item.tag.removeprefix(SVG) for item in root.iter()}
    assert tags <= {"svg", "title", "style", "rect", "text", "path", "circle", "g"}
    told = [item.text or "" for item in root.iter(f"{SVG}title")]
    assert any(item.startswith(f"{escape_control_chars(names[2])} ×2: add") for item in told)
    attributes = {name for item in root.iter() for name in item.attrib}
    assert not {name for name in attributes if name.startswith("on") or "href" in name}
    assert "url(" not in text
    assert "@import" not in text


def test_themes_light_dark_and_automatic() -> None:
    made = {
        theme: to_svg(graph("resnet20").fold(), "", theme) for theme in ("auto", "light", "dark")
    }  # type: ignore[arg-type]
    assert ".ground{fill:#FFFFFF}" in made["light"]
    assert ".ground{fill:#131519}" in made["dark"]
    assert re.search(r"#FFFFFF.*@media \(prefers-color-scheme: dark\) \{.*#131519", made["auto"])
    assert "@media" not in made["light"] + made["dark"]


def test_merge_colors_are_those_of_the_app() -> None:
    from gui.theme import DARK as APP_DARK
    from gui.theme import LIGHT as APP_LIGHT
    from lightning_resnets.graph.export.svg_theme import DARK, LIGHT

    for ours, app in ((LIGHT, APP_LIGHT), (DARK, APP_DARK)):
        colors = (ours.add, ours.concat, ours.gate)
        assert colors == tuple(app.accent(kind) for kind in MergeKind)


def test_large_models_are_drawn_completely() -> None:
    whole = graph("densenet121").fold("module")
    assert len(whole.nodes) > 400
    long = trace(create_model("preresnet1001"), (3, 32, 32)).fold()
    assert len(long.nodes) > 600
    for made in (whole, long):
        assert len(ElementTree.fromstring(to_svg(made))) > len(made.nodes)
    assert layout_drawing(ModelGraph((), (), ())).boxes == {}


@given(some.lists(some.tuples(some.integers(0, 20), some.integers(1, 9)), max_size=12))
def test_arcs_of_one_level_do_not_overlap(spans: list[tuple[int, int]]) -> None:
    rows = [(start, start + length) for start, length in spans]
    found = arc_levels(rows)
    for (a, b), (level, other) in zip(combinations(rows, 2), combinations(found, 2), strict=True):
        assert level != other or a[1] <= b[0] or b[1] <= a[0]


class Unit(nn.Module):
    """An Add around a Concat of an identity, a slice and a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.concat = Concat()
        self.add = Add()
        self.project = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        joined = self.concat(x, x[:, :2], self.conv(x[:, :2]))
        return self.add(x, self.project(joined))


def test_legend_counts_identities_and_projections_of_adds_and_concats_apart() -> None:
    found = trace(nn.Sequential(nn.Conv2d(3, 4, 1), Unit(), Unit()), (3, 8, 8))
    counts = Counter((skip.kind, skip.projection is None) for skip in found.skips)
    assert counts == {
        (MergeKind.ADD, True): 2,
        (MergeKind.CONCAT, True): 2,
        (MergeKind.CONCAT, False): 2,
    }
    shown = texts(ElementTree.fromstring(to_svg(found)))
    assert {"identity shortcut (2)", "skip into a concat (2)", "projection into a concat (2)"} <= {
        *shown
    }
