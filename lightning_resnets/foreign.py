"""Nets of torchvision and timm under `torchvision/NAME` and `timm/NAME`: known ones only, built without their weights.

Their package is imported when one of them is built, not before.
"""

import difflib
import warnings
from typing import Any

from torch import nn

from lightning_resnets.checkpoint.origin import index

ALONE = {"googlenet": {"aux_logits": False}, "inception_v3": {"aux_logits": False}}  # they answer with logits only


def make(name: str, classes: int = 1000, **options: object) -> nn.Module:
    """A classification net of another package, in training mode, with fresh weights and no module that works in place.

    `name` is one that the index of fingerprints lists; torchvision's GoogLeNet and Inception-v3 come without their
    auxiliary classifiers. Options are not taken: what a file may ask for is a net that is known, nothing else. Raises
    ValueError for another name, for options, and where the package is missing or too old for the net.
    """
    if name not in index.names():
        near = difflib.get_close_matches(name, index.names(), 3, 0.6)
        hint = f"near: {', '.join(near)}" if near else "names begin with torchvision/ or timm/"
        raise ValueError(f"There is no net named {name!r} ({hint}).")
    if options:
        raise ValueError(f"The net {name} takes no options ({', '.join(options)}): leave them out.")
    return kept(construct(name, classes))


def construct(name: str, classes: int) -> nn.Module:
    """The net as its package makes it, known to the index or not."""
    package, _, net = name.partition("/")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what packages have to say to those who write them
        return _torchvision(net, classes) if package == "torchvision" else _timm(net, classes)


def _torchvision(net: str, classes: int) -> nn.Module:
    import torchvision
    from torchvision import models

    if net not in models.list_models(module=models):
        raise ValueError(_too_old("torchvision", torchvision.__version__, net))
    options: dict[str, Any] = ALONE.get(net, {})
    drawn = {"init_weights": False} if net in ALONE else {}  # else their start takes seconds
    return models.get_model(net, weights=None, num_classes=classes, **options, **drawn)


def _timm(net: str, classes: int) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise ValueError(f"timm/{net} is a net of timm, which is not installed: pip install timm.") from error
    if not timm.is_model(net):
        raise ValueError(_too_old("timm", timm.__version__, net))
    return timm.create_model(net, pretrained=False, num_classes=classes)


def _too_old(package: str, version: str, net: str) -> str:
    return f"{package} {version}, which is installed, has no net {net}: pip install --upgrade {package}."


def kept(net: nn.Module) -> nn.Module:
    """The net with no module that works in place: what a probe records must not be overwritten after it."""
    for module in net.modules():
        if vars(module).get("inplace") is True:
            vars(module)["inplace"] = False
    return net
