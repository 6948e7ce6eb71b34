"""Models of torchvision and timm under `torchvision/NAME` and `timm/NAME`.

Only models of the bundled index are built, and without their weights. Their package is imported
when the first of them is built.
"""

import difflib
import warnings
from typing import Any

from torch import nn

from lightning_resnets.errors import ModelError
from lightning_resnets.models.known import index
from lightning_resnets.utils.format import printable_key

# With auxiliary classifiers these two would return a tuple in training.
EXTRA_KWARGS = {
    "googlenet": {"aux_logits": False},
    "inception_v3": {"aux_logits": False},
}


def create_external(name: str, num_classes: int = 1000, **model_kwargs: object) -> nn.Module:
    """Build a classification model of torchvision or timm with untrained weights.

    Args:
        name: `torchvision/NAME` or `timm/NAME`, one of the bundled index.
        num_classes: width of the last layer; 0 for a feature extractor without one.
        **model_kwargs: must be empty. A checkpoint may name a known model but not configure it.

    Returns:
        The model in training mode; output (N, num_classes) logits.

    Raises:
        ModelError: the name is unknown, options were passed, or the package is missing or too old.
    """
    _check_known(name)
    if model_kwargs:
        raise ModelError(
            f"The model {name} takes no options ({', '.join(model_kwargs)}): leave them out."
        )
    # Some models cannot be built without a last layer.
    model = disable_inplace(build_external(name, num_classes or 1))
    return model if num_classes else _remove_classifier(model, name)


def _check_known(name: str) -> None:
    """Raise if the index does not have the model."""
    known = index.known_models()
    if name in known:
        return
    hint = "names begin with torchvision/ or timm/"
    if near := difflib.get_close_matches(name, known, 3, 0.6):
        hint = f"near: {', '.join(near)}"
    raise ModelError(f"There is no model named '{printable_key(name)}' ({hint}).")


def _remove_classifier(model: nn.Module, name: str) -> nn.Module:
    """Replace the last layer by the identity."""
    for key in index.classifier_keys(name):
        parent, _, child = key.rpartition(".")[0].rpartition(".")
        setattr(model.get_submodule(parent), child, nn.Identity())
    return model


def build_external(name: str, num_classes: int) -> nn.Module:
    """Build a model exactly as its package does, whether or not the index lists it.

    Args:
        name: `torchvision/NAME` or `timm/NAME`.
        num_classes: width of the last layer.

    Returns:
        The model in training mode; output (N, num_classes) logits.

    Raises:
        ModelError: the package is missing or does not have the model.
    """
    package, _, model = name.partition("/")
    with warnings.catch_warnings():
        # These warnings address the authors of the packages, not our users.
        warnings.simplefilter("ignore")
        if package == "torchvision":
            return _build_torchvision(model, num_classes)
        return _build_timm(model, num_classes)


def disable_inplace(model: nn.Module) -> nn.Module:
    """Switch off in-place operation, so that later layers do not overwrite recorded activations.

    Args:
        model: changed by this function.

    Returns:
        The same model.
    """
    for module in model.modules():
        if vars(module).get("inplace") is True:
            vars(module)["inplace"] = False
    return model


def _build_torchvision(model: str, num_classes: int) -> nn.Module:
    """Build a model of torchvision without its weights."""
    import torchvision
    from torchvision import models

    if model not in models.list_models(module=models):
        raise ModelError(_format_too_old("torchvision", torchvision.__version__, model))
    kwargs: dict[str, Any] = dict(EXTRA_KWARGS.get(model, {}))
    if model in EXTRA_KWARGS:
        # Their truncated normal initialization takes seconds.
        kwargs["init_weights"] = False
    return models.get_model(model, weights=None, num_classes=num_classes, **kwargs)


def _build_timm(model: str, num_classes: int) -> nn.Module:
    """Build a model of timm without its weights."""
    try:
        import timm
    except ImportError as error:
        raise ModelError(
            f"timm/{model} requires timm, which is not installed: pip install timm."
        ) from error
    if not timm.is_model(model):
        raise ModelError(_format_too_old("timm", timm.__version__, model))
    return timm.create_model(model, pretrained=False, num_classes=num_classes)


def _format_too_old(package: str, version: str, model: str) -> str:
    """Describe that an installed package lacks a model."""
    return (
        f"The installed {package} {version} has no model {model}: pip install --upgrade {package}."
    )
