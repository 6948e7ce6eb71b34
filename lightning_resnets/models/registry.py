"""All models by name: as torchvision and timm call them (ImageNet), or as papers do (CIFAR)."""

import difflib
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from lightning_resnets.errors import ModelError
from lightning_resnets.models import external, torchvision_baselines
from lightning_resnets.models.densenet import DenseNet
from lightning_resnets.models.highway import Highway
from lightning_resnets.models.inception import BNInception, GoogLeNet
from lightning_resnets.models.inception_resnet import InceptionResNetV2
from lightning_resnets.models.preact_resnet import PreActBasicBlock, PreActBottleneck, PreActResNet
from lightning_resnets.models.pretrained import load_into_model
from lightning_resnets.models.pretrained_weights import get_pretrained
from lightning_resnets.models.residual_blocks import BasicBlock, Bottleneck
from lightning_resnets.models.resnet import ResNet

IMAGENET_CLASSES = 1000
CIFAR_CLASSES = 10


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """Registry entry of one model.

    Attributes:
        factory: builds the model from `num_classes` and model kwargs.
        num_classes: number of classes of the dataset that its paper trained on.
        input_size: (C, H, W) of the images that its paper trained on.
    """

    factory: Callable[..., nn.Module]
    num_classes: int
    input_size: tuple[int, int, int]


def list_models() -> tuple[str, ...]:
    """Return the names of the built-in models."""
    return tuple(MODELS)


def create_model(
    name: str,
    num_classes: int | None = None,
    pretrained: bool | str = False,
    **model_kwargs: Any,
) -> nn.Module:
    """Build a model by name.

    A name with a colon is a custom model: the module is imported (from `sys.path`, then from the
    current folder) and the function is called. That runs the module's code, so such a name must
    come from the user, never from a file.

    Args:
        name: a name of `list_models()`, `torchvision/NAME`, `timm/NAME`, or `module:function` for
            a custom model.
        num_classes: width of the last layer. None for the model's own: 1,000 for ImageNet models
            and those of torchvision and timm, 10 for CIFAR models and custom models.
        pretrained: name of published ImageNet weights ("IMAGENET1K_V1", "ra2_in1k"), or True for
            the best available.
        **model_kwargs: passed to the model's class (`shortcut_type="B"`, `se_reduction=8`,
            `dropout=0.2`), or with `num_classes` to the custom function. Models of torchvision
            and timm take none.

    Returns:
        The model in training mode; input (N, C, H, W), output (N, num_classes) logits.

    Raises:
        ModelError: the name, an option or the name of the weights is unknown.
        DownloadError: published weights could not be downloaded.
    """
    if pretrained:
        return _create_pretrained(name, num_classes, pretrained, model_kwargs)
    if num_classes is None:
        num_classes = default_num_classes(name)
    factory = _find_factory(name)
    try:
        model = factory(num_classes=num_classes, **model_kwargs)
    except TypeError as error:
        raise ModelError(f"The model {name} does not take these options: {error}.") from error
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{name} returned {type(model).__name__}, not a model: return a torch.nn.Module."
        )
    return model


def default_num_classes(name: str) -> int:
    """Return the number of classes that `create_model` uses if none is given.

    Args:
        name: any name that `create_model` takes.

    Returns:
        1,000 for ImageNet, torchvision and timm models, 10 for CIFAR and custom models.
    """
    if ":" in name:
        return CIFAR_CLASSES
    if name in MODELS:
        return MODELS[name].num_classes
    return IMAGENET_CLASSES


def _get_builtin(name: str) -> Callable[..., nn.Module]:
    """Return the function that builds a built-in model; the error lists similar names."""
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, 3, 0.5)
        hint = f"near: {', '.join(near)}" if near else f"known: {', '.join(MODELS)}"
        raise ModelError(f"There is no model named {name!r} ({hint}).")
    return MODELS[name].factory


def _import_factory(name: str) -> Callable[..., nn.Module]:
    """Import the function of a custom model, whose module may lie in the current folder."""
    module, _, function = name.partition(":")
    folder = str(Path.cwd())
    sys.path.append(folder)
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(
            f"There is no model {name!r} ({error}): "
            "name it as module:function, the module's file in this folder."
        ) from error
    finally:
        sys.path.remove(folder)


