"""The engine against the lens itself, on nets with random weights; and the sentences for what cannot be opened."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gui.engine import Engine, Recent, maps, parts, shelf
from gui.state import Diagram, Edit, Gates, Link, Maps, Node, Part, Parts, Picture, Residual, Sight, Wish
from lightning_resnets.checkpoint import Card, CheckpointError
from lightning_resnets.lens import Lens
from lightning_resnets.surgery import Scale
from lightning_resnets.zoo import build

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


def save(folder: Path, arch: str) -> str:
    """A checkpoint with random weights whose batch norms do something."""
    torch.manual_seed(0)
    net = build(arch)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    card = Card(arch=arch, classes=CLASSES, size=(3, 32, 32), mean=(0.5,) * 3, std=(0.25,) * 3, data="cifar10")
    path = folder / f"{arch}.ckpt"
    weights = {f"net.{name}": value for name, value in net.state_dict().items()}
    torch.save({"state_dict": weights, "card": card.to_dict()}, path)
    return str(path)


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("nets")
    return {arch: save(folder, arch) for arch in ("resnet20", "seresnet20", "densenet_bc_40_12")}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def wish(net: str, selected: str | None = None, *edits: Edit) -> Wish:
    return Wish(net=net, picture=PICTURE, selected=selected, edits=edits)


PICTURE = Picture("noise", pixels=PIXELS)


def test_probabilities_are_the_lens_own(engine: Engine, nets: dict[str, str]) -> None:
    cut = Edit("scale", "layer2.1.add", 0, 0.0)
    sight = engine.see(wish(nets["resnet20"], None, cut))
    lens = Lens.open(nets["resnet20"])
    assert sight.probabilities is not None
    assert sight.before is not None
    np.testing.assert_allclose(sight.before, lens.look(PIXELS).probabilities, atol=1e-6)
    expected = lens.look(PIXELS, ops=[Scale("layer2.1.add", 0, 0.0)]).probabilities
    np.testing.assert_allclose(sight.probabilities, expected, atol=1e-6)
    assert not np.allclose(sight.before, sight.probabilities)


def test_diagram_of_resnet20(engine: Engine, nets: dict[str, str]) -> None:
    net = engine.see(wish(nets["resnet20"])).net
    assert net is not None
    diagram = net.diagram
    assert sum(node.parameters for node in diagram.nodes) == 269_722
    assert [node.kind for node in diagram.nodes].count("add") == 9
    assert [skip.projected for skip in diagram.skips].count(None) == 7
    assert diagram.nodes[0].kind == "input"
    assert diagram.nodes[-1].kind == "output"
    assert ("parameters", "269,722") in net.facts
    assert net.warning == "its card names no accuracy"


def test_a_file_without_a_card_says_whose_names_it_has(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "bare.pth"
    torch.save({f"module.{name}": value for name, value in build("resnet20", shortcut="B").state_dict().items()}, path)
    net = engine.see(wish(str(path))).net
    assert net is not None
    assert (net.arch, net.facts[0]) == ("resnet20", ("data", "CIFAR-10"))
    assert net.facts[-1][0] == "names"
    assert "chenyaofo" in net.facts[-1][1]


def test_an_addition_adds_up(engine: Engine, nets: dict[str, str]) -> None:
    detail = engine.see(wish(nets["resnet20"], "layer2.0.add")).detail
    assert isinstance(detail, Residual)
    np.testing.assert_allclose(detail.shortcut + detail.branch, detail.total, atol=1e-5)
    assert detail.total.shape == (32, 16, 16)


def test_a_cut_shortcut_is_zero_where_it_is_shown(engine: Engine, nets: dict[str, str]) -> None:
    detail = engine.see(wish(nets["resnet20"], "layer2.0.add", Edit("scale", "layer2.0.add", 0, 0.0))).detail
    assert isinstance(detail, Residual)
    assert not detail.shortcut.any()
    assert detail.branch.any()


@pytest.mark.parametrize(
    ("shape", "expected"), [((5,), (5, 1, 1)), ((5, 7), (5, 1, 7)), ((3, 4, 6), (3, 4, 6)), ((2, 3, 4, 6), (6, 4, 6))]
)
def test_whatever_a_block_gives_is_shown_as_maps(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    values = np.arange(math.prod(shape)).reshape(shape)
    assert maps(values).shape == expected
    assert (maps(values).ravel() == values.ravel()).all()


def test_a_gate_weighs(engine: Engine, nets: dict[str, str]) -> None:
    name = "layer1.0.se.gate"
    detail = engine.see(wish(nets["seresnet20"], name)).detail
    assert isinstance(detail, Gates)
    np.testing.assert_allclose(detail.before * detail.weight[:, None, None], detail.after, atol=1e-6)
    held = engine.see(wish(nets["seresnet20"], name, Edit("hold", name, 1, 1.0))).detail
    assert isinstance(held, Gates)
    assert (held.weight == 1).all()
    np.testing.assert_array_equal(held.before, held.after)


def test_a_concatenation_names_its_parts(engine: Engine, nets: dict[str, str]) -> None:
    detail = engine.see(wish(nets["densenet_bc_40_12"], "features.denseblock1.denselayer3.concat")).detail
    assert isinstance(detail, Parts)
    block = "features.denseblock1.denselayer"
    assert detail.parts == (
        Part("features.conv0", 0, 24, 0, 7),
        Part(f"{block}1", 24, 36, 1, 7),
        Part(f"{block}2", 36, 48, 2, 7),
    )
    assert detail.values.shape == (48, 32, 32)


@pytest.mark.parametrize(("name", "shape"), [("layer3.1", (64, 8, 8)), ("fc", (10, 1, 1)), ("input", (3, 32, 32))])
def test_every_block_has_maps(engine: Engine, nets: dict[str, str], name: str, shape: tuple[int, ...]) -> None:
    detail = engine.see(wish(nets["resnet20"], name)).detail
    assert isinstance(detail, Maps)
    assert detail.values.shape == shape


def test_all_nodes_of_all_nets_can_be_selected(engine: Engine, nets: dict[str, str]) -> None:
    for path in nets.values():
        net = engine.see(wish(path)).net
        assert net is not None
        for node in net.diagram.nodes:
            assert engine.see(wish(path, node.name)).detail is not None, node.name


def test_a_change_spreads_downstream_only(engine: Engine, nets: dict[str, str]) -> None:
    sight = engine.see(wish(nets["resnet20"], None, Edit("scale", "layer2.0.add", 0, 0.0)))
    assert sight.changes["layer1.2.add"] == 0
    assert sight.changes["layer2.0"] == 0
    assert sight.changes["layer2.0.add"] > 0.1
    assert sight.changes["fc"] > 0.01
    assert engine.see(wish(nets["resnet20"])).changes == {}


def test_edits_of_another_net_do_no_harm(engine: Engine, nets: dict[str, str]) -> None:
    sight = engine.see(wish(nets["resnet20"], "nowhere", Edit("scale", "no.such", 0, 0.0)))
    assert sight.edits == ()
    assert sight.detail is None


def test_selecting_looks_only_once(engine: Engine, nets: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    engine.see(wish(nets["resnet20"], "conv1"))

    def look(*_: object) -> None:
        raise AssertionError("the net ran again")

    monkeypatch.setattr(Lens, "look", look)
    assert engine.see(wish(nets["resnet20"], "layer1.0")).detail is not None


def test_without_a_picture_there_is_the_graph(engine: Engine, nets: dict[str, str]) -> None:
    sight = engine.see(Wish(net=nets["resnet20"]))
    assert sight.net is not None
    assert sight.probabilities is None
    assert engine.answer("see", Wish()) is not None


@pytest.mark.parametrize("name", ["gone.ckpt", "text.ckpt", "cut.ckpt", "empty.ckpt"])
def test_what_cannot_be_opened_gets_a_sentence(tmp_path: Path, engine: Engine, nets: dict[str, str], name: str) -> None:
    (tmp_path / "text.ckpt").write_text("hello")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    (tmp_path / "cut.ckpt").write_bytes(Path(nets["resnet20"]).read_bytes()[:5000])
    with pytest.raises(CheckpointError) as caught:
        engine.see(wish(str(tmp_path / name)))
    sentence = str(caught.value)
    assert len(sentence.split()) > 5
    assert sentence.endswith((".", ")"))
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    assert "weights_only" not in sentence


def test_a_picture_that_is_none_gets_a_sentence_and_the_net(
    tmp_path: Path, engine: Engine, nets: dict[str, str]
) -> None:
    path = tmp_path / "no.png"
    path.write_text("not a picture")
    for picture in (Picture("no", path=str(path)), Picture("none", pixels=np.zeros((0, 4), np.uint8))):
        sight = engine.see(Wish(net=nets["resnet20"], picture=picture))
        assert sight.net is not None
        assert (sight.picture, sight.seen, sight.probabilities) == (None, None, None)
        assert sight.refused.endswith(".")
    assert "no.png" in engine.see(Wish(net=nets["resnet20"], picture=Picture("no", path=str(path)))).refused
    assert engine.see(wish(nets["resnet20"])).refused == ""


def test_a_picture_file_is_read(tmp_path: Path, engine: Engine, nets: dict[str, str]) -> None:
    from PIL import Image

    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    from_file = engine.see(Wish(net=nets["resnet20"], picture=Picture("a", path=str(path))))
    assert from_file.seen is not None
    np.testing.assert_array_equal(from_file.seen, PIXELS)
    Image.fromarray(np.tile(PIXELS, (2, 2, 1))).save(path)
    larger = engine.see(Wish(net=nets["resnet20"], picture=Picture("a", path=str(path))))
    assert larger.seen is not None
    assert larger.seen.shape == (32, 32, 3)
    Image.fromarray(PIXELS).save(path)
    from_bytes = engine.see(Wish(net=nets["resnet20"], picture=Picture("a", data=path.read_bytes())))
    np.testing.assert_array_equal(from_bytes.probabilities, from_file.probabilities)  # type: ignore[arg-type]


def test_shelf_has_pictures_of_every_class() -> None:
    found = shelf()
    assert [picture.label for picture in found.samples[:10]] == list(CLASSES)
    assert all(picture.pixels is not None and picture.pixels.shape == (32, 32, 3) for picture in found.samples)
    assert bool(found.note) == (not found.nets)


def test_parts_of_a_lone_concatenation() -> None:
    def node(name: str, kind: str) -> Node:
        return Node(name, name, kind, "", (2,), 0, 0, name)  # type: ignore[arg-type]

    shown = Diagram(
        (node("a", "block"), node("b", "block"), node("c", "concat")), (Link("a", "c", 0), Link("b", "c", 1))
    )
    assert parts(shown, "c", [2, 3]) == (Part("a", 0, 2, 0, 2), Part("b", 2, 5, 1, 2))


def test_recent_forgets_the_one_not_asked_for_longest() -> None:
    made: list[str] = []
    recent = Recent[str, str](2)
    for key in ("a", "b", "a", "c", "a", "b"):
        recent.get(key, lambda key=key: made.append(key) or key)
    assert made == ["a", "b", "c", "b"]


def test_sights_hold_no_tensors(engine: Engine, nets: dict[str, str]) -> None:
    sight = engine.see(wish(nets["resnet20"], "layer1.0.add"))
    arrays = [sight.seen, sight.probabilities, sight.before]
    assert all(isinstance(array, np.ndarray) for array in arrays)
    assert isinstance(replace(sight), Sight)
