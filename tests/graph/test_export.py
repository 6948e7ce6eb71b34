"""Graphs as JSON, GraphML and DOT: read back by others, or by the grammar; nothing lost, whatever a
name holds.
"""

import json
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as some

from lightning_resnets.graph import trace
from lightning_resnets.graph.data import Node, SkipConnection
from lightning_resnets.graph.export import (
    GraphError,
    from_json,
    to_dot,
    to_graphml,
    to_json,
    to_svg,
)
from lightning_resnets.graph.export.xml_text import escape_control_chars
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.merges import MergeKind
from lightning_resnets.models.registry import create_model
from lightning_resnets.utils.skip_init import skip_init

OPTIONAL_KEYS = ("hidden_skips", "non_skip_merges", "merges_inserted")
MODELS = ("resnet20", "seresnet20", "densenet_bc_40_12", "googlenet")


@cache
def folded(name: str) -> ModelGraph:
    with skip_init():
        model = create_model(name, 10)
    return trace(model, (3, 64, 64)).fold(collapse_repeats=name == "seresnet20")


def odd(names: tuple[str, str, str]) -> ModelGraph:
    """A residual block whose names are what anyone may write."""
    first, second, third = names
    blocks = (
        Node(first, "conv\n3x3", (3, 8, 8), 3, 9, None, second, third, first, (first, second)),
        Node(second, "relu", (3, 8, 8), 0, 0, None, second, second, "", (second,)),
        Node(third, "add", (3, 8, 8), 0, 0, MergeKind.ADD, second, third, third, (third,), 2),
    )
    flow = ((first, second, 0), (first, third, 0), (second, third, 1))
    return ModelGraph(
        blocks, flow, (SkipConnection(MergeKind.ADD, first, third, 0, 'a "b" \\'),), "recorder"
    )


NASTY = (
    "\\",
    '"',
    "\n",
    "\0",
    "a&amp;b",
    "->",
    "strict",
    "\\N",
    "é→𝛼",
    "<b>&",
    "]]>",
    "</svg>",
    "\\x00",
    "\ud800",
    " ",
    "",
)
names = some.lists(
    some.sampled_from(NASTY) | some.text(max_size=9), min_size=3, max_size=3, unique=True
).map(tuple)


@pytest.mark.parametrize("name", MODELS)
def test_networkx_reads_graphml(name: str, tmp_path: Path) -> None:
    graph = folded(name)
    (tmp_path / "model.graphml").write_text(to_graphml(graph), encoding="utf-8")
    read: Any = networkx.read_graphml(tmp_path / "model.graphml", force_multigraph=True)
    assert read.is_directed()
    assert list(read.nodes) == [block.name for block in graph.nodes]
    for block in graph.nodes:
        node = read.nodes[block.name]
        assert (node["op"], node["parameters"], node["macs"], node["repeat_count"]) == (
            block.op,
            block.parameters,
            block.macs,
            block.repeat_count,
        )
        assert tuple(map(int, node["shape"].split())) == block.shape
        assert tuple(node["members"].split()) == block.members
        assert node.get("kind") == block.kind
    edges = [(source, target, data["operand"]) for source, target, data in read.edges(data=True)]
    assert sorted(edges) == sorted(graph.edges)
    found = Counter(
        (data["skip"], data["source_of_skip"], target, data["operand"], data.get("projection"))
        for _, target, data in read.edges(data=True)
        if "skip" in data
    )
    assert found == Counter(
        (s.kind, s.source, s.merge, s.operand, s.projection) for s in graph.skips
    )
    assert (read.graph["parameters"], read.graph["macs"]) == (graph.parameters, graph.macs)
    assert read.graph["traced_by"] == graph.traced_by


@given(names)
def test_graphml_of_any_names(names: tuple[str, str, str]) -> None:
    read: Any = networkx.parse_graphml(to_graphml(odd(names)))
    assert list(read.nodes) == [escape_control_chars(name) for name in names]
    assert read.number_of_edges() == 3


