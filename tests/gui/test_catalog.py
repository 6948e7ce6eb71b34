"""Bundled models and sample images of the start page."""

from gui.engine.catalog import load_catalog
from tests.helpers.engine import CLASSES


def test_the_catalog_has_samples_of_every_class() -> None:
    found = load_catalog()
    assert [image.label for image in found.samples[:10]] == list(CLASSES)
    assert all(
        image.pixels is not None and image.pixels.shape == (32, 32, 3) for image in found.samples
    )
    assert bool(found.note) == (not found.models)
