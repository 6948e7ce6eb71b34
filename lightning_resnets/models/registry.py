"""All models by name: as torchvision and timm call them (ImageNet), or as papers do (CIFAR)."""

import difflib
import importlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from lightning_resnets.errors import ModelError
from lightning_resnets.models import external, torchvision_baselines
from lightning_resnets.models.bn_inception import BNInception
from lightning_resnets.models.densenet import DenseNet
from lightning_resnets.models.generic import GENERIC_MODELS
from lightning_resnets.models.highway import Highway
from lightning_resnets.models.inception import GoogLeNet
from lightning_resnets.models.inception_resnet import InceptionResNetV2
from lightning_resnets.models.model_names import split_options
from lightning_resnets.models.option_rules import check_options
from lightning_resnets.models.options import describe_bad_options
from lightning_resnets.models.pretrained import load_into_model
from lightning_resnets.models.pretrained_weights import get_pretrained
from lightning_resnets.models.registry_entries import (
    CIFAR_CLASSES,
    IMAGENET_CLASSES,
    RESNET_DEPTHS,
    RESNEXTS,
    ModelEntry,
    cifar_densenet_bc_entry,
    cifar_densenet_entry,
    cifar_entry,
    cifar_resnet_entry,
    imagenet_entry,
    one_layer_entry,
    preact_entry,
    resnet_entry,
    resnext_entry,
    senet154_entry,
    wide_resnet_entry,
)
from lightning_resnets.utils.arguments import check_type
from lightning_resnets.utils.format import first_line, join_first, printable_key


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
            a custom model. Options may follow: `resnet50,stride_in=1x1`. `resnet`, `preresnet` and
            `densenet` have any `depths`.
        num_classes: width of the last layer. None for the model's own: 1,000 for ImageNet models
            and those of torchvision and timm, 10 for CIFAR models and custom models. 0 for a
            feature extractor without a last layer.
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
    check_type("name", name, str, "the name of a model", ModelError)
    check_type("pretrained", pretrained, (bool, str), "True, False or a name", ModelError)
    if pretrained == "":
        raise ModelError("pretrained is empty: give the name of weights, True or False.")
    name, options = split_options(name)
    model_kwargs = {**options, **model_kwargs}
    if pretrained:
        return _create_pretrained(name, num_classes, pretrained, model_kwargs)
    if num_classes is None:
        num_classes = default_num_classes(name)
    # The options of a custom model are its own.
    check_options(num_classes, {} if ":" in name else model_kwargs)
    return _call_factory(name, num_classes, model_kwargs)


def _call_factory(name: str, num_classes: int, model_kwargs: dict[str, Any]) -> nn.Module:
    """Build a model and describe what is wrong with its options if that fails."""
    factory = _find_factory(name)
    try:
        model = factory(num_classes=num_classes, **model_kwargs)
    # Python says in its message which option is unknown.
    except TypeError as error:
        raise ModelError(describe_bad_options(name, factory, error)) from error
    # What torch cannot build, such as more channels than there is memory for.
    except (RuntimeError, ZeroDivisionError) as error:
        raise ModelError(
            f"{name} cannot be built with these options ({first_line(error)}). Choose other values."
        ) from error
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
    if name in GENERIC_MODELS:
        return GENERIC_MODELS[name]
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, 3, 0.5)
        hint = f"near: {', '.join(near)}" if near else f"known: {join_first(MODELS)}"
        raise ModelError(f"There is no model named '{printable_key(name)}' ({hint}).")
    return MODELS[name].factory


def _import_factory(name: str) -> Callable[..., nn.Module]:
    """Import the function of a custom model, whose module may lie in the current folder."""
    module, _, function = name.partition(":")
    folder = str(Path.cwd())
    # Behind installed packages, so that a file here cannot shadow them.
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
    # The user's options override those that the weights need; the shapes are checked later.
    model = create_model(name, num_classes, **{**weights.model_kwargs, **model_kwargs})
    load_into_model(model, weights)
    return model


# Layers with weights; 1202 is the deepest model of the paper.
CIFAR_DEPTHS = (20, 32, 44, 56, 110, 1202)
SE_CIFAR_DEPTHS = (20, 32, 44, 56, 110)
PREACT_DEPTHS = (20, 56, 110, 164, 1001)

