"""All models by name: ImageNet models as torchvision and timm call them, CIFAR models as their papers do."""

import difflib
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from lightning_resnets.models import external, torchvision_baselines
from lightning_resnets.models.densenet import DenseNet
from lightning_resnets.models.highway import Highway
from lightning_resnets.models.inception import BNInception, GoogLeNet
from lightning_resnets.models.inception_resnet import InceptionResNetV2
from lightning_resnets.models.preact_resnet import PreActBasicBlock, PreActBottleneck, PreActResNet
from lightning_resnets.models.residual_blocks import BasicBlock, Bottleneck
from lightning_resnets.models.resnet import ResNet


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """How a model is made, and what its paper made it for: so many classes, images of (C, H, W)."""

    factory: Callable[..., nn.Module]
    num_classes: int
    input_size: tuple[int, int, int]


def cifar_entry(factory: Callable[..., nn.Module], *args: Any, **model_kwargs: Any) -> ModelEntry:
    return ModelEntry(partial(factory, *args, **model_kwargs), 10, (3, 32, 32))


def imagenet_entry(
    factory: Callable[..., nn.Module], *args: Any, image_size: int = 224, **model_kwargs: Any
) -> ModelEntry:
    return ModelEntry(partial(factory, *args, **model_kwargs), 1000, (3, image_size, image_size))


