"""Trace and fold every built-in model; compare merges with formulas and parameters with counts."""

from collections import Counter

import pytest
from torch import nn

from lightning_resnets import create_model
from lightning_resnets.graph import trace
from lightning_resnets.merges import MergeKind
from lightning_resnets.models.registry import (
    CIFAR_DENSENETS,
    CIFAR_DENSENETS_BC,
    MODELS,
    RESNET_DEPTHS,
    RESNEXTS,
)
from lightning_resnets.utils.parameters import count_parameters
from lightning_resnets.utils.skip_init import skip_init

SLOW = {
    "resnet1202",
    "plain1202",
    "preresnet1001",
    "densenet_bc_250_24",
    "densenet_100_24",
    "densenet201",
    "densenet264",
    "senet154",
}

Merges = tuple[int, int, int]  # adds, concats, gates


def dense(layers: tuple[int, ...]) -> Merges:
    return 0, sum(layers), 0  # every layer but the first of each block, and each block's output


# Merges of every model by the layers in its name.
FORMULAS: dict[str, Merges] = {
    **{f"resnet{n}": ((n - 2) // 2, 0, 0) for n in (20, 32, 44, 56, 110, 1202)},
    **{f"plain{n}": (0, 0, 0) for n in (20, 32, 44, 56, 110, 1202, 18, 34)},
    **{f"seresnet{n}": ((n - 2) // 2, 0, (n - 2) // 2) for n in (20, 32, 44, 56, 110)},
    **{f"preresnet{n}": ((n - 2) // (2 if n < 164 else 3), 0, 0) for n in (20, 56, 110, 164, 1001)},
    "sepreresnet110": (54, 0, 54),
    "sepreresnet164": (54, 0, 54),
    "wrn_16_8": (6, 0, 0),
    "sewrn_16_8": (6, 0, 6),
    "wrn_28_10": (12, 0, 0),
    **{f"densenet_{n}_{k}": dense(((n - 4) // 3,) * 3) for n, k in CIFAR_DENSENETS},
    **{f"densenet_bc_{n}_{k}": dense(((n - 4) // 6,) * 3) for n, k in CIFAR_DENSENETS_BC},
    "highway19": (13, 0, 26),
    "highway32": (27, 0, 54),
    **{f"resnet{n}": (sum(blocks), 0, 0) for n, blocks in RESNET_DEPTHS.items()},
    **{f"seresnet{n}": (sum(blocks), 0, sum(blocks)) for n, blocks in RESNET_DEPTHS.items()},
    **{f"resnext{name}": (sum(RESNET_DEPTHS[row[0]]), 0, 0) for name, row in RESNEXTS.items()},
    **{
        f"seresnext{name}": (sum(RESNET_DEPTHS[row[0]]), 0, sum(RESNET_DEPTHS[row[0]]))
        for name, row in RESNEXTS.items()
    },
    "wide_resnet50_2": (16, 0, 0),
    "wide_resnet101_2": (33, 0, 0),
    "densenet121": dense((6, 12, 24, 16)),
    "densenet161": dense((6, 12, 36, 24)),
    "densenet169": dense((6, 12, 32, 32)),
    "densenet201": dense((6, 12, 48, 32)),
    "densenet264": dense((6, 12, 64, 48)),
    "googlenet": (0, 9, 0),
    "bn_inception": (0, 10, 0),
    "se_bn_inception": (0, 10, 10),
    "inception_resnet_v2": (40, 43, 0),
    "inception_v3": (0, 15, 0),
    **dict.fromkeys(("alexnet", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"), (0, 0, 0)),
    "senet154": (50, 0, 50),
    "resnet20_one_layer": (18, 0, 0),
    "resnet56_one_layer": (54, 0, 0),
}


def build_uninitialized(name: str) -> nn.Module:
    with skip_init():
        return create_model(name, MODELS[name].num_classes)


def test_every_model_has_a_formula() -> None:
    assert FORMULAS.keys() == MODELS.keys()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in MODELS],
)
def test_traced_and_folded_models_keep_merges_and_parameters(name: str) -> None:
    model = build_uninitialized(name)
    graph = trace(model, MODELS[name].input_size)
    kinds = Counter(block.kind for block in graph.merges)
    assert (kinds[MergeKind.ADD], kinds[MergeKind.CONCAT], kinds[MergeKind.GATE]) == FORMULAS[name]
    assert graph.parameters == count_parameters(model)
    for depth in (1, 2):
        folded = graph.fold(depth)
        assert (folded.parameters, folded.macs) == (graph.parameters, graph.macs)
    assert [merge.name for merge in graph.fold().merges] == [merge.name for merge in graph.merges]


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "inception_v3"])
def test_no_option_of_a_baseline_can_cause_a_download(name: str) -> None:
    for option in ({"weights": "DEFAULT"}, {"init_weights": True}, {"progress": True}):
        with pytest.raises(ValueError, match="does not take these options"):
            create_model(name, **option)  # type: ignore[arg-type]
