"""Build the model of a card and fill it with a file's weights, without trusting either."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_resnets.checkpoint.card_values import to_json
from lightning_resnets.checkpoint.model_card import RESAVE, ModelCard
from lightning_resnets.errors import CheckpointError, CustomModelError
from lightning_resnets.models import registry
from lightning_resnets.models.generic import GENERIC_MODELS
from lightning_resnets.models.model_names import split_options
from lightning_resnets.utils.format import first_line as first_line
from lightning_resnets.utils.format import format_shape, printable_key
from lightning_resnets.utils.skip_init import skip_init

# Channels, layers; none of our models has more.
MAX_KWARG = 4096

# A model may take this many times the bytes of its file (float16 to float32 is 2), and the slack.
MAX_EXPANSION = 4
EXPANSION_SLACK_BYTES = 2**26

RESAVE_WITH_CARD = "Save it again with the card of the trained model."


def build_from_card(card: ModelCard, file: str, model: str | None = None) -> nn.Module:
    """Build the model of a card, without initializing its weights.

    Args:
        card: the card.
        file: file name, for messages.
        model: the user's name; only this may import a custom model, a card alone never does.

    Returns:
        The model in training mode, its weights undefined.

    Raises:
        CheckpointError: the card names an unknown model, or arguments that do not fit it.
        CustomModelError: the card names a custom model and `model` does not.
    """
    # Both checks come before anything is imported or takes memory.
    check_arch(card, file, model)
    _check_kwargs(card, file)
    built = _build(card, file)
    _check_channels(built, card, file)
    _set_bn_eps(built, card.bn_eps)
    return built


def _build(card: ModelCard, file: str) -> nn.Module:
    """Build the model with the card's arguments; raise if they do not fit it."""
    try:
        with skip_init(), preserve_rng():
            return registry.create_model(
                card.arch, num_classes=len(card.class_names), **card.model_kwargs
            )
    # Arguments from a file may fail in any way.
    except Exception as error:
        raise CheckpointError(
            f"model_kwargs in the model card of '{file}' do not fit {card.arch} "
            f"({first_line(error)}). {RESAVE}"
        ) from error


def check_arch(card: ModelCard, file: str, model: str | None) -> None:
    """Check that a card's model is known, and the one that the user names.

    Args:
        card: the card.
        file: file name, for messages.
        model: the user's name for the model.

    Raises:
        CheckpointError: the model is unknown, or not the one that the user names.
        CustomModelError: it is custom and the user does not name it.
    """
    # A colon marks a custom model, whose module would be imported.
    if ":" in card.arch and card.arch != model:
        raise CustomModelError(file, card.arch)
    if model is not None and not _is_same_model(model, card):
        raise CheckpointError(
            f"--model {printable_key(model)} contradicts the model card of '{file}', "
            f"which says '{printable_key(card.arch)}'. Omit --model."
        )
    # Names with a slash belong to torchvision or timm.
    if ":" not in card.arch and "/" not in card.arch:
        _check_known(card.arch, file)


def _check_known(arch: str, file: str) -> None:
    """Raise if no model of ours has this name."""
    names = [*registry.list_models(), *GENERIC_MODELS]
    if arch in names:
        return
    near = get_close_matches(arch, names, n=3, cutoff=0.5) or names[:5]
    # A newer release may know the name.
    raise CheckpointError(
        f"Unknown model '{printable_key(arch)}' in the model card of '{file}' "
        f"(known models: {', '.join(near)}, ...). "
        "Upgrade lightning-resnets or correct the card."
    )


def _is_same_model(model: str, card: ModelCard) -> bool:
    """Return True if the user's name, options included, is the card's."""
    name, options = split_options(model)
    kwargs = to_json(card.model_kwargs)
    return name == card.arch and all(kwargs.get(key) == to_json(options[key]) for key in options)


def _check_kwargs(card: ModelCard, file: str) -> None:
    """Raise if the card's arguments would take too much memory or start a download."""
    for value in _numbers(card.model_kwargs.values()):
        # Checked before the model is built, which would take the memory.
        if abs(value) > MAX_KWARG:
            raise CheckpointError(
                f"model_kwargs in the model card of '{file}' ask for an implausibly large model "
                f"({str(card.model_kwargs)[:80]}). {RESAVE}"
            )
    if "pretrained" in card.model_kwargs:
        raise CheckpointError(
            f"model_kwargs in the model card of '{file}' ask for a download of published weights. "
            "Save the model again without 'pretrained'."
        )


def _numbers(values: Iterable[Any]) -> Iterator[float]:
    """Yield all numbers among values and in sequences of values."""
    for value in values:
        if isinstance(value, (int, float)):
            yield value
        # A list of many small depths makes a large model, too.
        elif isinstance(value, (list, tuple)):
            yield len(value)  # type: ignore[arg-type] - of anything
            yield from _numbers(value)  # type: ignore[arg-type] - of anything


