"""Shortcut, branch and sum: equal values have equal colors in all columns."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from pytestqt.qtbot import QtBot

from gui.details import AddDetail
from gui.theme import LIGHT
from gui.views.residual_panel import bar_fraction
from gui.views.residual_view import ResidualView


def random(seed: int, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(6, 8, 8)) * scale).astype(np.float32)


@pytest.fixture
def view(qtbot: QtBot) -> ResidualView:
    view = ResidualView()
    qtbot.addWidget(view)
    view.set_theme(LIGHT)
    view.resize(900, 260)
    view.show()
    shortcut, branch = random(0, 3.0), random(1, 0.5)
    view.set_residual(AddDetail("a", shortcut, branch, shortcut + branch))
    return view


def test_all_three_share_one_color_scale(view: ResidualView) -> None:
    scales = [
        (image.atlas.low.tolist(), image.atlas.high.tolist())
        for image in view.images
        if image.atlas
    ]
    assert len(scales) == 3
    assert scales[0] == scales[1] == scales[2]
    assert scales[0] == ([-view.value_range] * 6, [view.value_range] * 6)


def test_small_branch_has_pale_colors(view: ResidualView) -> None:
    spread = [
        np.abs(image.atlas.pixels[image.atlas.pixels < 255].astype(int) - 127).mean()
        for image in view.images
        if image.atlas
    ]
    assert spread[1] < spread[0] / 3


def test_hover_shows_the_sum_in_every_column(view: ResidualView, qtbot: QtBot) -> None:
    texts: list[str] = []
    view.hovered.connect(texts.append)
    for image in view.images:
        tile = image.tile(2)
        qtbot.mouseMove(view, (tile.topLeft() + QPointF(4.5, 4.5) * (tile.width() / 8)).toPoint())
        a, b, total = (one.values[2, 4, 4] for one in view.images)
        assert texts[-1] == f"channel 2 · y 4, x 4 · {a:.5g} + {b:.5g} = {total:.5g}"
    qtbot.mouseMove(view, QPoint(view.width() - 2, view.height() - 2))
    assert texts[-1] == ""


def test_click_enlarges_in_all_three_columns(view: ResidualView, qtbot: QtBot) -> None:
    small = view.images[0].tile(3)
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=small.center().toPoint())
    assert [image.enlarged for image in view.images] == [3, 3, 3]
    assert view.images[2].covered_rect().width() > 1.5 * small.width()
    qtbot.keyClick(view, Qt.Key.Key_Right)
    assert view.images[0].enlarged == 4
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert view.images[0].enlarged is None


def test_summary_has_ratio_and_cosine(view: ResidualView) -> None:
    x, f, _ = (image.values.ravel().astype(float) for image in view.images)
    ratio = np.linalg.norm(f) / np.linalg.norm(x)
    cosine = x @ f / np.linalg.norm(x) / np.linalg.norm(f)
    assert view.summary() == f"|F| / |x| = {ratio:.2f}   ·   cosine of F and x = {cosine:+.2f}"
    assert view.accessibleDescription() == view.summary()


def test_cut_shortcut_has_the_color_of_zero(view: ResidualView) -> None:
    branch = random(1)
    view.set_residual(AddDetail("a", np.zeros_like(branch), branch, branch))
    first = view.images[0].atlas
    assert first
    assert set(np.unique(first.pixels)) <= {127, 255}
    assert not view.grab().isNull()


def test_enlarged_channel_is_kept_for_the_same_addition(view: ResidualView) -> None:
    view.enlarge(2)
    view.set_residual(AddDetail("a", random(2), random(3), random(4)))
    assert view.images[0].enlarged == 2
    view.set_residual(AddDetail("b", random(2), random(3), random(4)))
    assert view.images[0].enlarged is None


def test_empty_and_narrow_views_can_be_painted(view: ResidualView) -> None:
    view.resize(300, 130)
    assert not view.grab().isNull()
    view.set_residual(None)
    assert not view.grab().isNull()
    assert view.summary() == ""


def test_cut_shortcut_has_neither_ratio_nor_cosine(view: ResidualView) -> None:
    branch = random(1, 0.5)
    view.set_residual(AddDetail("a", np.zeros_like(branch), branch, branch))
    assert view.summary() == "|F| / |x| = —   ·   cosine of F and x = —"


def test_non_finite_norm_fills_nothing() -> None:
    assert [
        bar_fraction(*pair)
        for pair in ((1.0, 4.0), (float("nan"), 1.0), (1.0, float("inf")), (0.0, 0.0))
    ] == [
        0.25,
        0,
        0,
        0,
    ]
