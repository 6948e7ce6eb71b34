"""Where 1,000 real ImageNet images lie for the tests that need them; without, these skip with a reason."""

from pathlib import Path

import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "shared" / "data" / "imagenet-sample"


def photographs() -> Path:
    """The folder that holds a folder for each class, with one image in it."""
    if not SAMPLE.is_dir():
        pytest.skip("the sample of ImageNet is not there: ../shared/data/imagenet-sample")
    return SAMPLE
