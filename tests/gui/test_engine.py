"""The engine against the lens itself, on models with random weights; and the sentences for what
cannot be opened.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gui.engine.engine import Engine, LRUCache
from gui.graph import Edit
from gui.state import ImageInput, Request, Result
from lightning_resnets.checkpoint import CheckpointError
from lightning_resnets.interactive.model import InteractiveModel
from lightning_resnets.interventions import ScaleInput
from lightning_resnets.models.registry import create_model
from tests.helpers.engine import PIXELS, make_request


def test_probabilities_equal_those_of_the_interactive_model(
    real_engine: Engine, models: dict[str, str]
) -> None:
    cut = Edit("scale", "layer2.1.add", 0, 0.0)
    result = real_engine.run(make_request(models["resnet20"], None, cut))
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


def test_diagram_of_resnet20(real_engine: Engine, models: dict[str, str]) -> None:
    model = real_engine.run(make_request(models["resnet20"])).model
    assert model is not None
    diagram = model.diagram
    assert sum(node.parameters for node in diagram.nodes) == 269_722
    assert [node.kind for node in diagram.nodes].count("add") == 9
    assert [skip.projection for skip in diagram.skips].count(None) == 7
    assert diagram.nodes[0].kind == "input"
    assert diagram.nodes[-1].kind == "output"
    assert ("parameters", "269,722") in model.facts
    assert model.warning == "accuracy unknown"


def test_a_file_without_a_card_shows_its_naming_scheme(real_engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "bare.pth"
    torch.save(
        {
            f"module.{name}": value
            for name, value in create_model("resnet20", shortcut_type="B").state_dict().items()
        },
        path,
    )
    model = real_engine.run(make_request(str(path))).model
    assert model is not None
    assert model.arch == "resnet20"
    assert model.facts[-1][0] == "names"
    assert "chenyaofo" in model.facts[-1][1]


def test_all_nodes_of_all_models_can_be_selected(
    real_engine: Engine, models: dict[str, str]
) -> None:
    for path in models.values():
        model = real_engine.run(make_request(path)).model
        assert model is not None
        for node in model.diagram.nodes:
            assert real_engine.run(make_request(path, node.name)).detail is not None, node.name


def test_a_change_spreads_downstream_only(real_engine: Engine, models: dict[str, str]) -> None:
    result = real_engine.run(
        make_request(models["resnet20"], None, Edit("scale", "layer2.0.add", 0, 0.0))
    )
    assert result.changes["layer1.2.add"] == 0
    assert result.changes["layer2.0"] == 0
    assert result.changes["layer2.0.add"] > 0.1
    assert result.changes["fc"] > 0.01
    assert real_engine.run(make_request(models["resnet20"])).changes == {}


def test_edits_of_another_model_are_ignored(real_engine: Engine, models: dict[str, str]) -> None:
    result = real_engine.run(
        make_request(models["resnet20"], "nowhere", Edit("scale", "no.such", 0, 0.0))
    )
    assert result.edits == ()
    assert result.detail is None


def test_selecting_a_node_does_not_run_the_model_again(
    real_engine: Engine, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real_engine.run(make_request(models["resnet20"], "conv1"))

    def look(*_: object) -> None:
        raise AssertionError("the model ran again")

    monkeypatch.setattr(InteractiveModel, "run", look)
    assert real_engine.run(make_request(models["resnet20"], "layer1.0")).detail is not None


def test_without_an_image_the_result_has_the_graph(
    real_engine: Engine, models: dict[str, str]
) -> None:
    result = real_engine.run(Request(checkpoint=models["resnet20"]))
    assert result.model is not None
    assert result.probabilities is None
    assert real_engine.handle("run", Request()) is not None


@pytest.mark.parametrize("name", ["gone.ckpt", "text.ckpt", "cut.ckpt", "empty.ckpt"])
def test_invalid_files_raise_a_readable_message(
    tmp_path: Path, real_engine: Engine, models: dict[str, str], name: str
) -> None:
    (tmp_path / "text.ckpt").write_text("hello")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    (tmp_path / "cut.ckpt").write_bytes(Path(models["resnet20"]).read_bytes()[:5000])
    with pytest.raises(CheckpointError) as caught:
        real_engine.run(make_request(str(tmp_path / name)))
    sentence = str(caught.value)
    assert len(sentence.split()) > 5
    assert sentence.endswith((".", ")"))
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    assert "weights_only" not in sentence


def test_an_invalid_image_leaves_the_model_and_a_message(
    tmp_path: Path, real_engine: Engine, models: dict[str, str]
) -> None:
    path = tmp_path / "no.png"
    path.write_text("not an image")
    for image in (
        ImageInput("no", path=str(path)),
        ImageInput("none", pixels=np.zeros((0, 4), np.uint8)),
    ):
        result = real_engine.run(Request(checkpoint=models["resnet20"], image=image))
        assert result.model is not None
        assert (result.image, result.input_pixels, result.probabilities) == (None, None, None)
        assert result.image_error.endswith(".")
    assert (
        "no.png"
        in real_engine.run(
            Request(checkpoint=models["resnet20"], image=ImageInput("no", path=str(path)))
        ).image_error
    )
    assert real_engine.run(make_request(models["resnet20"])).image_error == ""


def test_images_are_read_from_files_and_bytes(
    tmp_path: Path, real_engine: Engine, models: dict[str, str]
) -> None:
    from PIL import Image

    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    from_file = real_engine.run(
        Request(checkpoint=models["resnet20"], image=ImageInput("a", path=str(path)))
    )
    assert from_file.input_pixels is not None
    np.testing.assert_array_equal(from_file.input_pixels, PIXELS)
    Image.fromarray(np.tile(PIXELS, (2, 2, 1))).save(path)
    larger = real_engine.run(
        Request(checkpoint=models["resnet20"], image=ImageInput("a", path=str(path)))
    )
    assert larger.input_pixels is not None
    assert larger.input_pixels.shape == (32, 32, 3)
    Image.fromarray(PIXELS).save(path)
    from_bytes = real_engine.run(
        Request(checkpoint=models["resnet20"], image=ImageInput("a", encoded=path.read_bytes()))
    )
    np.testing.assert_array_equal(from_bytes.probabilities, from_file.probabilities)  # type: ignore[arg-type]


def test_the_cache_forgets_the_least_recently_used_value() -> None:
    made: list[str] = []
    recent = LRUCache[str, str](2)
    for key in ("a", "b", "a", "c", "a", "b"):
        recent.get(key, lambda key=key: made.append(key) or key)
    assert made == ["a", "b", "c", "b"]


def test_results_hold_no_tensors(real_engine: Engine, models: dict[str, str]) -> None:
    result = real_engine.run(make_request(models["resnet20"], "layer1.0.add"))
    arrays = [result.input_pixels, result.probabilities, result.probabilities_without_edits]
    assert all(isinstance(array, np.ndarray) for array in arrays)
    assert isinstance(replace(result), Result)
