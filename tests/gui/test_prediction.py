"""Prediction as bars and as text."""

import pytest
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from gui.theme import LIGHT
from gui.view_state import ClassBar
from gui.views.prediction import BAR_HEIGHT, ROW_HEIGHT, PredictionView, format_percent


@pytest.fixture
def view(qtbot: QtBot) -> PredictionView:
    view = PredictionView()
    qtbot.addWidget(view)
    view.set_theme(LIGHT)
    view.resize(200, view.sizeHint().height())
    view.show()
    return view


def filled(view: PredictionView, row: int) -> float:
    """Return the fraction of a row's track that is painted as a bar."""
    image = view.grab().toImage()
    y = int((row + 1) * ROW_HEIGHT - 5 - BAR_HEIGHT / 2)
    colors = [image.pixelColor(x, y) for x in range(view.width())]
    return (
        sum(color in (QColor(LIGHT.focus), QColor(LIGHT.outline)) for color in colors)
        / view.width()
    )


@pytest.mark.parametrize("probability", [0.25, 0.5, 0.9])
def test_bar_length_is_the_probability(view: PredictionView, probability: float) -> None:
    view.set_bars((ClassBar("cat", probability, None), ClassBar("dog", 1 - probability, None)))
    assert filled(view, 0) == pytest.approx(probability, abs=0.03)
    assert filled(view, 1) == pytest.approx(1 - probability, abs=0.03)


def test_accessible_description_lists_the_classes(view: PredictionView) -> None:
    view.set_bars((ClassBar("cat", 0.5, 0.9), ClassBar("dog", 0.25, None)))
    assert view.accessibleDescription() == "cat 50.0 % (was 90.0 %), dog 25.0 %"


def test_probability_before_edits_is_an_outline(view: PredictionView) -> None:
    view.set_bars((ClassBar("cat", 0.2, None),))
    without = view.grab().toImage()
    view.set_bars((ClassBar("cat", 0.2, 0.8),))
    assert view.grab().toImage() != without
    assert filled(view, 0) == pytest.approx(0.2, abs=0.04), "the outline does not fill"


def test_no_bars_and_extreme_values_can_be_painted(view: PredictionView) -> None:
    for bars in ((), (ClassBar("a" * 80, 0.0, 1.0),), (ClassBar("b", 1.0, 0.0),)):
        view.set_bars(bars)
        assert not view.grab().isNull()


def test_format_percent() -> None:
    assert format_percent(0.12345) == "12.3 %"
    assert format_percent(float("nan")) == "NaN"
