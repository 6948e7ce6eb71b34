"""Colors that stay apart for everyone: contrast on their grounds, and distance after simulated
color blindness.
"""

import re
from dataclasses import fields
from itertools import combinations

import numpy as np
import pytest

from gui.colormaps import blend, diverging_colormap, hex_to_rgb, sequential_colormap, source_color
from gui.theme import DARK, LIGHT, Theme

# Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB.
COLOR_VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(color: str) -> np.ndarray:
    share = np.array(hex_to_rgb(color)) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    xyz = TO_XYZ @ np.clip(light, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    dark, light = sorted(float(TO_XYZ[1] @ linear(color)) for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_of_black_on_white() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21, abs=0.01)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("color_vision", COLOR_VISION)
def test_merges_stay_apart(theme: Theme, color_vision: str) -> None:
    lab_colors = {
        kind: lab(COLOR_VISION[color_vision] @ linear(theme.accent(kind)))
        for kind in ("add", "concat", "gate")
    }
    for one, other in combinations(lab_colors, 2):
        assert np.linalg.norm(lab_colors[one] - lab_colors[other]) > 15, (one, other)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_text_and_accents_can_be_read(theme: Theme) -> None:
    for ground in (theme.window, theme.panel):
        assert contrast(theme.text, ground) > 12
        assert contrast(theme.secondary_text, ground) >= 4.5
    for kind in ("add", "concat", "gate", "cut", "focus"):
        accent = theme.focus if kind == "focus" else theme.accent(kind)
        assert contrast(accent, theme.panel) >= 4.5, kind
    for kind in ("add", "concat", "gate", "cut"):
        assert contrast(theme.text, theme.tint(kind)) >= 7, kind


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_every_colour_is_written_in_full(theme: Theme) -> None:
    colors = [
        getattr(theme, field.name)
        for field in fields(theme)
        if field.type is str and field.name != "name"
    ]
    assert len(colors) > 15
    assert all(re.fullmatch("#[0-9A-F]{6}", color) for color in colors)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_rising_only_grows_lighter(theme: Theme) -> None:
    lightness = [
        lab(linear("#{:02X}{:02X}{:02X}".format(*tuple(color))))[0]
        for color in sequential_colormap(theme)
    ]
    assert np.all(np.diff(lightness) > -0.3)
    assert lightness[-1] - lightness[0] > 80


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_signed_is_the_ground_at_zero_and_blue_below(theme: Theme) -> None:
    table = diverging_colormap(theme).astype(int)
    assert np.abs(table[128] - np.array(hex_to_rgb(theme.panel))).max() < 16
    assert table[40, 2] > table[40, 0], "blue below zero"
    assert table[215, 0] > table[215, 2], "orange above"


def test_sources_run_along_one_ramp() -> None:
    colors = [source_color(i, 7, LIGHT) for i in range(7)]
    assert len(set(colors)) == 7
    assert source_color(0, 1, LIGHT) == colors[0]


def test_mix() -> None:
    assert blend("#000000", "#FFFFFF", 0.5) == "#808080"
    assert blend("#123456", "#FFFFFF", 0.0) == "#123456"
