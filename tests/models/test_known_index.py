"""Lookup by names and shapes: every model finds itself, and nonsense finds nothing."""

import copy
import importlib.util
import random
import time
from functools import cache
from itertools import pairwise

import pytest
from torch import nn

from lightning_resnets.models import registry
from lightning_resnets.models.known import build_index, index
from lightning_resnets.models.known.index import Neighbor, Shape, is_ignored, lookup
from lightning_resnets.utils.skip_init import skip_init

TIMM = importlib.util.find_spec("timm") is not None
TORCHVISION_MODELS = (
    "alexnet",
    "convnext_tiny",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "mnasnet0_5",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "vgg11_bn",
    "vit_b_16",
)
TIMM_MODELS = (
    "convnextv2_atto",
    "deit_tiny_distilled_patch16_224",
    "densenet169",
    "dpn68",
    "hrnet_w18_small",
    "levit_128",
    "mixer_s32_224",
    "nfnet_f0",
    "regnetx_002",
    "resnet26",
    "seresnet50",
    "swin_tiny_patch4_window7_224",
    "tf_efficientnetv2_s",
    "vgg11",
    "vit_tiny_patch16_224",
    "xcit_nano_12_p16_224",
)
MODELS = [
    *(f"torchvision/{name}" for name in TORCHVISION_MODELS),
    *(f"timm/{name}" for name in TIMM_MODELS),
]


@cache
def make_model(name: str, classes: int = 7) -> nn.Module:
    if name.startswith("timm/") and not TIMM:
        pytest.skip("timm is not installed")
    with skip_init():
        return registry.create_model(name, classes)


def shapes(name: str, classes: int = 7) -> dict[str, Shape]:
    return {
        weight: tuple(value.shape)
        for weight, value in make_model(name, classes).state_dict().items()
    }


def first(query: dict[str, Shape]) -> Neighbor:
    return lookup(query)[0]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_found_by_its_names_and_shapes(name: str) -> None:
    found = lookup(shapes(name))
    same = {near.arch: near for near in found if near.is_exact}
    assert name in same
    assert (same[name].similarity, same[name].num_classes) == (1.0, 7)
    assert found[: len(same)] == list(same.values())
    assert shapes(found[0].arch, found[0].num_classes).items() == shapes(name).items()


def test_the_index_matches_the_installed_packages() -> None:
    """Check a few models whose names and shapes no release has changed."""
    assert find_outdated(name for name in MODELS if TIMM or not name.startswith("timm/")) == []


@pytest.mark.slow
@pytest.mark.skipif(not TIMM, reason="timm is not installed")
def test_a_sample_of_the_index_matches_its_own_releases() -> None:
    if build_index.package_versions() != index.load_index().versions:
        pytest.skip("the index was built with other releases")
    assert find_outdated(random.Random(0).sample(sorted(index.known_models()), 60)) == []


def find_outdated(names) -> list[str]:  # pyright: ignore[reportMissingParameterType]
    """Return the names whose fingerprint, last layer or preprocessing has changed."""
    entries = {
        name: (entry, preprocessing)
        for entry in index.load_index().entries
        for name, preprocessing in entry.models
    }
    wrong = list[str]()
    for name in names:
        entry, preprocessing = entries[name]
        now = build_index.fingerprint_model(name)
        if (
            now.classifier_keys,
            now.fingerprint.hash_sum,
            now.fingerprint.numel,
            now.preprocessing,
        ) != (
            entry.classifier_keys,
            entry.fingerprint,
            entry.numel,
            preprocessing,
        ):
            wrong.append(name)
    return wrong


def test_every_classification_model_is_in_the_index() -> None:
    names = index.known_models()
    assert sum(name.startswith("torchvision/") for name in names) == 80
    assert sum(name.startswith("timm/") for name in names) > 1300
    assert len(names) == sum(len(entry.models) for entry in index.load_index().entries)


def test_entries_differ() -> None:
    fingerprints = [
        (entry.fingerprint, entry.classifier_keys) for entry in index.load_index().entries
    ]
    assert len(set(fingerprints)) == len(fingerprints)


def test_torchvision_comes_first_among_equal_models() -> None:
    found = [near.arch for near in lookup(shapes("torchvision/resnet50")) if near.is_exact]
    assert found[:2] == ["torchvision/resnet50", "timm/resnet50"]


@pytest.mark.parametrize(
    "name", ["torchvision/resnet34", "torchvision/swin_t", "timm/seresnet50", "timm/levit_128"]
)
def test_a_model_without_its_last_layer_is_still_the_nearest(name: str) -> None:
    (entry,) = [entry for entry in index.load_index().entries if name in dict(entry.models)]
    classifier = dict(entry.classifier_keys)
    near = first({key: shape for key, shape in shapes(name).items() if key not in classifier})
    assert shapes(near.arch).items() == shapes(name).items()
    assert (near.is_exact, near.num_classes) == (False, 1000)
    assert 0.9 < near.similarity < 1


@pytest.mark.parametrize(
    ("name", "block"),
    [("torchvision/resnet50", "layer3.5."), ("torchvision/convnext_tiny", "features.5.8.")],
)
def test_a_model_with_one_block_less_is_still_the_nearest(name: str, block: str) -> None:
    kept = {weight: shape for weight, shape in shapes(name).items() if not weight.startswith(block)}
    assert len(kept) < len(shapes(name))
    near = first(kept)
    assert (near.arch, near.is_exact, near.num_classes) == (name, False, 7)
    assert 0.8 < near.similarity < 1


