"""The engine against the lens itself, on models with random weights; and the sentences for what
cannot be opened.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gui.engine import Engine, LRUCache, as_maps, concat_parts, load_catalog
from gui.graph import Edge, Edit, Graph, Node
from gui.state import (
    AddDetail,
    ConcatDetail,
    ConcatPart,
    FeatureMaps,
    GateDetail,
    ImageInput,
    Request,
    Result,
)
from lightning_resnets.checkpoint import CheckpointError, ModelCard
from lightning_resnets.interactive.model import InteractiveModel
from lightning_resnets.interventions import ScaleInput
from lightning_resnets.models.registry import create_model

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


def save(folder: Path, arch: str) -> str:
    """A checkpoint with random weights whose batch norms do something."""
    torch.manual_seed(0)
    model = create_model(arch)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    card = ModelCard(
        arch=arch,
        class_names=CLASSES,
        input_size=(3, 32, 32),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        dataset="cifar10",
    )
    path = folder / f"{arch}.ckpt"
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": weights, "card": card.to_dict()}, path)
    return str(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    return {arch: save(folder, arch) for arch in ("resnet20", "seresnet20", "densenet_bc_40_12")}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def make_request(model: str, selected: str | None = None, *edits: Edit) -> Request:
    return Request(checkpoint=model, image=IMAGE, selected=selected, edits=edits)


IMAGE = ImageInput("noise", pixels=PIXELS)


def test_probabilities_are_the_lens_own(engine: Engine, models: dict[str, str]) -> None:
    cut = Edit("scale", "layer2.1.add", 0, 0.0)
    result = engine.run(make_request(models["resnet20"], None, cut))
    interactive = InteractiveModel.open(models["resnet20"])
    assert result.probabilities is not None
    assert result.probabilities_without_edits is not None
    np.testing.assert_allclose(
        result.probabilities_without_edits, interactive.run(PIXELS).probabilities, atol=1e-6
    )
    expected = interactive.run(
        PIXELS, interventions=[ScaleInput("layer2.1.add", 0, 0.0)]
    ).probabilities
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-6)
    assert not np.allclose(result.probabilities_without_edits, result.probabilities)


def test_diagram_of_resnet20(engine: Engine, models: dict[str, str]) -> None:
    model = engine.run(make_request(models["resnet20"])).model
    assert model is not None
    diagram = model.diagram
    assert sum(node.parameters for node in diagram.nodes) == 269_722
    assert [node.kind for node in diagram.nodes].count("add") == 9
    assert [skip.projection for skip in diagram.skips].count(None) == 7
    assert diagram.nodes[0].kind == "input"
    assert diagram.nodes[-1].kind == "output"
    assert ("parameters", "269,722") in model.facts
    assert model.warning == "accuracy unknown"


def test_a_file_without_a_card_says_whose_names_it_has(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "bare.pth"
    torch.save(
        {
            f"module.{name}": value
            for name, value in create_model("resnet20", shortcut_type="B").state_dict().items()
        },
        path,
    )
    model = engine.run(make_request(str(path))).model
    assert model is not None
    assert (model.arch, model.facts[0]) == ("resnet20", ("data", "CIFAR-10"))
    assert model.facts[-1][0] == "names"
    assert "chenyaofo" in model.facts[-1][1]


def test_an_addition_adds_up(engine: Engine, models: dict[str, str]) -> None:
    detail = engine.run(make_request(models["resnet20"], "layer2.0.add")).detail
    assert isinstance(detail, AddDetail)
    np.testing.assert_allclose(detail.shortcut + detail.branch, detail.total, atol=1e-5)
    assert detail.total.shape == (32, 16, 16)


def test_a_cut_shortcut_is_zero_where_it_is_shown(engine: Engine, models: dict[str, str]) -> None:
    detail = engine.run(
        make_request(models["resnet20"], "layer2.0.add", Edit("scale", "layer2.0.add", 0, 0.0))
    ).detail
    assert isinstance(detail, AddDetail)
    assert not detail.shortcut.any()
    assert detail.branch.any()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((5,), (5, 1, 1)), ((5, 7), (5, 1, 7)), ((3, 4, 6), (3, 4, 6)), ((2, 3, 4, 6), (6, 4, 6))],
)
def test_whatever_a_block_gives_is_shown_as_maps(
    shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    values = np.arange(math.prod(shape)).reshape(shape)
    assert as_maps(values).shape == expected
    assert (as_maps(values).ravel() == values.ravel()).all()


def test_a_gate_weighs(engine: Engine, models: dict[str, str]) -> None:
    name = "layer1.0.se.gate"
    detail = engine.run(make_request(models["seresnet20"], name)).detail
    assert isinstance(detail, GateDetail)
    np.testing.assert_allclose(
        detail.before * detail.weight[:, None, None], detail.after, atol=1e-6
    )
    held = engine.run(make_request(models["seresnet20"], name, Edit("hold", name, 1, 1.0))).detail
    assert isinstance(held, GateDetail)
    assert (held.weight == 1).all()
    np.testing.assert_array_equal(held.before, held.after)


def test_a_concatenation_names_its_parts(engine: Engine, models: dict[str, str]) -> None:
    detail = engine.run(
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
    engine: Engine, models: dict[str, str], name: str, shape: tuple[int, ...]
) -> None:
    detail = engine.run(make_request(models["resnet20"], name)).detail
    assert isinstance(detail, FeatureMaps)
    assert detail.values.shape == shape


def test_all_nodes_of_all_nets_can_be_selected(engine: Engine, models: dict[str, str]) -> None:
    for path in models.values():
        model = engine.run(make_request(path)).model
        assert model is not None
        for node in model.diagram.nodes:
            assert engine.run(make_request(path, node.name)).detail is not None, node.name


def test_a_change_spreads_downstream_only(engine: Engine, models: dict[str, str]) -> None:
    result = engine.run(
        make_request(models["resnet20"], None, Edit("scale", "layer2.0.add", 0, 0.0))
    )
    assert result.changes["layer1.2.add"] == 0
    assert result.changes["layer2.0"] == 0
    assert result.changes["layer2.0.add"] > 0.1
    assert result.changes["fc"] > 0.01
    assert engine.run(make_request(models["resnet20"])).changes == {}


def test_edits_of_another_net_do_no_harm(engine: Engine, models: dict[str, str]) -> None:
    result = engine.run(
        make_request(models["resnet20"], "nowhere", Edit("scale", "no.such", 0, 0.0))
    )
    assert result.edits == ()
    assert result.detail is None


def test_selecting_looks_only_once(
    engine: Engine, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.run(make_request(models["resnet20"], "conv1"))

    def look(*_: object) -> None:
        raise AssertionError("the model ran again")

    monkeypatch.setattr(InteractiveModel, "run", look)
    assert engine.run(make_request(models["resnet20"], "layer1.0")).detail is not None


def test_without_a_picture_there_is_the_graph(engine: Engine, models: dict[str, str]) -> None:
    result = engine.run(Request(checkpoint=models["resnet20"]))
    assert result.model is not None
    assert result.probabilities is None
    assert engine.handle("run", Request()) is not None


@pytest.mark.parametrize("name", ["gone.ckpt", "text.ckpt", "cut.ckpt", "empty.ckpt"])
def test_what_cannot_be_opened_gets_a_sentence(
    tmp_path: Path, engine: Engine, models: dict[str, str], name: str
) -> None:
    (tmp_path / "text.ckpt").write_text("hello")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    (tmp_path / "cut.ckpt").write_bytes(Path(models["resnet20"]).read_bytes()[:5000])
    with pytest.raises(CheckpointError) as caught:
        engine.run(make_request(str(tmp_path / name)))
    sentence = str(caught.value)
    assert len(sentence.split()) > 5
    assert sentence.endswith((".", ")"))
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    assert "weights_only" not in sentence


def test_a_picture_that_is_none_gets_a_sentence_and_the_net(
    tmp_path: Path, engine: Engine, models: dict[str, str]
) -> None:
    path = tmp_path / "no.png"
    path.write_text("not an image")
    for image in (
        ImageInput("no", path=str(path)),
        ImageInput("none", pixels=np.zeros((0, 4), np.uint8)),
    ):
        result = engine.run(Request(checkpoint=models["resnet20"], image=image))
        assert result.model is not None
        assert (result.image, result.input_pixels, result.probabilities) == (None, None, None)
        assert result.image_error.endswith(".")
    assert (
        "no.png"
        in engine.run(
            Request(checkpoint=models["resnet20"], image=ImageInput("no", path=str(path)))
        ).image_error
    )
    assert engine.run(make_request(models["resnet20"])).image_error == ""


def test_a_picture_file_is_read(tmp_path: Path, engine: Engine, models: dict[str, str]) -> None:
    from PIL import Image

    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    from_file = engine.run(
        Request(checkpoint=models["resnet20"], image=ImageInput("a", path=str(path)))
    )
    assert from_file.input_pixels is not None
    np.testing.assert_array_equal(from_file.input_pixels, PIXELS)
    Image.fromarray(np.tile(PIXELS, (2, 2, 1))).save(path)
    larger = engine.run(
        Request(checkpoint=models["resnet20"], image=ImageInput("a", path=str(path)))
    )
    assert larger.input_pixels is not None
    assert larger.input_pixels.shape == (32, 32, 3)
    Image.fromarray(PIXELS).save(path)
    from_bytes = engine.run(
        Request(checkpoint=models["resnet20"], image=ImageInput("a", encoded=path.read_bytes()))
    )
    np.testing.assert_array_equal(from_bytes.probabilities, from_file.probabilities)  # type: ignore[arg-type]


def test_shelf_has_pictures_of_every_class() -> None:
    found = load_catalog()
    assert [image.label for image in found.samples[:10]] == list(CLASSES)
    assert all(
        image.pixels is not None and image.pixels.shape == (32, 32, 3) for image in found.samples
    )
    assert bool(found.note) == (not found.models)


def test_parts_of_a_lone_concatenation() -> None:
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


def test_recent_forgets_the_one_not_asked_for_longest() -> None:
    made: list[str] = []
    recent = LRUCache[str, str](2)
    for key in ("a", "b", "a", "c", "a", "b"):
        recent.get(key, lambda key=key: made.append(key) or key)
    assert made == ["a", "b", "c", "b"]


def test_sights_hold_no_tensors(engine: Engine, models: dict[str, str]) -> None:
    result = engine.run(make_request(models["resnet20"], "layer1.0.add"))
    arrays = [result.input_pixels, result.probabilities, result.probabilities_without_edits]
    assert all(isinstance(array, np.ndarray) for array in arrays)
    assert isinstance(replace(result), Result)
