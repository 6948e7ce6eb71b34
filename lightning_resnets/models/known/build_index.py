"""Making the index of fingerprints ahead of time: `python -m lightning_resnets.models.known.build_index [FILE]`.

Every classification model of the installed torchvision and timm is built blank, twice, with two numbers of classes: what
changes is its last layer. Models with equal names and shapes share an entry. The same releases give the same bytes.
"""

import json
import lzma
import sys
import time
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from lightning_resnets.models import external
from lightning_resnets.models.known import index
from lightning_resnets.models.known.index import ClassifierKeys, Fingerprint, Shape
from lightning_resnets.preprocessing import Preprocessing
from lightning_resnets.utils.skip_init import skip_init

PROBE_NUM_CLASSES = (7, 11)  # classes; no model has layers as narrow as both


DEFAULT_PREPROCESSING = Preprocessing(
    input_size=(3, 224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop_pct=0.875
)


@dataclass(frozen=True, slots=True)
class IndexedModel:
    """A model as it goes into the index; `rank` is lower for the likelier of two that are built alike."""

    name: str
    head: ClassifierKeys
    fingerprint: Fingerprint
    preprocessing: Preprocessing
    rank: tuple[int, int, str]


def list_installed_models() -> list[str]:
    """All that the installed torchvision and timm offer."""
    import timm
    from torchvision import models

    found = [f"torchvision/{name}" for name in models.list_models(module=models)]
    return found + [f"timm/{name}" for name in timm.list_models()]


def fingerprint_model(name: str) -> IndexedModel:
    """One model's entry; raises ValueError where it does not classify."""
    one, other = (_shapes(name, classes) for classes in PROBE_NUM_CLASSES)
    if one.keys() != other.keys():
        raise ValueError(f"{name} has other weights for other classes.")
    changed = [
        (weight, _axis(one[weight], other[weight]))
        for weight in one
        if one[weight] != other[weight]
    ]
    if not changed:
        raise ValueError(f"{name} has no last layer.")
    head = tuple(sorted(changed))
    return IndexedModel(name, head, index.fingerprint(one, head), _input(name), _rank(name))


def serialize_index(models: Iterable[IndexedModel]) -> bytes:
    """The index of these models, as it is written to the file."""
    alike = dict[tuple[int, ClassifierKeys], list[IndexedModel]]()
    for model in sorted(models, key=lambda model: model.rank):
        alike.setdefault((model.fingerprint.hash_sum, model.head), []).append(model)
    groups = sorted(alike.values(), key=lambda group: group[0].name)
    heads = sorted({group[0].head for group in groups})
    inputs = sorted({astuple(model.preprocessing) for group in groups for model in group})
    data = {
        "made": package_versions(),
        "heads": heads,
        "inputs": [
            (size, mean, std, crop, resample) for size, mean, std, _, crop, resample in inputs
        ],
        "entries": [_entry(group, heads, inputs) for group in groups],
        "sketches": b64encode(
            b"".join(group[0].fingerprint.sketch.tobytes() for group in groups)
        ).decode(),
    }
    return lzma.compress(json.dumps(data, separators=(",", ":")).encode(), preset=9)


def _entry(group: list[IndexedModel], heads: list[ClassifierKeys], inputs: list[Any]) -> list[Any]:
    one = group[0]
    models = [(model.name, inputs.index(astuple(model.preprocessing))) for model in group]
    return [
        models,
        heads.index(one.head),
        f"{one.fingerprint.hash_sum:x}",
        one.fingerprint.num_tensors,
        one.fingerprint.numel,
    ]


def _shapes(name: str, num_classes: int) -> dict[str, Shape]:
    with skip_init():
        model = external.build_external(name, num_classes)
    return {weight: tuple(value.shape) for weight, value in model.state_dict().items()}


def _axis(one: Shape, other: Shape) -> int:
    axes = [
        axis for axis, pair in enumerate(zip(one, other, strict=True)) if pair == PROBE_NUM_CLASSES
    ]
    if len(axes) != 1 or index.drop_axis(one, axes[0]) != index.drop_axis(other, axes[0]):
        raise ValueError(
            f"{one} for {PROBE_NUM_CLASSES[0]} classes and {other} for {PROBE_NUM_CLASSES[1]} are no shapes of a last layer."
        )
    return axes[0]


def _input(name: str) -> Preprocessing:
    package, _, model = name.partition("/")
    return _torchvision_input(model) if package == "torchvision" else _timm_input(model)


def _torchvision_input(model: str) -> Preprocessing:
    """As the newest weights want it that fit the model as it is built without options.

    GoogLeNet and Inception-v3 were trained on images in -1..1, and torchvision's models change theirs to that where
    they are built together with published weights; here the image comes so.
    """
    from torchvision import models

    kinds = models.get_model_weights(model)
    side = 224 if model.startswith("vit") else 0  # their position tables are of one size
    fitting = [
        kind for kind in (kinds["DEFAULT"], *kinds) if side in (0, kind.transforms().crop_size[0])
    ]
    request = fitting[0].transforms()
    size, crop = request.crop_size[0], round(request.crop_size[0] / request.resize_size[0], 4)
    told = model in external.EXTRA_KWARGS
    mean, std = (
        (DEFAULT_PREPROCESSING.mean, DEFAULT_PREPROCESSING.std)
        if told
        else (tuple(request.mean), tuple(request.std))
    )
    return Preprocessing(
        input_size=(3, size, size),
        mean=mean,
        std=std,
        crop_pct=crop,
        interpolation=request.interpolation.value,
    )


def _timm_input(model: str) -> Preprocessing:
    """As the model's default weights want it; a crop of more than the image is the image."""
    import timm

    request = timm.get_pretrained_cfg(model)
    if request is None:
        return DEFAULT_PREPROCESSING
    channels, height, width = request.input_size
    return Preprocessing(
        input_size=(channels, height, width),
        mean=tuple(round(value, 6) for value in request.mean),
        std=tuple(round(value, 6) for value in request.std),
        crop_pct=min(request.crop_pct or 0.875, 1.0),
        interpolation="bicubic" if request.interpolation == "bicubic" else "bilinear",
    )


def _rank(name: str) -> tuple[int, int, str]:
    """torchvision's, which everybody has, then timm's with published weights, then others; shorter names first."""
    import timm

    package, _, model = name.partition("/")
    place = 0 if package == "torchvision" else 1 if timm.is_model_pretrained(model) else 2
    return place, len(model), model


def package_versions() -> dict[str, str]:
    import timm
    import torchvision

    return {"timm": timm.__version__, "torchvision": torchvision.__version__.partition("+")[0]}


def main() -> None:
    """Build the index and say what was left out."""
    target, start, models = (
        Path(sys.argv[1]) if len(sys.argv) > 1 else index.INDEX_FILE,
        time.perf_counter(),
        list[IndexedModel](),
    )
    for name in list_installed_models():
        try:
            models.append(fingerprint_model(name))
        except Exception as error:  # noqa: BLE001 - one model that cannot be built must not cost the others
            print(f"left out: {name}: {error}", flush=True)
    data = serialize_index(models)
    target.write_bytes(data)
    print(f"{len(models)} models, {len(data)} bytes, {time.perf_counter() - start:.0f} s: {target}")


if __name__ == "__main__":
    main()
