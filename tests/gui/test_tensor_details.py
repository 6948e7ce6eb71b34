"""Tensors of a node as the inspector shows them, against the model itself."""

import math

import numpy as np
import pytest

from gui.details import AddDetail, ConcatDetail, ConcatPart, FeatureMaps, GateDetail
from gui.engine import Engine
from gui.engine.tensor_details import concat_parts
from gui.graph import Edge, Edit, Graph, Node
from gui.tensor_layout import to_maps
from tests.helpers.engine import make_request


def test_an_addition_adds_up(real_engine: Engine, models: dict[str, str]) -> None:
    detail = real_engine.run(make_request(models["resnet20"], "layer2.0.add")).detail
    assert isinstance(detail, AddDetail)
    np.testing.assert_allclose(detail.shortcut + detail.branch, detail.total, atol=1e-5)
    assert detail.total.shape == (32, 16, 16)


def test_a_cut_shortcut_is_shown_as_zero(real_engine: Engine, models: dict[str, str]) -> None:
    detail = real_engine.run(
        make_request(models["resnet20"], "layer2.0.add", Edit("scale", "layer2.0.add", 0, 0.0))
    ).detail
    assert isinstance(detail, AddDetail)
    assert not detail.shortcut.any()
    assert detail.branch.any()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((5,), (5, 1, 1)), ((5, 7), (5, 1, 7)), ((3, 4, 6), (3, 4, 6)), ((2, 3, 4, 6), (6, 4, 6))],
)
def test_outputs_of_any_shape_become_maps(
    shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    values = np.arange(math.prod(shape)).reshape(shape)
    maps = to_maps(values, (4, 6)).values
    assert maps.shape == expected
    assert (maps.ravel() == values.ravel()).all()


def test_a_gate_scales_channels(real_engine: Engine, models: dict[str, str]) -> None:
    name = "layer1.0.se.gate"
    detail = real_engine.run(make_request(models["seresnet20"], name)).detail
    assert isinstance(detail, GateDetail)
    np.testing.assert_allclose(
        detail.before * detail.weight[:, None, None], detail.after, atol=1e-6
    )
    held = real_engine.run(
        make_request(models["seresnet20"], name, Edit("hold", name, 1, 1.0))
    ).detail
    assert isinstance(held, GateDetail)
    assert (held.weight == 1).all()
    np.testing.assert_array_equal(held.before, held.after)


def test_a_concatenation_lists_its_sources(real_engine: Engine, models: dict[str, str]) -> None:
    detail = real_engine.run(
        make_request(models["densenet_bc_40_12"], "features.denseblock1.denselayer3.concat")
    ).detail
    assert isinstance(detail, ConcatDetail)
    block = "features.denseblock1.denselayer"
    assert detail.parts == (
        ConcatPart("features.conv0", 0, 24, 0, 7),
        ConcatPart(f"{block}1", 24, 36, 1, 7),
        ConcatPart(f"{block}2", 36, 48, 2, 7),
    )
    assert detail.values.shape == (48, 32, 32)


@pytest.mark.parametrize(
    ("name", "shape"), [("layer3.1", (64, 8, 8)), ("fc", (10, 1, 1)), ("input", (3, 32, 32))]
)
def test_every_block_has_maps(
    real_engine: Engine, models: dict[str, str], name: str, shape: tuple[int, ...]
) -> None:
    detail = real_engine.run(make_request(models["resnet20"], name)).detail
    assert isinstance(detail, FeatureMaps)
    assert detail.values.shape == shape


def test_parts_of_a_single_concatenation() -> None:
    def node(name: str, kind: str) -> Node:
        return Node(name, name, kind, "", (2,), 0, 0, name)  # type: ignore[arg-type]

    shown = Graph(
        (node("a", "block"), node("b", "block"), node("c", "concat")),
        (Edge("a", "c", 0), Edge("b", "c", 1)),
    )
    assert concat_parts(shown, "c", [2, 3]) == (
        ConcatPart("a", 0, 2, 0, 2),
        ConcatPart("b", 2, 5, 1, 2),
    )