def _check_channels(model: nn.Module, card: ModelCard, file: str) -> None:
    """Raise if the first convolution takes other channels than the card says."""
    convs = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    # A custom model may have no convolution.
    first = next(convs, None)
    if first is not None and first.in_channels != card.input_size[0]:
        raise CheckpointError(
            f"input_size in the model card of '{file}' has {card.input_size[0]} channels but "
            f"{card.arch} takes {first.in_channels}. {RESAVE}"
        )


def _set_bn_eps(model: nn.Module, eps: float | None) -> None:
    """Set the epsilon of every batch norm, unless it is the model's own (None)."""
    if eps is None:
        return
    # torch keeps the epsilon in the module, not in the state dict.
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eps = eps


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], arch: str, file: str) -> None:
    """Fill an uninitialized model with weights, strictly.

    Args:
        model: the model; its parameters are replaced.
        weights: tensors under the model's own names.
        arch: name of the model, for messages.
        file: file name, for messages.

    Raises:
        CheckpointError: a weight is missing, unexpected or of another shape or kind.
    """
    expected = model.state_dict()
    _check_size(expected, weights, arch, file)
    state = {
        name: check_tensor(name, weights.get(name), placeholder, file)
        for name, placeholder in expected.items()
    }
    unknown = sorted(weights.keys() - state.keys())
    if unknown:
        raise CheckpointError(
            f"'{file}' contains weights that {arch} does not have ({printable_key(unknown[0])}). "
            f"Its model card has the wrong arch or model_kwargs. {RESAVE_WITH_CARD}"
        )
    # assign=True keeps the tensors of the file instead of copying them.
    model.load_state_dict(state, strict=True, assign=True)


def _check_size(
    expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], arch: str, file: str
) -> None:
    """Raise if the model would take far more memory than the file's tensors."""
    storages = dict[int, int]()
    for weight in weights.values():
        # Tensors that share a storage count once.
        storage = weight.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
    # Uninitialized weights have sizes but take no memory yet.
    needed = sum(weight.nbytes for weight in expected.values())
    if needed > MAX_EXPANSION * sum(storages.values()) + EXPANSION_SLACK_BYTES:
        raise CheckpointError(
            f"'{file}' contains far less data than the weights of {arch}. "
            "Save the whole model again."
        )


def check_tensor(name: str, weight: Tensor | None, expected: Tensor, file: str) -> Tensor:
    """Check a weight against the model's own tensor.

    Args:
        name: name of the weight.
        weight: the file's tensor, or None if it has none.
        expected: the model's tensor.
        file: file name, for messages.

    Returns:
        The file's tensor in the model's dtype, contiguous.

    Raises:
        CheckpointError: it is missing, or of another shape or kind.
    """
    if weight is None:
        raise CheckpointError(f"'{file}' lacks the weight '{name}'. Save the whole model again.")
    if weight.shape != expected.shape:
        raise CheckpointError(
            f"'{name}' in '{file}' has shape {format_shape(weight.shape)} but the model of its "
            f"card has {format_shape(expected.shape)}. {RESAVE_WITH_CARD}"
        )
    # Integers of a quantized model would pass for weights otherwise.
    if weight.is_floating_point() != expected.is_floating_point() or weight.is_complex():
        raise CheckpointError(
            f"'{name}' in '{file}' is not a plain tensor. Save the model's own weights again."
        )
    return weight.to(expected.dtype).contiguous()


def nonfinite_notes(weights: Mapping[str, Tensor], file: str) -> tuple[str, ...]:
    """Return a note if weights are NaN or inf.

    Args:
        weights: tensors by name.
        file: file name.

    Returns:
        One sentence that names the first such weight, or nothing.
    """
    seen = set[int]()
    for name, weight in weights.items():
        # Thousands of names may share one tensor.
        if id(weight) in seen:
            continue
        seen.add(id(weight))
        if not is_finite(weight):
            shown = printable_key(name)
            return (f"'{file}' has NaN or inf in its weights ({shown}): its training diverged.",)
    return ()


def is_finite(weight: Tensor) -> bool:
    """Check a tensor for NaN and inf.

    Args:
        weight: any tensor.

    Returns:
        True if every element is finite.
    """
    # The norm is many times as fast; it may overflow, so that inf needs the second look.
    if weight.is_floating_point() and bool(torch.isfinite(torch.linalg.vector_norm(weight))):
        return True
    return bool(torch.isfinite(weight).all())


@contextmanager
def preserve_rng() -> Iterator[None]:
    """Restore torch's random state afterwards: opening a file must not change random numbers."""
    with torch.random.fork_rng(devices=[]):
        yield
