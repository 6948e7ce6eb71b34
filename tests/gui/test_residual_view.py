"""Three columns on one scale: equal values have equal colors, wherever they stand."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from pytestqt.qtbot import QtBot

from gui.state import AddDetail
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


def test_one_scale_for_all_three(view: ResidualView) -> None:
    scales = [
        (plate.atlas.low.tolist(), plate.atlas.high.tolist())
        for plate in view.images
        if plate.atlas
    ]
    assert len(scales) == 3
    assert scales[0] == scales[1] == scales[2]
    assert scales[0] == ([-view.value_range] * 6, [view.value_range] * 6)


def test_the_small_branch_looks_small(view: ResidualView) -> None:
    spread = [
        np.abs(plate.atlas.pixels[plate.atlas.pixels < 255].astype(int) - 127).mean()
        for plate in view.images
        if plate.atlas
    ]
    assert spread[1] < spread[0] / 3


def test_hover_reads_the_sum_in_every_column(view: ResidualView, qtbot: QtBot) -> None:
    heard: list[str] = []
    view.hovered.connect(heard.append)
    for plate in view.images:
        tile = plate.tile(2)
        qtbot.mouseMove(view, (tile.topLeft() + QPointF(4.5, 4.5) * (tile.width() / 8)).toPoint())
        a, b, total = (one.values[2, 4, 4] for one in view.images)
        assert heard[-1] == f"channel 2 · y 4, x 4 · {a:.5g} + {b:.5g} = {total:.5g}"
    qtbot.mouseMove(view, QPoint(view.width() - 2, view.height() - 2))
    assert heard[-1] == ""


def test_a_click_enlarges_in_all_three(view: ResidualView, qtbot: QtBot) -> None:
    small = view.images[0].tile(3)
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=small.center().toPoint())
    assert [plate.enlarged for plate in view.images] == [3, 3, 3]
    assert view.images[2].covered_rect().width() > 1.5 * small.width()
    qtbot.keyClick(view, Qt.Key.Key_Right)
    assert view.images[0].enlarged == 4
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert view.images[0].enlarged is None


def test_summary_says_share_and_cosine(view: ResidualView) -> None:
    x, f, _ = (plate.values.ravel().astype(float) for plate in view.images)
    share, cosine = (
        np.linalg.norm(f) / np.linalg.norm(x),
        x @ f / np.linalg.norm(x) / np.linalg.norm(f),
    )
    assert view.summary() == f"|F| / |x| = {share:.2f}   ·   cosine of F and x = {cosine:+.2f}"
    assert view.accessibleDescription() == view.summary()


def test_a_cut_shortcut_is_the_colour_of_zero(view: ResidualView) -> None:
    branch = random(1)
    view.set_residual(AddDetail("a", np.zeros_like(branch), branch, branch))
    first = view.images[0].atlas
    assert first
    assert set(np.unique(first.pixels)) <= {127, 255}
    assert not view.grab().isNull()


def test_the_enlarged_channel_stays_with_its_addition(view: ResidualView) -> None:
    view.enlarge(2)
    view.set_residual(AddDetail("a", random(2), random(3), random(4)))
    assert view.images[0].enlarged == 2
    view.set_residual(AddDetail("b", random(2), random(3), random(4)))
    assert view.images[0].enlarged is None


def test_nothing_and_narrow_can_be_painted(view: ResidualView) -> None:
    view.resize(300, 130)
    assert not view.grab().isNull()
    view.set_residual(None)
    assert not view.grab().isNull()
    assert view.summary() == ""


def test_a_cut_shortcut_has_no_share_and_no_angle(view: ResidualView) -> None:
    branch = random(1, 0.5)
    view.set_residual(AddDetail("a", np.zeros_like(branch), branch, branch))
    assert view.summary() == "|F| / |x| = —   ·   cosine of F and x = —"


def test_a_norm_that_is_no_number_fills_nothing() -> None:
    assert [
        bar_fraction(*pair)
        for pair in ((1.0, 4.0), (float("nan"), 1.0), (1.0, float("inf")), (0.0, 0.0))
    ] == [
        0.25,
        0,
        0,
        0,
    ]
