"""Input image: small images keep sharp pixels of one size, photographs are scaled smoothly."""

import numpy as np
import pytest
from PySide6.QtGui import QPixmap
from pytestqt.qtbot import QtBot

from gui.views import qt_style
from gui.views.sidebar import InputImageView


def shown(qtbot: QtBot, side: int, box: int) -> QPixmap:
    view = InputImageView()
    qtbot.addWidget(view)
    view.resize(box, box)
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    view.set_image(qt_style.to_qimage(pixels))
    return view.pixmap()


@pytest.mark.parametrize(
    ("side", "box", "expected"), [(32, 200, 192), (32, 127, 96), (64, 150, 128), (80, 100, 80)]
)
def test_small_images_grow_by_whole_factors(
    qtbot: QtBot, side: int, box: int, expected: int
) -> None:
    pixmap = shown(qtbot, side, box)
    assert pixmap.width() == expected


@pytest.mark.parametrize("box", [150, 224, 400, 1000])
def test_photographs_fill_the_box(qtbot: QtBot, box: int) -> None:
    assert shown(qtbot, 224, box).width() == box