# Layers in each dense block, by the number of layers.
DENSENET_DEPTHS = {
    121: (6, 12, 24, 16),
    161: (6, 12, 36, 24),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
    264: (6, 12, 64, 48),
}

# Layers and growth rate of the CIFAR DenseNets.
CIFAR_DENSENETS = ((40, 12), (100, 12), (100, 24))
CIFAR_DENSENETS_BC = ((40, 12), (100, 12), (250, 24), (190, 40), (40, 36), (40, 48), (40, 60))

# timm rounds the widths of its SE networks to multiples of 8.
TIMM_SE_KWARGS: dict[str, Any] = {"se_reduction": 16, "se_divisor": 8}

MODELS: dict[str, ModelEntry] = {
    # CIFAR: ResNet, plain networks, and SE (arXiv:1512.03385, 1709.01507).
    **{f"resnet{n}": cifar_resnet_entry(n) for n in CIFAR_DEPTHS},
    **{f"plain{n}": cifar_resnet_entry(n, "none") for n in CIFAR_DEPTHS},
    **{f"seresnet{n}": cifar_resnet_entry(n, se_reduction=16) for n in SE_CIFAR_DEPTHS},
    # CIFAR: residual blocks of one layer, to compare with those of two.
    **{f"resnet{n}_one_layer": one_layer_entry(n) for n in (20, 56)},
    # CIFAR: pre-activation and wide ResNets (arXiv:1603.05027, 1605.07146).
    **{f"preresnet{n}": preact_entry(n) for n in PREACT_DEPTHS},
    **{f"sepreresnet{n}": preact_entry(n, se_reduction=16) for n in (110, 164)},
    "wrn_16_8": wide_resnet_entry(16, 8),
    "wrn_28_10": wide_resnet_entry(28, 10),
    "sewrn_16_8": wide_resnet_entry(16, 8, se_reduction=16),
    # CIFAR: DenseNets, layers and growth rate (arXiv:1608.06993).
    **{f"densenet_{n}_{k}": cifar_densenet_entry(n, k) for n, k in CIFAR_DENSENETS},
    **{f"densenet_bc_{n}_{k}": cifar_densenet_bc_entry(n, k) for n, k in CIFAR_DENSENETS_BC},
    # CIFAR: highway networks, widths stage by stage (arXiv:1507.06228).
    "highway19": cifar_entry(Highway, ((32, 32, 32, 48, 48), (80,) * 6, (128,) * 6)),
    "highway32": cifar_entry(Highway, ((32,) * 10, (48,) * 10, (64,) * 10)),
    # ImageNet: ResNet, plain, ResNeXt and wide ResNets, named as in torchvision.
    **{f"resnet{n}": resnet_entry(n) for n in RESNET_DEPTHS},
    **{f"plain{n}": resnet_entry(n, shortcut_type="none") for n in (18, 34)},
    **{f"resnext{name}": resnext_entry(name) for name in RESNEXTS},
    **{f"wide_resnet{n}_2": resnet_entry(n, base_width=128) for n in (50, 101)},
    # ImageNet: SE networks, named as in timm.
    **{f"seresnet{n}": resnet_entry(n, **TIMM_SE_KWARGS) for n in RESNET_DEPTHS},
    **{f"seresnext{name}": resnext_entry(name, **TIMM_SE_KWARGS) for name in RESNEXTS},
    "senet154": senet154_entry(),
    # ImageNet: DenseNets, named as in torchvision.
    **{f"densenet{n}": imagenet_entry(DenseNet, DENSENET_DEPTHS[n]) for n in (121, 169, 201, 264)},
    "densenet161": imagenet_entry(DenseNet, DENSENET_DEPTHS[161], growth_rate=48, stem_width=96),
    # ImageNet: Inception networks, with and without residual connections.
    "googlenet": imagenet_entry(GoogLeNet),
    "bn_inception": imagenet_entry(BNInception),
    "se_bn_inception": imagenet_entry(BNInception, se_reduction=16),
    "inception_resnet_v2": imagenet_entry(InceptionResNetV2, image_size=299),
    "inception_v3": imagenet_entry(torchvision_baselines.inception_v3, image_size=299),
    # Baselines without skip connections.
    **{
        name: imagenet_entry(torchvision_baselines.sequential_baseline, name)
        for name in ("alexnet", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn")
    },
}