WORD = r'"(?:[^"\\]|\\.)*"'
LOOK = rf"[a-z]+=(?:{WORD}|[\w.]+)"
LOOKS = rf"\[{LOOK}(?:, {LOOK})*\]"
STATEMENTS = {  # https://graphviz.org/doc/info/lang.html: what of it is written here
    "open": rf"digraph {WORD} {{",
    "defaults": rf"(?:node|edge) {LOOKS};",
    "node": rf"({WORD}) {LOOKS};",
    "edge": rf"({WORD}) -> ({WORD})(?: ({LOOKS}))?;",
    "cluster": r"subgraph cluster_\d+ {",
    "words": rf"{LOOK};(?: {LOOK};)*",
    "close": "}",
}


def statements(text: str) -> list[tuple[str, re.Match[str]]]:
    """Each line of a DOT file as the statement that it is; one that is none fails."""
    found: list[tuple[str, re.Match[str]]] = []
    for line in text.splitlines():
        kind = next((k for k, rule in STATEMENTS.items() if re.fullmatch(rule, line.strip())), None)
        assert kind, line
        match = re.fullmatch(STATEMENTS[kind], line.strip())
        assert match
        found.append((kind, match))
    return found


@pytest.mark.parametrize("name", MODELS)
def test_dot_contains_all_nodes_edges_and_skips(name: str) -> None:
    graph, found = folded(name), statements(to_dot(folded(name), name))
    assert Counter(match[1] for kind, match in found if kind == "node") == Counter(
        f'"{b.name}"' for b in graph.nodes
    )
    edges = Counter((match[1], match[2]) for kind, match in found if kind == "edge")
    assert edges == Counter((f'"{source}"', f'"{target}"') for source, target, _ in graph.edges)
    assert sum(kind == "edge" and match[3] is not None for kind, match in found) == len(graph.skips)
    opened = [kind for kind, _ in found if kind in ("open", "cluster")]
    assert len(opened) == sum(kind == "close" for kind, _ in found)


@given(names)
def test_dot_of_any_names(names: tuple[str, str, str]) -> None:
    found = statements(to_dot(odd(names), names[0]))
    nodes = [match[1] for kind, match in found if kind == "node"]
    assert len(set(nodes)) == 3
    assert {match[side] for kind, match in found if kind == "edge" for side in (1, 2)} == set(nodes)
    assert sum(kind == "edge" for kind, _ in found) == 3


@pytest.mark.parametrize("name", MODELS)
def test_json_round_trip(name: str) -> None:
    graph = folded(name)
    document = json.loads(to_json(graph))
    assert (document["format"], document["version"]) == ("lightning_resnets graph", 1)
    assert (document["parameters"], document["macs"]) == (graph.parameters, graph.macs)
    assert from_json(to_json(graph), ModelGraph) == graph
    assert str(from_json(to_json(graph, indent=None), ModelGraph)) == str(graph)


@given(names)
def test_json_of_any_names(names: tuple[str, str, str]) -> None:
    assert from_json(to_json(odd(names)), ModelGraph) == odd(names)


def changed(**changes: Any) -> str:
    return json.dumps({**json.loads(to_json(odd(("a", "b", "c")))), **changes})


def first(name: str, value: object) -> str:
    document = json.loads(to_json(odd(("a", "b", "c"))))
    return changed(nodes=[{**document["nodes"][0], name: value}, *document["nodes"][1:]])


