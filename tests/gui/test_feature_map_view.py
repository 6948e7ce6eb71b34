"""Feature maps on the screen: colors of values, hover, enlarged maps."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from gui.colormaps import hex_to_rgb, source_color
from gui.details import ConcatDetail, ConcatPart, FeatureMaps
from gui.theme import DARK, LIGHT
from gui.views.atlas_image import color_table
from gui.views.feature_map_view import FeatureMapView

VALUES = np.random.default_rng(0).normal(size=(12, 8, 8)).astype(np.float32)


@pytest.fixture
def view(qtbot: QtBot) -> FeatureMapView:
    view = FeatureMapView()
    qtbot.addWidget(view)
    view.set_theme(LIGHT)
    view.resize(600, 260)
    view.show()
    view.set_maps(FeatureMaps("a", VALUES))
    return view


def channels(color: QColor) -> tuple[int, int, int]:
    return color.red(), color.green(), color.blue()


def center_of(view: FeatureMapView, channel: int, y: int, x: int) -> QPoint:
    """Return the middle of one map element on the screen."""
    tile, (_, rows, columns) = view.tile_rect(channel), VALUES.shape
    return QPoint(
        int(tile.x() + (x + 0.5) * tile.width() / columns),
        int(tile.y() + (y + 0.5) * tile.height() / rows),
    )


@pytest.mark.parametrize(("channel", "y", "x"), [(0, 0, 0), (5, 3, 7), (11, 7, 7)])
def test_pixel_has_the_color_of_its_value(
    view: FeatureMapView, channel: int, y: int, x: int
) -> None:
    assert view.atlas
    top, left = view.atlas.grid.tile_origin(channel)
    level = int(view.atlas.pixels[top + y, left + x])
    expected = QColor(color_table(view.atlas.colormap, LIGHT, LIGHT.panel)[level])
    shown = view.grab().toImage().pixelColor(center_of(view, channel, y, x))
    assert max(abs(a - b) for a, b in zip(channels(shown), channels(expected), strict=True)) <= 2


def test_hover_shows_the_exact_value(view: FeatureMapView, qtbot: QtBot) -> None:
    texts: list[str] = []
    view.hovered.connect(texts.append)
    qtbot.mouseMove(view, center_of(view, 7, 2, 5))
    assert texts[-1] == f"channel 7 · y 2, x 5 · {VALUES[7, 2, 5]:.6g}"
    qtbot.mouseMove(view, QPoint(5, view.height() - 3))
    assert texts[-1] == "", "the legend is not a map"


def test_click_enlarges_and_second_click_ends_it(view: FeatureMapView, qtbot: QtBot) -> None:
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=center_of(view, 4, 4, 4))
    assert view.enlarged_channel == 4
    large = view.enlarged_rect()
    assert large.width() > 3 * view.tile_rect(4).width()
    assert view.locate(large.center()) == (4, 4, 4)
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=large.center().toPoint())
    assert view.enlarged_channel is None


def test_arrow_keys_walk_through_the_channels(view: FeatureMapView, qtbot: QtBot) -> None:
    for key, expected in (
        ("Right", 0),
        ("Right", 1),
        ("Right", 2),
        ("Left", 1),
        ("Up", 0),
        ("Escape", None),
    ):
        qtbot.keyClick(view, getattr(Qt.Key, f"Key_{key}"))
        assert view.enlarged_channel == expected
    view.enlarge(1)
    assert view.atlas
    columns = view.atlas.grid.columns
    qtbot.keyClick(view, Qt.Key.Key_Down)
    assert view.enlarged_channel == 1 + columns


def test_enlarged_channel_is_kept_for_the_same_node(view: FeatureMapView) -> None:
    view.enlarge(3)
    view.set_maps(FeatureMaps("a", VALUES * 2))
    assert view.enlarged_channel == 3, "a new image, the same block"
    view.set_maps(FeatureMaps("b", VALUES))
    assert view.enlarged_channel is None


def test_layer_contrast_shares_one_color_scale(view: FeatureMapView) -> None:
    view.set_maps(FeatureMaps("a", np.abs(VALUES) * np.arange(1, 13)[:, None, None]))
    assert view.atlas
    assert len(set(view.atlas.high.tolist())) == 12
    assert "color scale per map" in view.legend()
    view.set_contrast("layer")
    assert view.atlas
    assert len(set(view.atlas.high.tolist())) == 1
    assert "shared color scale" in view.legend()


def test_new_maps_are_painted_at_once(view: FeatureMapView) -> None:
    before = view.grab().toImage()
    view.set_maps(FeatureMaps("a", VALUES[::-1].copy()))
    assert view.grab().toImage() != before


def test_concat_parts_have_color_and_name_of_their_source(
    view: FeatureMapView, qtbot: QtBot
) -> None:
    parts = (
        ConcatPart("features.conv0", 0, 8, 0, 4),
        ConcatPart("features.denseblock1.denselayer2", 8, 12, 2, 4),
    )
    view.set_maps(ConcatDetail("c", VALUES, parts))
    image = view.grab().toImage()
    for channel, index in ((1, 0), (9, 2)):
        tile = view.tile_rect(channel)
        shown = image.pixelColor(int(tile.center().x()), int(tile.bottom() - 1.6))
        expected_color = hex_to_rgb(source_color(index, 4, LIGHT))
        assert max(abs(a - b) for a, b in zip(channels(shown), expected_color, strict=True)) <= 2
    texts: list[str] = []
    view.hovered.connect(texts.append)
    qtbot.mouseMove(view, center_of(view, 9, 1, 1))
    assert texts[-1].endswith("from denseblock1.denselayer2")


def test_vector_is_shown_as_values(view: FeatureMapView) -> None:
    view.set_maps(FeatureMaps("fc", np.arange(10, dtype=np.float32).reshape(10, 1, 1)))
    assert view.legend().startswith("10 values · shared color scale: 0 to 9")
    assert view.describe_value((3, 0, 0)) == "channel 3 · 3"


def test_themes_differ_and_empty_view_is_painted(view: FeatureMapView) -> None:
    light = view.grab().toImage()
    view.set_theme(DARK)
    assert view.grab().toImage() != light
    view.set_maps(None)
    assert view.atlas is None
    assert not view.grab().isNull()
    assert view.locate(QPoint(5, 5).toPointF()) is None


@pytest.mark.parametrize("size", [(40, 30), (2000, 120), (130, 900)])
def test_any_view_size_can_be_painted(view: FeatureMapView, size: tuple[int, int]) -> None:
    view.setMinimumHeight(0)
    view.resize(*size)
    view.enlarge(2)
    assert not view.grab().isNull()
    board = view.image.covered_rect()
    assert board.right() <= view.width() + 1
    assert board.bottom() <= view.height() + 1
