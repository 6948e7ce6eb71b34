"""Build the index of fingerprints: `python -m lightning_resnets.models.known.build_index [FILE]`.

Every classification model of the installed torchvision and timm is built uninitialized, twice, with
two numbers of classes: the weights that change are its last layer. Models with equal names and
shapes share an entry. The same releases give the same bytes.
"""

import argparse
import json
import lzma
import time
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from lightning_resnets.models import external
from lightning_resnets.models.known import index
from lightning_resnets.models.known.index import ClassifierKeys, Fingerprint, Shape
from lightning_resnets.preprocessing import Preprocessing
from lightning_resnets.utils.skip_init import skip_init

# No model has layers as narrow as both.
PROBE_NUM_CLASSES = (7, 11)

DEFAULT_PREPROCESSING = Preprocessing(
    input_size=(3, 224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop_pct=0.875
)


@dataclass(frozen=True, slots=True)
class IndexedModel:
    """A model that goes into the index.

    Attributes:
        name: `torchvision/NAME` or `timm/NAME`.
        classifier_keys: the last layer's weights.
        fingerprint: names and shapes of all weights.
        preprocessing: preprocessing that its published weights expect.
        rank: lower for the more likely of two models with equal weights.
    """

    name: str
    classifier_keys: ClassifierKeys
    fingerprint: Fingerprint
    preprocessing: Preprocessing
    rank: tuple[int, int, str]


def list_installed_models() -> list[str]:
    """Return the names of all models of the installed torchvision and timm."""
    import timm
    from torchvision import models

    names = [f"torchvision/{name}" for name in models.list_models(module=models)]
    return names + [f"timm/{name}" for name in timm.list_models()]


def fingerprint_model(name: str) -> IndexedModel:
    """Build a model twice and compute its entry.

    Args:
        name: `torchvision/NAME` or `timm/NAME`.

    Returns:
        The model with its fingerprint.

    Raises:
        ValueError: the model does not classify images.
    """
    one, other = (_build_shapes(name, count) for count in PROBE_NUM_CLASSES)
    if one.keys() != other.keys():
        raise ValueError(f"The weights of {name} depend on the number of classes.")
    changed = [key for key in one if one[key] != other[key]]
    if not changed:
        raise ValueError(f"{name} has no last layer.")
    keys = tuple(sorted((key, _find_class_axis(one[key], other[key])) for key in changed))
    preprocessing = _preprocessing_of(name)
    return IndexedModel(name, keys, index.fingerprint(one, keys), preprocessing, _rank(name))


def serialize_index(models: Iterable[IndexedModel]) -> bytes:
    """Write the index to bytes.

    Args:
        models: models in any order.

    Returns:
        The content of the file, compressed JSON.
    """
    groups = _group_equal_models(models)
    classifiers = sorted({group[0].classifier_keys for group in groups})
    rows = _distinct_preprocessings(groups)
    sketches = b"".join(group[0].fingerprint.sketch.tobytes() for group in groups)
    data = {
        "versions": package_versions(),
        "classifiers": classifiers,
        "preprocessings": [
            (size, mean, std, crop_pct, interpolation)
            for size, mean, std, _, crop_pct, interpolation in rows
        ],
        "entries": [_serialize_entry(group, classifiers, rows) for group in groups],
        "sketches": b64encode(sketches).decode(),
    }
    # As small as possible: the package contains the file.
    return lzma.compress(json.dumps(data, separators=(",", ":")).encode(), preset=9)


def package_versions() -> dict[str, str]:
    """Return the installed releases of timm and torchvision."""
    import timm
    import torchvision

    # The local part of a version, such as +cpu, changes no model.
    return {"timm": timm.__version__, "torchvision": torchvision.__version__.partition("+")[0]}


def _group_equal_models(models: Iterable[IndexedModel]) -> list[list[IndexedModel]]:
    """Group models with equal names and shapes, the most likely first in each group."""
    groups: dict[tuple[int, ClassifierKeys], list[IndexedModel]] = {}
    for model in sorted(models, key=lambda model: model.rank):
        key = (model.fingerprint.hash_sum, model.classifier_keys)
        groups.setdefault(key, []).append(model)
    return sorted(groups.values(), key=lambda group: group[0].name)


def _distinct_preprocessings(groups: list[list[IndexedModel]]) -> list[tuple[Any, ...]]:
    """Return every preprocessing once, sorted."""
    rows: set[tuple[Any, ...]] = set()
    for group in groups:
        rows.update(astuple(model.preprocessing) for model in group)
    return sorted(rows)


def _serialize_entry(
    group: list[IndexedModel],
    classifiers: list[ClassifierKeys],
    preprocessings: list[tuple[Any, ...]],
) -> list[Any]:
    """Return the file's row for models with equal names and shapes."""
    fingerprint = group[0].fingerprint
    models = [(model.name, preprocessings.index(astuple(model.preprocessing))) for model in group]
    return [
        models,
        classifiers.index(group[0].classifier_keys),
        f"{fingerprint.hash_sum:x}",
        fingerprint.num_tensors,
        fingerprint.numel,
    ]


def _build_shapes(name: str, num_classes: int) -> dict[str, Shape]:
    """Return the shapes of a model's weights by name."""
    with skip_init():
        model = external.build_external(name, num_classes)
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def _find_class_axis(one: Shape, other: Shape) -> int:
    """Return the axis with one entry per class; raise ValueError if another axis differs too."""
    pairs = zip(one, other, strict=True)
    axes = [axis for axis, pair in enumerate(pairs) if pair == PROBE_NUM_CLASSES]
    if len(axes) != 1 or index.drop_axis(one, axes[0]) != index.drop_axis(other, axes[0]):
        few, many = PROBE_NUM_CLASSES
        raise ValueError(
            f"Expected a last layer, got {one} for {few} classes and {other} for {many} classes."
        )
    return axes[0]


def _preprocessing_of(name: str) -> Preprocessing:
    """Return the preprocessing that the package's published weights expect."""
    package, _, model = name.partition("/")
    if package == "torchvision":
        return _torchvision_preprocessing(model)
    return _timm_preprocessing(model)


def _torchvision_preprocessing(model: str) -> Preprocessing:
    """Return the preprocessing of the newest weights that fit the model built without options."""
    from torchvision import models

    weights = models.get_model_weights(model)
    candidates = [entry.transforms() for entry in (weights["DEFAULT"], *weights)]
    if model.startswith("vit"):
        # Their position embeddings have one fixed size.
        candidates = [entry for entry in candidates if entry.crop_size[0] == 224]
    transforms = candidates[0]
    size = transforms.crop_size[0]
    mean = tuple(transforms.mean)
    std = tuple(transforms.std)
    if model in external.EXTRA_KWARGS:
        # GoogLeNet and Inception-v3 were trained on images in -1..1. torchvision's models convert
        # their input only if they are built together with published weights.
        mean = DEFAULT_PREPROCESSING.mean
        std = DEFAULT_PREPROCESSING.std
    return Preprocessing(
        input_size=(3, size, size),
        mean=mean,
        std=std,
        crop_pct=round(size / transforms.resize_size[0], 4),
        interpolation=transforms.interpolation.value,
    )


def _timm_preprocessing(model: str) -> Preprocessing:
    """Return the preprocessing of the model's default weights, with crop_pct at most 1."""
    import timm

    config = timm.get_pretrained_cfg(model)
    if config is None:
        return DEFAULT_PREPROCESSING
    channels, height, width = config.input_size
    return Preprocessing(
        input_size=(channels, height, width),
        # Six digits are more than a byte of an image tells.
        mean=tuple(round(value, 6) for value in config.mean),
        std=tuple(round(value, 6) for value in config.std),
        crop_pct=min(config.crop_pct or 0.875, 1.0),
        interpolation="bicubic" if config.interpolation == "bicubic" else "bilinear",
    )


def _rank(name: str) -> tuple[int, int, str]:
    """Rank torchvision's models first, then timm's with published weights; short names first."""
    import timm

    package, _, model = name.partition("/")
    if package == "torchvision":
        group = 0
    elif timm.is_model_pretrained(model):
        group = 1
    else:
        group = 2
    return group, len(model), model


def main(args: Sequence[str] | None = None) -> None:
    """Build the index and list the models that were left out.

    Args:
        args: command-line arguments; None for those of the process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lightning_resnets.models.known.build_index",
        description="Build the index of the models of torchvision and timm, which takes minutes.",
    )
    parser.add_argument("target", nargs="?", type=Path, default=index.INDEX_FILE, help="file")
    target: Path = parser.parse_args(args).target
    start = time.perf_counter()
    models: list[IndexedModel] = []
    for name in list_installed_models():
        try:
            models.append(fingerprint_model(name))
        except Exception as error:  # noqa: BLE001 - others must still be built
            print(f"left out: {name}: {error}", flush=True)
    data = serialize_index(models)
    target.write_bytes(data)
    print(f"{len(models)} models, {len(data)} bytes, {time.perf_counter() - start:.0f} s: {target}")


if __name__ == "__main__":
    main()