WRONG = {
    "{": "Invalid JSON: ",
    "[" * 100_000: "Invalid JSON: ",
    "[]": '"format" must be "lightning_resnets graph"',
    changed(version=2): '"version" must be 1, got 2',
    changed(skips=None): '"skips" must be a list',
    changed(nodes=["a"]): 'A node must be an object, got "a"',
    changed(nodes=[{"name": "a"}]): 'A node has no "op"',
    first("shape", [3, -1]): r'has an invalid "shape": \[3, -1\]',
    first("parameters", True): 'has an invalid "parameters": true',
    first("kind", "sum"): 'has an invalid "kind": "sum"',
    first("run", "me"): 'A node has an unknown key, "run"',
    first("name", "b"): "Two nodes have the same name",
    changed(edges=[["a", "b"]]): "An edge must be .source, target, operand., got",
    changed(edges=[["a", "z", 0]]): "unknown node, 'z'",
    changed(edges=[["b", "a", 0]]): "'a' comes before its input 'b'",
    changed(hidden_skips=["a"]): 'A skip must be an object, got "a"',
    changed(hidden_skips=None): '"hidden_skips" must be a list',
    changed(non_skip_merges=-1): '"non_skip_merges" must be an integer of 0 or more',
    first("is_module", 1): 'has an invalid "is_module": 1',
    changed(merges_inserted="by me"): '"merges_inserted" must be one of .*, got "by me"',
    changed(traced_by="magic"): '"traced_by" must be one of .*, got "magic"',
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: WRONG[text])
def test_invalid_documents_raise(text: str) -> None:
    with pytest.raises(GraphError, match=WRONG[text]) as caught:
        from_json(text, ModelGraph)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", MODELS)
def test_hidden_skips_survive_json(name: str) -> None:
    graph = folded(name).fold("stage")
    assert from_json(to_json(graph), ModelGraph) == graph
    assert graph.hidden_skips or graph.non_skip_merges
    older = {
        key: value
        for key, value in json.loads(to_json(folded(name))).items()
        if key not in OPTIONAL_KEYS
    }
    older["nodes"] = [
        {key: value for key, value in block.items() if key != "is_module"}
        for block in older["nodes"]
    ]
    read = from_json(json.dumps(older), ModelGraph)  # as written before there was such a thing
    assert (read.skips, read.edges, read.macs) == (
        folded(name).skips,
        folded(name).edges,
        folded(name).macs,
    )


def test_inserted_merges_are_noted() -> None:
    graph = replace(folded("resnet20"), merges_inserted="by insert_merges")
    assert from_json(to_json(graph), ModelGraph) == graph
    assert networkx.parse_graphml(to_graphml(graph)).graph["merges_inserted"] == "by insert_merges"


@pytest.mark.parametrize("ending", [".json", ".graphml", ".dot", ".svg", ".txt", ".JSON"])
def test_suffix_selects_the_format(ending: str, tmp_path: Path) -> None:
    graph, path = folded("resnet20"), tmp_path / f"model{ending}"
    path.write_text("what was there")
    graph.save(str(path))
    text = path.read_text(encoding="utf-8")
    expected = {
        ".json": to_json(graph),
        ".graphml": to_graphml(graph),
        ".dot": to_dot(graph, "model"),
        ".svg": to_svg(graph, "model"),
        ".txt": f"{graph}\n",
    }
    assert text == expected[ending.lower()]


@pytest.mark.parametrize("name", ["model.png", "model", "json"])
def test_unknown_suffixes_raise(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        GraphError,
        match=r"^Cannot write a graph to '.*': the name must end in \.json, .*, \.svg or \.txt\.$",
    ):
        folded("resnet20").save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_notebook_drawing_is_folded_if_large() -> None:
    small = folded("resnet20")
    assert small._repr_svg_() == to_svg(small)
    with skip_init():
        large = trace(create_model("resnet152", 10), (3, 64, 64))
    assert large._repr_svg_() == to_svg(large.fold(collapse_repeats=True))
    assert ElementTree.fromstring(large._repr_svg_()).tag.endswith("svg")
    assert len(large._repr_svg_()) < 100_000


anything = some.recursive(
    some.none()
    | some.booleans()
    | some.integers(-2, 4)
    | some.sampled_from(("a", "b", "add", "torch.fx")),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from(("name", "kind")), inner)
    ),
)


@given(
    anything,
    some.sampled_from(
        (
            "nodes",
            "edges",
            "skips",
            "traced_by",
            "merges_inserted",
            "hidden_skips",
            "non_skip_merges",
            "version",
        )
    ),
)
def test_any_document_is_read_or_raises_graph_error(value: object, name: str) -> None:
    try:
        assert isinstance(from_json(changed(**{name: value}), ModelGraph), ModelGraph)
    except GraphError as error:
        assert str(error).endswith(".")  # noqa: PT017