def _find_factory(name: str) -> Callable[..., nn.Module]:
    """Return the function that builds a model of any kind of name."""
    if ":" in name:
        return _import_factory(name)
    if "/" in name:
        return partial(external.create_external, name)
    return _get_builtin(name)


def _create_pretrained(
    name: str, num_classes: int | None, pretrained: bool | str, model_kwargs: dict[str, Any]
) -> nn.Module:
    """Build a model with published weights and the options that they need."""
    weights = get_pretrained(name, pretrained)
    model = create_model(name, num_classes, **{**weights.model_kwargs, **model_kwargs})
    load_into_model(model, weights)
    return model


def _cifar_entry(factory: Callable[..., nn.Module], *args: Any, **model_kwargs: Any) -> ModelEntry:
    """Register a model for CIFAR-10."""
    return ModelEntry(partial(factory, *args, **model_kwargs), CIFAR_CLASSES, (3, 32, 32))


def _imagenet_entry(
    factory: Callable[..., nn.Module], *args: Any, image_size: int = 224, **model_kwargs: Any
) -> ModelEntry:
    """Register a model for ImageNet."""
    input_size = (3, image_size, image_size)
    return ModelEntry(partial(factory, *args, **model_kwargs), IMAGENET_CLASSES, input_size)


def _cifar_resnet_entry(depth: int, shortcut_type: str = "A", **model_kwargs: Any) -> ModelEntry:
    """Register a ResNet of 6n + 2 layers for 32x32 images (arXiv:1512.03385, section 4.2)."""
    depths = ((depth - 2) // 6,) * 3
    return _cifar_entry(
        ResNet, BasicBlock, depths, stem="cifar", shortcut_type=shortcut_type, **model_kwargs
    )


def _preact_entry(depth: int, **model_kwargs: Any) -> ModelEntry:
    """Register a pre-activation ResNet of 6n + 2 layers (arXiv:1603.05027, section 4).

    From 164 layers on it has 9n + 2 in bottlenecks.
    """
    if depth < 164:
        depths = ((depth - 2) // 6,) * 3
        return _cifar_entry(PreActResNet, PreActBasicBlock, depths, **model_kwargs)
    depths = ((depth - 2) // 9,) * 3
    return _cifar_entry(PreActResNet, PreActBottleneck, depths, **model_kwargs)


def _wide_resnet_entry(depth: int, widen_factor: int, **model_kwargs: Any) -> ModelEntry:
    """Register WRN-depth-widen_factor of 6n + 4 layers (arXiv:1605.07146, table 1)."""
    depths = ((depth - 4) // 6,) * 3
    return _cifar_entry(
        PreActResNet, PreActBasicBlock, depths, widen_factor=widen_factor, **model_kwargs
    )


def _cifar_densenet_entry(depth: int, growth_rate: int) -> ModelEntry:
    """Register a DenseNet of three equal blocks for 32x32 images (arXiv:1608.06993, section 3)."""
    return _cifar_entry(
        DenseNet,
        ((depth - 4) // 3,) * 3,
        growth_rate=growth_rate,
        stem_width=16,
        stem="cifar",
        bottleneck_factor=0,
        compression=1.0,
    )


def _cifar_densenet_bc_entry(depth: int, growth_rate: int) -> ModelEntry:
    """Register a DenseNet-BC, with bottlenecks and compression (arXiv:1608.06993, section 3)."""
    return _cifar_entry(
        DenseNet,
        ((depth - 4) // 6,) * 3,
        growth_rate=growth_rate,
        stem_width=2 * growth_rate,
        stem="cifar",
        bottleneck_factor=4,
        compression=0.5,
    )


def _resnet_entry(depth: int, **model_kwargs: Any) -> ModelEntry:
    """Register a ResNet for ImageNet (arXiv:1512.03385, table 1)."""
    block = BasicBlock if depth < 50 else Bottleneck
    return _imagenet_entry(ResNet, block, RESNET_DEPTHS[depth], **model_kwargs)


def _resnext_entry(name: str, **model_kwargs: Any) -> ModelEntry:
    """Register a ResNeXt for ImageNet (arXiv:1611.05431, table 1)."""
    depth, groups, base_width = RESNEXTS[name]
    return _resnet_entry(depth, groups=groups, base_width=base_width, **model_kwargs)


CIFAR_DEPTHS = (20, 32, 44, 56, 110, 1202)
SE_CIFAR_DEPTHS = (20, 32, 44, 56, 110)
PREACT_DEPTHS = (20, 56, 110, 164, 1001)

# Blocks in each stage, by the number of layers.
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

# Layers and growth rate of the CIFAR DenseNets.
CIFAR_DENSENETS = ((40, 12), (100, 12), (100, 24))
CIFAR_DENSENETS_BC = ((40, 12), (100, 12), (250, 24), (190, 40), (40, 36), (40, 48), (40, 60))

# Layers, groups and width of a group.
RESNEXTS = {
    "50_32x4d": (50, 32, 4),
    "101_32x4d": (101, 32, 4),
    "101_32x8d": (101, 32, 8),
    "101_64x4d": (101, 64, 4),
}

# timm rounds the widths of its SE networks to multiples of 8.
TIMM_SE_KWARGS: dict[str, Any] = {"se_reduction": 16, "se_divisor": 8}

MODELS: dict[str, ModelEntry] = {
    **{f"resnet{n}": _cifar_resnet_entry(n) for n in CIFAR_DEPTHS},
    **{f"plain{n}": _cifar_resnet_entry(n, "none") for n in CIFAR_DEPTHS},
    **{f"seresnet{n}": _cifar_resnet_entry(n, se_reduction=16) for n in SE_CIFAR_DEPTHS},
    **{f"preresnet{n}": _preact_entry(n) for n in PREACT_DEPTHS},
    **{f"sepreresnet{n}": _preact_entry(n, se_reduction=16) for n in (110, 164)},
    "wrn_16_8": _wide_resnet_entry(16, 8),
    "wrn_28_10": _wide_resnet_entry(28, 10),
    "sewrn_16_8": _wide_resnet_entry(16, 8, se_reduction=16),
    **{f"densenet_{n}_{k}": _cifar_densenet_entry(n, k) for n, k in CIFAR_DENSENETS},
    **{f"densenet_bc_{n}_{k}": _cifar_densenet_bc_entry(n, k) for n, k in CIFAR_DENSENETS_BC},
    "highway19": _cifar_entry(Highway, ((32, 32, 32, 48, 48), (80,) * 6, (128,) * 6)),
    "highway32": _cifar_entry(Highway, ((32,) * 10, (48,) * 10, (64,) * 10)),
    **{f"resnet{n}": _resnet_entry(n) for n in RESNET_DEPTHS},
    **{f"plain{n}": _resnet_entry(n, shortcut_type="none") for n in (18, 34)},
    **{f"resnext{name}": _resnext_entry(name) for name in RESNEXTS},
    **{f"wide_resnet{n}_2": _resnet_entry(n, base_width=128) for n in (50, 101)},
    **{f"seresnet{n}": _resnet_entry(n, **TIMM_SE_KWARGS) for n in RESNET_DEPTHS},
    **{f"seresnext{name}": _resnext_entry(name, **TIMM_SE_KWARGS) for name in RESNEXTS},
    **{f"densenet{n}": _imagenet_entry(DenseNet, DENSENET_DEPTHS[n]) for n in (121, 169, 201)},
    "densenet161": _imagenet_entry(DenseNet, DENSENET_DEPTHS[161], growth_rate=48, stem_width=96),
    "googlenet": _imagenet_entry(GoogLeNet),
    "bn_inception": _imagenet_entry(BNInception),
    "se_bn_inception": _imagenet_entry(BNInception, se_reduction=16),
    "inception_resnet_v2": _imagenet_entry(InceptionResNetV2, image_size=299),
    "inception_v3": _imagenet_entry(torchvision_baselines.inception_v3, image_size=299),
    "alexnet": _imagenet_entry(torchvision_baselines.alexnet),
    "vgg16": _imagenet_entry(torchvision_baselines.vgg16),
    "vgg19": _imagenet_entry(torchvision_baselines.vgg19),
}
