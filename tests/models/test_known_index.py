"""The index of fingerprints: every model is found by its names and shapes, near ones near, and nothing for nonsense."""

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
MODELS = [
    *(
        f"torchvision/{name}"
        for name in ("alexnet", "convnext_tiny", "efficientnet_b0", "googlenet", "inception_v3")
    ),
    *(
        f"torchvision/{name}"
        for name in ("mnasnet0_5", "mobilenet_v3_small", "regnet_y_400mf", "resnext50_32x4d")
    ),
    *(
        f"torchvision/{name}"
        for name in ("shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "vgg11_bn", "vit_b_16")
    ),
    *(
        f"timm/{name}"
        for name in ("convnextv2_atto", "deit_tiny_distilled_patch16_224", "densenet169", "dpn68")
    ),
    *(
        f"timm/{name}"
        for name in ("hrnet_w18_small", "levit_128", "mixer_s32_224", "nfnet_f0", "regnetx_002")
    ),
    *(
        f"timm/{name}"
        for name in (
            "resnet26",
            "seresnet50",
            "swin_tiny_patch4_window7_224",
            "tf_efficientnetv2_s",
        )
    ),
    *(f"timm/{name}" for name in ("vgg11", "vit_tiny_patch16_224", "xcit_nano_12_p16_224")),
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


def first(seen: dict[str, Shape]) -> Neighbor:
    return lookup(seen)[0]


@pytest.mark.parametrize("name", MODELS)
def test_a_net_is_found_by_its_own_names_and_shapes(name: str) -> None:
    found = lookup(shapes(name))
    same = {near.arch: near for near in found if near.is_exact}
    assert name in same
    assert (same[name].similarity, same[name].num_classes) == (1.0, 7)
    assert found[: len(same)] == list(same.values())
    assert shapes(found[0].arch, found[0].num_classes).items() == shapes(name).items()


def test_the_index_is_what_the_installed_packages_have() -> None:
    """A few models whose names and shapes no release has changed."""
    assert current(name for name in MODELS if TIMM or not name.startswith("timm/")) == []


@pytest.mark.slow
@pytest.mark.skipif(not TIMM, reason="timm is not installed")
def test_a_sample_of_the_index_is_what_the_very_releases_have() -> None:
    if build_index.package_versions() != index.load_index().versions:
        pytest.skip(
            f"the index was made with {index.load_index().versions}, installed is {build_index.package_versions()}"
        )
    assert current(random.Random(0).sample(sorted(index.known_models()), 60)) == []


def current(names) -> list[str]:  # pyright: ignore[reportMissingParameterType]
    """Those of the names that have another fingerprint, head or input now."""
    entries = {
        name: (entry, wants) for entry in index.load_index().entries for name, wants in entry.models
    }
    wrong = list[str]()
    for name in names:
        entry, wants = entries[name]
        now = build_index.fingerprint_model(name)
        if (now.head, now.fingerprint.hash_sum, now.fingerprint.numel, now.preprocessing) != (
            entry.classifier_keys,
            entry.fingerprint,
            entry.numel,
            wants,
        ):
            wrong.append(name)
    return wrong


def test_every_net_is_in_the_index_but_those_without_a_last_layer() -> None:
    names = index.known_models()
    assert sum(name.startswith("torchvision/") for name in names) == 80
    assert sum(name.startswith("timm/") for name in names) > 1300
    assert len(names) == sum(len(entry.models) for entry in index.load_index().entries)


def test_no_two_entries_are_alike() -> None:
    marks = [(entry.fingerprint, entry.classifier_keys) for entry in index.load_index().entries]
    assert len(set(marks)) == len(marks)


def test_of_nets_that_are_built_alike_torchvision_comes_first() -> None:
    found = [near.arch for near in lookup(shapes("torchvision/resnet50")) if near.is_exact]
    assert found[:2] == ["torchvision/resnet50", "timm/resnet50"]


@pytest.mark.parametrize(
    "name", ["torchvision/resnet34", "torchvision/swin_t", "timm/seresnet50", "timm/levit_128"]
)
def test_without_its_last_layer_a_net_is_still_the_nearest(name: str) -> None:
    heads = {
        weight
        for weight, _ in next(
            e.classifier_keys for e in index.load_index().entries if name in dict(e.models)
        )
    }
    near = first({weight: shape for weight, shape in shapes(name).items() if weight not in heads})
    assert shapes(near.arch).items() == shapes(name).items()
    assert (near.is_exact, near.num_classes) == (False, 1000)
    assert 0.9 < near.similarity < 1


@pytest.mark.parametrize(
    ("name", "block"),
    [("torchvision/resnet50", "layer3.5."), ("torchvision/convnext_tiny", "features.5.8.")],
)
def test_with_a_block_less_a_net_is_still_the_nearest(name: str, block: str) -> None:
    kept = {weight: shape for weight, shape in shapes(name).items() if not weight.startswith(block)}
    assert len(kept) < len(shapes(name))
    near = first(kept)
    assert (near.arch, near.is_exact, near.num_classes) == (name, False, 7)
    assert 0.8 < near.similarity < 1


def test_with_a_block_more_a_net_is_still_the_nearest() -> None:
    seen = shapes("torchvision/resnet50")
    more = {
        weight.replace("3.5.", "3.6."): shape
        for weight, shape in seen.items()
        if weight.startswith("layer3.5.")
    }
    near = first({**seen, **more})
    assert (near.arch, near.is_exact, near.num_classes) == ("torchvision/resnet50", False, 7)


def test_with_one_stage_of_other_widths_a_net_is_still_the_nearest() -> None:
    seen = shapes("torchvision/regnet_y_400mf")
    wide = {
        weight: tuple(2 * side for side in shape)
        for weight, shape in seen.items()
        if ".block2." in weight
    }
    near = first({**seen, **wide})
    assert (near.arch, near.is_exact) == ("torchvision/regnet_y_400mf", False)
    assert 0.3 < near.similarity < 0.95


def test_a_share_is_near_the_true_one() -> None:
    names = [
        "torchvision/resnet50",
        "torchvision/resnet101",
        "torchvision/wide_resnet50_2",
        "timm/seresnet50",
    ]
    sets = {name: set(clean(shapes(name)).items()) for name in names}
    for near in lookup(shapes(names[0])):
        if near.arch in sets:
            one, other = sets[names[0]], sets[near.arch]
            assert abs(near.similarity - len(one & other) / len(one | other)) < 0.15


def clean(seen: dict[str, Shape]) -> dict[str, Shape]:
    return {weight: shape for weight, shape in seen.items() if not is_ignored(weight)}


@pytest.mark.parametrize("classes", [1, 2, 1000, 1001, 21843])
def test_any_number_of_classes_will_do(classes: int) -> None:
    seen = shapes("torchvision/shufflenet_v2_x0_5")
    near = first({**seen, "fc.weight": (classes, 1024), "fc.bias": (classes,)})
    assert (near.arch, near.is_exact, near.num_classes) == (
        "torchvision/shufflenet_v2_x0_5",
        True,
        classes,
    )


def test_a_last_layer_whose_parts_disagree_is_not_the_same() -> None:
    assert not first({**shapes("torchvision/resnet18"), "fc.bias": (8,)}).is_exact


def test_a_last_layer_of_another_width_is_not_the_same() -> None:
    assert not first({**shapes("torchvision/resnet18"), "fc.weight": (7, 513)}).is_exact


def test_ballast_does_not_count() -> None:
    seen = clean(shapes("torchvision/googlenet"))
    assert first(seen).is_exact
    assert first({**seen, "aux1.fc2.weight": (7, 1024), "aux2.fc2.bias": (7,)}).is_exact


@pytest.mark.parametrize(
    "seen",
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
def test_nonsense_is_near_nothing(seen: dict[str, Shape]) -> None:
    assert lookup(seen) == []


def test_an_answer_is_short_and_sorted() -> None:
    found = lookup(shapes("torchvision/resnet50"))
    assert len(found) == index.MAX_RESULTS
    assert all(
        one.similarity >= other.similarity >= index.MIN_SIMILARITY for one, other in pairwise(found)
    )
    assert all(near.is_exact == (near.similarity == 1.0) for near in found)


def test_inputs_are_such_that_a_card_takes_them() -> None:
    from lightning_resnets.checkpoint import ModelCard

    for name, wants in index.known_models().items():
        ModelCard(
            arch=name,
            class_names=("a",),
            input_size=wants.input_size,
            mean=wants.mean,
            std=wants.std,
            crop_pct=wants.crop_pct,
            channel_order=wants.channel_order,
            interpolation=wants.interpolation,
        )


def test_the_same_nets_give_the_same_bytes() -> None:
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


def test_looking_up_is_quick() -> None:
    seen: dict[str, Shape] = {f"features.{n}.weight": (64, n) for n in range(400)}
    index.load_index.cache_clear()
    times: list[float] = []
    for _ in range(6):
        start = time.process_time()
        lookup(seen)
        times.append(time.process_time() - start)
    assert times[0] < 0.5  # 0.1 s on a machine that does nothing else
    assert min(times[1:]) < 0.1


def test_nonsense_of_many_names_takes_no_time() -> None:
    seen = {f"layer{n}.weight": (n,) for n in range(10_000)}
    start = time.perf_counter()
    lookup(seen)
    assert time.perf_counter() - start < 2