def cifar_resnet_entry(depth: int, shortcut_type: str = "A", **model_kwargs: Any) -> ModelEntry:
    """ResNet of 6n + 2 layers for 32x32 images (arXiv:1512.03385, section 4.2)."""
    return cifar_entry(
        ResNet,
        BasicBlock,
        ((depth - 2) // 6,) * 3,
        stem="cifar",
        shortcut_type=shortcut_type,
        **model_kwargs,
    )


def preact_resnet_entry(depth: int, **model_kwargs: Any) -> ModelEntry:
    """Pre-activation model of 6n + 2 layers, from 164 on of 9n + 2 in bottlenecks (arXiv:1603.05027)."""
    if depth < 164:
        return cifar_entry(PreActResNet, PreActBasicBlock, ((depth - 2) // 6,) * 3, **model_kwargs)
    return cifar_entry(PreActResNet, PreActBottleneck, ((depth - 2) // 9,) * 3, **model_kwargs)


def wide_resnet_entry(depth: int, widen_factor: int, **model_kwargs: Any) -> ModelEntry:
    """WRN-depth-widen of 6n + 4 layers (arXiv:1605.07146)."""
    return cifar_entry(
        PreActResNet,
        PreActBasicBlock,
        ((depth - 4) // 6,) * 3,
        widen_factor=widen_factor,
        **model_kwargs,
    )


def cifar_densenet_entry(depth: int, growth_rate: int, bc: bool) -> ModelEntry:
    """DenseNet of three equal blocks for 32x32 images; `bc` adds bottlenecks and compression (arXiv:1608.06993)."""
    layers = (depth - 4) // (6 if bc else 3)
    width, bottleneck, compression = (2 * growth_rate, 4, 0.5) if bc else (16, 0, 1.0)
    return cifar_entry(
        DenseNet,
        (layers,) * 3,
        growth_rate=growth_rate,
        stem_width=width,
        stem="cifar",
        bottleneck_factor=bottleneck,
        compression=compression,
    )


RESNET_DEPTHS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


DENSENET_DEPTHS = {
    121: (6, 12, 24, 16),
    161: (6, 12, 36, 24),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
}


CIFAR_DENSENETS = ((40, 12), (100, 12), (100, 24))  # layers and growth of the CIFAR DenseNets


CIFAR_DENSENETS_BC = ((40, 12), (100, 12), (250, 24), (190, 40), (40, 36), (40, 48), (40, 60))


RESNEXTS = {
    "50_32x4d": (50, 32, 4),
    "101_32x4d": (101, 32, 4),
    "101_32x8d": (101, 32, 8),
    "101_64x4d": (101, 64, 4),
}


TIMM_SE_KWARGS: dict[str, Any] = {
    "se_reduction": 16,
    "se_divisor": 8,
}  # timm rounds the widths of its SE networks


def imagenet_resnet_entry(depth: int, **model_kwargs: Any) -> ModelEntry:
    return imagenet_entry(
        ResNet, BasicBlock if depth < 50 else Bottleneck, RESNET_DEPTHS[depth], **model_kwargs
    )


MODELS: dict[str, ModelEntry] = {
    **{f"resnet{depth}": cifar_resnet_entry(depth) for depth in (20, 32, 44, 56, 110, 1202)},
    **{f"plain{depth}": cifar_resnet_entry(depth, "none") for depth in (20, 32, 44, 56, 110, 1202)},
    **{
        f"seresnet{depth}": cifar_resnet_entry(depth, se_reduction=16)
        for depth in (20, 32, 44, 56, 110)
    },
    **{f"preresnet{depth}": preact_resnet_entry(depth) for depth in (20, 56, 110, 164, 1001)},
    **{f"sepreresnet{depth}": preact_resnet_entry(depth, se_reduction=16) for depth in (110, 164)},
    "wrn_16_8": wide_resnet_entry(16, 8),
    "wrn_28_10": wide_resnet_entry(28, 10),
    "sewrn_16_8": wide_resnet_entry(16, 8, se_reduction=16),
    **{
        f"densenet_{depth}_{k}": cifar_densenet_entry(depth, k, False)
        for depth, k in CIFAR_DENSENETS
    },
    **{
        f"densenet_bc_{depth}_{k}": cifar_densenet_entry(depth, k, True)
        for depth, k in CIFAR_DENSENETS_BC
    },
    "highway19": cifar_entry(Highway, ((32, 32, 32, 48, 48), (80,) * 6, (128,) * 6)),
    "highway32": cifar_entry(Highway, ((32,) * 10, (48,) * 10, (64,) * 10)),
    **{f"resnet{depth}": imagenet_resnet_entry(depth) for depth in RESNET_DEPTHS},
    **{f"plain{depth}": imagenet_resnet_entry(depth, shortcut_type="none") for depth in (18, 34)},
    **{
        f"resnext{name}": imagenet_resnet_entry(d, groups=g, base_width=w)
        for name, (d, g, w) in RESNEXTS.items()
    },
    **{
        f"wide_resnet{depth}_2": imagenet_resnet_entry(depth, base_width=128) for depth in (50, 101)
    },
    **{
        f"seresnet{depth}": imagenet_resnet_entry(depth, **TIMM_SE_KWARGS)
        for depth in RESNET_DEPTHS
    },
    **{
        f"seresnext{name}": imagenet_resnet_entry(d, groups=g, base_width=w, **TIMM_SE_KWARGS)
        for name, (d, g, w) in RESNEXTS.items()
    },
    **{
        f"densenet{depth}": imagenet_entry(DenseNet, blocks)
        for depth, blocks in DENSENET_DEPTHS.items()
        if depth != 161
    },
    "densenet161": imagenet_entry(DenseNet, DENSENET_DEPTHS[161], growth_rate=48, stem_width=96),
    "googlenet": imagenet_entry(GoogLeNet),
    "bn_inception": imagenet_entry(BNInception),
    "se_bn_inception": imagenet_entry(BNInception, se_reduction=16),
    "inception_resnet_v2": imagenet_entry(InceptionResNetV2, image_size=299),
    "inception_v3": imagenet_entry(torchvision_baselines.inception_v3, image_size=299),
    "alexnet": imagenet_entry(torchvision_baselines.alexnet),
    "vgg16": imagenet_entry(torchvision_baselines.vgg16),
    "vgg19": imagenet_entry(torchvision_baselines.vgg19),
}


def list_models() -> tuple[str, ...]:
    """Names of the models that the library brings."""
    return tuple(MODELS)


def create_model(
    name: str, num_classes: int = 10, pretrained: bool | str = False, **model_kwargs: Any
) -> nn.Module:
    """Build a model by name, in training mode, with fresh weights, or with published ones of ImageNet.

    `classes` is the width of the last layer; `options` go to the model's class (`shortcut="B"`, `se=8`, `dropout=0.2`).
    `torchvision/NAME` and `timm/NAME` are classification models of these packages (`external.make`), without options.
    A name with a colon, `module:function`, is a model of your own: the module is imported (from where Python looks, then
    from the current folder) and the function called with `classes` and `options`. That runs the module's code, so such
    a name must come from you, never from a file. `pretrained` fetches weights by the name that torchvision or timm give
    them ("IMAGENET1K_V1", "ra2_in1k"), True the best there are. Raises ValueError for a name that is not known, naming
    near ones, for an option that the model does not have, and where weights cannot be had.
    """
    if pretrained:
        return create_pretrained(name, num_classes, pretrained, model_kwargs)
    make = (
        import_factory(name)
        if ":" in name
        else partial(external.create_external, name)
        if "/" in name
        else get_factory(name)
    )
    try:
        model = make(num_classes=num_classes, **model_kwargs)
    except TypeError as error:
        raise ValueError(f"The model {name} does not take these options: {error}.") from error
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"{name} gave {type(model).__name__}, not a model: return a torch.nn.Module from it."
        )
    return model


def create_pretrained(
    name: str, num_classes: int, pretrained: bool | str, model_kwargs: dict[str, Any]
) -> nn.Module:
    """The same with published weights, in the form of the model that they are for."""
    from lightning_resnets.models.pretrained import load_into_model
    from lightning_resnets.models.pretrained_weights import get_pretrained

    weights = get_pretrained(name, pretrained)
    model = create_model(name, num_classes, **{**weights.model_kwargs, **model_kwargs})
    load_into_model(model, weights)
    return model


def get_factory(name: str) -> Callable[..., nn.Module]:
    """How a model of the library is made."""
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, 3, 0.5)
        hint = f"near: {', '.join(near)}" if near else f"known: {', '.join(MODELS)}"
        raise ValueError(f"There is no model named {name!r} ({hint}).")
    return MODELS[name].factory


def import_factory(name: str) -> Callable[..., nn.Module]:
    """The user's function behind `module:function`, imported."""
    module, _, function = name.partition(":")
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"There is no model {name!r} ({error}): name it as module:function, the module's file in this folder."
        ) from error
    finally:
        sys.path.remove(here)
    return make
