"""Check arguments that are models or batches of images."""

import torch
from torch import Tensor, nn

from lightning_resnets.errors import InvalidArgumentError
from lightning_resnets.utils.arguments import ErrorType, check_type
from lightning_resnets.utils.format import format_value


def check_model(model: nn.Module, error: ErrorType = InvalidArgumentError) -> None:
    """Check that an argument is a model.

    Args:
        model: value given by the user.
        error: type of the error.

    Raises:
        UserError: it is not a module of torch; of the type `error`.
    """
    check_type("model", model, nn.Module, "a torch.nn.Module", error)


def check_images(
    images: Tensor, model: nn.Module | None = None, error: ErrorType = InvalidArgumentError
) -> None:
    """Check that an argument is a batch of images.

    Args:
        images: value given by the user.
        model: the model that will run on them; its parameters give the dtype.
        error: type of the error.

    Raises:
        UserError: it is not a tensor (N, C, H, W) of at least one image in the model's dtype; of
            the type `error`.
    """
    if not isinstance(images, Tensor):
        shown = format_value(images)
        raise error(f"images must be a tensor of shape (N, C, H, W), got {shown}.")
    _check_shape(tuple(images.shape), error)
    if not images.is_floating_point():
        raise error(
            f"images must be floating-point numbers, got {images.dtype}: preprocess them first."
        )
    _check_dtype(images, model, error)


def _check_shape(shape: tuple[int, ...], error: ErrorType) -> None:
    """Raise unless a shape is (N, C, H, W) with at least one image."""
    # Most often one image without the axis of the batch.
    if len(shape) != 4:
        raise error(
            f"images must have the shape (N, C, H, W), got {shape}: pass one image as image[None]."
        )
    if 0 in shape:
        raise error(f"images must contain at least one image, got the shape {shape}.")


def _check_dtype(images: Tensor, model: nn.Module | None, error: ErrorType) -> None:
    """Raise if the model does not take images of this dtype."""
    # A model without parameters takes any.
    weight = None if model is None else next(model.parameters(), None)
    if weight is None or torch.is_autocast_enabled(images.device.type):
        return
    if weight.is_floating_point() and weight.dtype != images.dtype:
        raise error(
            f"images are {images.dtype} but the model is {weight.dtype}: "
            "convert one with .to(dtype)."
        )
