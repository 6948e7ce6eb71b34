"""Copy as Python: the code runs and gives the numbers on the screen."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtWidgets import QApplication

from gui.controller import Controller
from gui.copy_code import to_python
from gui.engine.engine import Engine
from gui.graph import Edit
from gui.state import ImageInput, Request
from tests.helpers.engine import PIXELS

EDIT_SETS = [
    (),
    (Edit("scale", "layer2.1.add", 0, 0.5),),
    (Edit("zero", "conv1", 0, 0.0, (1, 5)),),
    (Edit("drop", "layer1.1", 0, 0.0), Edit("hold", "layer3.0.add", 1, 0.25)),
]


@pytest.mark.parametrize("edits", EDIT_SETS, ids=str)
def test_the_code_gives_the_numbers_on_the_screen(
    real_engine: Engine,
    models: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    edits: tuple[Edit, ...],
) -> None:
    path = tmp_path / 'it\'s "an" image.png'
    Image.fromarray(PIXELS).save(path)
    request = Request(models["resnet20"], None, ImageInput("x", path=str(path)), "conv1", edits)
    result = real_engine.run(request)
    assert result.model
    script = tmp_path / "script.py"
    script.write_text(to_python(request, result.model.diagram))
    found = runpy.run_path(str(script))["result"]
    np.testing.assert_array_equal(found.probabilities, result.probabilities)
    best = result.model.class_names[int(found.probabilities.argmax())]
    assert capsys.readouterr().out.startswith(best)
    (name,) = found.outputs
    assert found.outputs[name].shape == (16, 32, 32)


def test_an_image_that_is_no_file_is_named_in_a_comment(
    real_engine: Engine, models: dict[str, str]
) -> None:
    image = ImageInput("evil\nimport os", pixels=PIXELS)
    request = Request(models["resnet20"], None, image, "input")
    model = real_engine.run(request).model
    assert model
    code = to_python(request, model.diagram)
    assert "# The app shows 'evil\\nimport os', which is not a file." in code
    compile(code, "code", "exec")
    assert "import os\n" not in code.replace("\\nimport os", "")


def test_the_action_copies_to_the_clipboard(opened: Controller) -> None:
    opened.trigger("copy_python")
    assert QApplication.clipboard().text().startswith("from lightning_resnets import")
    opened.trigger("copy_view")
    assert QApplication.clipboard().image().width() == opened.window.grab().width()