def test_a_model_with_one_block_more_is_still_the_nearest() -> None:
    query = shapes("torchvision/resnet50")
    more = {
        weight.replace("3.5.", "3.6."): shape
        for weight, shape in query.items()
        if weight.startswith("layer3.5.")
    }
    near = first({**query, **more})
    assert (near.arch, near.is_exact, near.num_classes) == ("torchvision/resnet50", False, 7)


def test_a_model_with_another_stage_width_is_still_the_nearest() -> None:
    query = shapes("torchvision/regnet_y_400mf")
    wide = {
        weight: tuple(2 * side for side in shape)
        for weight, shape in query.items()
        if ".block2." in weight
    }
    near = first({**query, **wide})
    assert (near.arch, near.is_exact) == ("torchvision/regnet_y_400mf", False)
    assert 0.3 < near.similarity < 0.95


def test_similarity_is_near_the_true_one() -> None:
    names = [
        "torchvision/resnet50",
        "torchvision/resnet101",
        "torchvision/wide_resnet50_2",
        "timm/seresnet50",
    ]
    sets = {name: set(drop_ignored(shapes(name)).items()) for name in names}
    for near in lookup(shapes(names[0])):
        if near.arch in sets:
            one, other = sets[names[0]], sets[near.arch]
            assert abs(near.similarity - len(one & other) / len(one | other)) < 0.15


def drop_ignored(query: dict[str, Shape]) -> dict[str, Shape]:
    return {weight: shape for weight, shape in query.items() if not is_ignored(weight)}


@pytest.mark.parametrize("classes", [1, 2, 1000, 1001, 21843])
def test_any_number_of_classes_is_exact(classes: int) -> None:
    query = shapes("torchvision/shufflenet_v2_x0_5")
    near = first({**query, "fc.weight": (classes, 1024), "fc.bias": (classes,)})
    assert (near.arch, near.is_exact, near.num_classes) == (
        "torchvision/shufflenet_v2_x0_5",
        True,
        classes,
    )


def test_an_inconsistent_last_layer_is_not_exact() -> None:
    assert not first({**shapes("torchvision/resnet18"), "fc.bias": (8,)}).is_exact


def test_a_last_layer_with_another_width_is_not_exact() -> None:
    assert not first({**shapes("torchvision/resnet18"), "fc.weight": (7, 513)}).is_exact


def test_auxiliary_classifiers_are_ignored() -> None:
    query = drop_ignored(shapes("torchvision/googlenet"))
    assert first(query).is_exact
    assert first({**query, "aux1.fc2.weight": (7, 1024), "aux2.fc2.bias": (7,)}).is_exact


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"": ()},
        {"fc.weight": (), "fc.bias": (3, 4, 5)},
        {"fc.weight": (0, 0), "fc.bias": (0,)},
        {"a": (1,), "b": (2,)},
        {"\udcff.weight": (3,), "网.weight": (10**30,)},
        {f"layer{n}.conv.weight": (n, n, 3, 3) for n in range(10_000)},
    ],
    ids=["nothing", "no name", "no axis", "no class", "two", "unicode", "many"],
)
def test_nonsense_has_no_neighbors(query: dict[str, Shape]) -> None:
    assert lookup(query) == []


def test_neighbors_are_few_and_sorted() -> None:
    found = lookup(shapes("torchvision/resnet50"))
    assert len(found) == index.MAX_RESULTS
    assert all(
        one.similarity >= other.similarity >= index.MIN_SIMILARITY for one, other in pairwise(found)
    )
    assert all(near.is_exact == (near.similarity == 1.0) for near in found)


def test_a_model_card_accepts_every_preprocessing() -> None:
    from lightning_resnets.checkpoint import ModelCard

    for name, preprocessing in index.known_models().items():
        ModelCard(
            arch=name,
            class_names=("a",),
            input_size=preprocessing.input_size,
            mean=preprocessing.mean,
            std=preprocessing.std,
            crop_pct=preprocessing.crop_pct,
            channel_order=preprocessing.channel_order,
            interpolation=preprocessing.interpolation,
        )


def test_the_same_models_give_the_same_bytes() -> None:
    names = (
        MODELS[:6]
        if not TIMM
        else [*MODELS[:3], "timm/resnet26", "timm/resnet50", "torchvision/resnet50"]
    )
    models = [build_index.fingerprint_model(name) for name in names]
    again = [build_index.fingerprint_model(name) for name in reversed(names)]
    assert build_index.serialize_index(models) == build_index.serialize_index(copy.deepcopy(again))


def test_the_file_is_small() -> None:
    assert index.INDEX_FILE.stat().st_size < 250_000


def test_lookup_is_fast() -> None:
    query: dict[str, Shape] = {f"features.{n}.weight": (64, n) for n in range(400)}
    index.load_index.cache_clear()
    times: list[float] = []
    for _ in range(6):
        start = time.process_time()
        lookup(query)
        times.append(time.process_time() - start)
    assert times[0] < 0.5  # 0.1 s on an idle machine
    assert min(times[1:]) < 0.1


def test_lookup_of_many_names_is_fast() -> None:
    query = {f"layer{n}.weight": (n,) for n in range(10_000)}
    start = time.perf_counter()
    lookup(query)
    assert time.perf_counter() - start < 2
