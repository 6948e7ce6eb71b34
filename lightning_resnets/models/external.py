"""Models of torchvision and timm under `torchvision/NAME` and `timm/NAME`: known ones only, built without their weights.

Their package is imported when one of them is built, not before.
"""

import difflib
import warnings
from typing import Any

from torch import nn

from lightning_resnets.models.known import index

EXTRA_KWARGS = {
    "googlenet": {"aux_logits": False},
    "inception_v3": {"aux_logits": False},
}  # they answer with logits only


def create_external(name: str, num_classes: int = 1000, **model_kwargs: object) -> nn.Module:
    """A classification model of another package, in training mode, with fresh weights and no module that works in place.

    `name` is one that the index of fingerprints lists; torchvision's GoogLeNet and Inception-v3 come without their
    auxiliary classifiers. Options are not taken: what a file may ask for is a model that is known, nothing else. Raises
    ValueError for another name, for options, and where the package is missing or too old for the model.
    """
    if name not in index.known_models():
        near = difflib.get_close_matches(name, index.known_models(), 3, 0.6)
        hint = f"near: {', '.join(near)}" if near else "names begin with torchvision/ or timm/"
        raise ValueError(f"There is no model named {name!r} ({hint}).")
    if model_kwargs:
        raise ValueError(
            f"The model {name} takes no options ({', '.join(model_kwargs)}): leave them out."
        )
    return without_inplace(build_external(name, num_classes))


def build_external(name: str, num_classes: int) -> nn.Module:
    """The model as its package makes it, known to the index or not."""
    package, _, model = name.partition("/")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what packages have to say to those who write them
        return (
            _torchvision(model, num_classes)
            if package == "torchvision"
            else _timm(model, num_classes)
        )


def _torchvision(model: str, num_classes: int) -> nn.Module:
    import torchvision
    from torchvision import models

    if model not in models.list_models(module=models):
        raise ValueError(_too_old("torchvision", torchvision.__version__, model))
    options: dict[str, Any] = EXTRA_KWARGS.get(model, {})
    drawn = (
        {"init_weights": False} if model in EXTRA_KWARGS else {}
    )  # else their start takes seconds
    return models.get_model(model, weights=None, num_classes=num_classes, **options, **drawn)


def _timm(model: str, num_classes: int) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise ValueError(
            f"timm/{model} is a model of timm, which is not installed: pip install timm."
        ) from error
    if not timm.is_model(model):
        raise ValueError(_too_old("timm", timm.__version__, model))
    return timm.create_model(model, pretrained=False, num_classes=num_classes)


def _too_old(package: str, version: str, model: str) -> str:
    return f"{package} {version}, which is installed, has no model {model}: pip install --upgrade {package}."


def without_inplace(model: nn.Module) -> nn.Module:
    """The model with no module that works in place: what a probe records must not be overwritten after it."""
    for module in model.modules():
        if vars(module).get("inplace") is True:
            vars(module)["inplace"] = False
    return model
