"""The bundled photographs: small, complete, and each with a license."""

import re

import numpy as np
import pytest

from lightning_resnets.data.photographs import NAMES, PHOTOGRAPHS_DIR, load_photograph


@pytest.mark.parametrize("name", NAMES)
def test_a_photograph_is_in_color_and_small(name: str) -> None:
    pixels = load_photograph(name)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert 250 <= min(pixels.shape[:2]) <= max(pixels.shape[:2]) <= 512


def test_every_photograph_has_an_author_and_a_license_beside_it() -> None:
    rows = re.findall(r"^\| `(\w+)\.jpg` \| .+ \| .+ \| (CC|\[CC|public).+$", page(), re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(NAMES)
    assert sorted(path.stem for path in PHOTOGRAPHS_DIR.glob("*.jpg")) == sorted(NAMES)


def page() -> str:
    return (PHOTOGRAPHS_DIR / "README.md").read_text()


def test_an_unknown_photograph_raises() -> None:
    with pytest.raises(ValueError, match="no photograph named 'dog'"):
        load_photograph("dog")
