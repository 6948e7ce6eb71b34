"""Find 1,000 real ImageNet images; tests that need them skip with a reason if there are none."""

from pathlib import Path

import pytest

SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "imagenet-sample"


def photographs() -> Path:
    """Return the folder with one folder per class, with one image in it."""
    if not SAMPLE.is_dir():
        pytest.skip("the sample of ImageNet is not there: ../shared/data/imagenet-sample")
    return SAMPLE
