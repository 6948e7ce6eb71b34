"""Published ImageNet weights at run time: downloaded once, read as data, loaded into our models."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_resnets.errors import ModelError
from lightning_resnets.formats.read import read_checkpoint
from lightning_resnets.models.pretrained_weights import TIMM_TAGS, PretrainedWeights, get_pretrained
from lightning_resnets.models.rename_keys import (
    AUX_CLASSIFIER_KEYS,
    CADENE_SE,
    OLD_DENSENET,
    rename_key,
)
from lightning_resnets.preprocessing import Preprocessing
from lightning_resnets.utils.download import download_cached

NUM_CLASSES = 1000


def load_pretrained_weights(
    model: str, name: str | bool = True
) -> tuple[dict[str, Tensor], Preprocessing, str]:
    """Load published weights under the names of our models; download them if they are not cached.

    Files lie in torch.hub's own folder, so that weights which torchvision has downloaded are found.

    Args:
        model: name of a built-in model.
        name: name of the weights, or True for the best available.

    Returns:
        The state dict, the preprocessing that the weights expect, and a description of them.

    Raises:
        ModelError: there are no such weights.
        DownloadError: the file could not be downloaded.
        CheckpointError: the file could not be read.
    """
    weights = get_pretrained(model, name)
    state = read_checkpoint(_find_file(weights)).state_dict
    return rename_published_keys(state), weights.preprocessing, weights.description


def load_into_model(model: nn.Module, weights: PretrainedWeights) -> None:
    """Load published weights into a model and report them on standard error.

    A last layer with another number of classes keeps its untrained weights.

    Args:
        model: a model built for these weights; changed by this function.
        weights: an entry of `list_pretrained`.

    Raises:
        ModelError: the weights do not fit the model, or `skip_init` is active.
        DownloadError: the file could not be downloaded.
        CheckpointError: the file could not be read.
    """
    _require_init()
    state, _, description = load_pretrained_weights(weights.model, weights.name)
    own = model.state_dict()
    untrained = _find_resized_classifier(own, state)
    _require_same_shapes(own, state, untrained, description)
    published = {key: value for key, value in state.items() if key not in untrained}
    model.load_state_dict({**own, **published}, strict=True)
    note = _describe_untrained(own, untrained)
    # Standard output is for what a script reads.
    print(f"{description}{note}", file=sys.stderr)


def rename_published_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a published file as in our models and drop auxiliary classifiers.

    Args:
        state: a state dict of torchvision or timm.

    Returns:
        The same tensors under the names of our models.
    """
    is_cadene = any(".se_module." in key for key in state)
    rules = (*CADENE_SE, *OLD_DENSENET) if is_cadene else OLD_DENSENET
    return {
        rename_key(key, rules): value
        for key, value in state.items()
        if not AUX_CLASSIFIER_KEYS.match(key)
    }


def _find_resized_classifier(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> tuple[str, ...]:
    """Return the names of the last layer's weights that have another shape in the file."""
    # Our models register their last layer last.
    classifier = list(own)[-1].rpartition(".")[0]
    names = [key for key in own if key.rpartition(".")[0] == classifier]
    return tuple(key for key in names if _shape(own, key) != _shape(state, key))


def _describe_untrained(own: Mapping[str, Tensor], untrained: tuple[str, ...]) -> str:
    """Describe that the last layer keeps its untrained weights, if it does."""
    if not untrained:
        return ""
    classes = len(own[untrained[0]])
    return f"; its last layer is untrained, for {classes} classes instead of {NUM_CLASSES}"


def _require_same_shapes(
    own: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    untrained: tuple[str, ...],
    description: str,
) -> None:
    """Raise ModelError if a weight other than those of the last layer differs."""
    for key in sorted({*own, *state} - set(untrained)):
        # Files from before PyTorch 0.4.1 lack batch norm's counters.
        if key.endswith("num_batches_tracked"):
            continue
        if _shape(own, key) != _shape(state, key):
            raise ModelError(
                f"{description} do not fit the options given ({key}): leave the options away."
            )


def _find_file(weights: PretrainedWeights) -> Path:
    """Return the local file, from Hugging Face's cache if it is there, else from torch.hub's."""
    if weights.package == "timm" and weights.name in TIMM_TAGS.get(weights.model, "").split():
        # The same variables as huggingface_hub reads, in the same order.
        home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache/huggingface")
        hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
        repo = hub / f"models--timm--{weights.model}.{weights.name}"
        if found := sorted(repo.glob("snapshots/*/model.safetensors")):
            return found[-1]
    return download_cached(weights.file, Path(torch.hub.get_dir()) / "checkpoints")


def _shape(state: Mapping[str, Tensor], key: str) -> tuple[int, ...] | None:
    """Return the shape of a weight, or None if there is none of this name."""
    return tuple(state[key].shape) if key in state else None


def _require_init() -> None:
    """Raise inside `skip_init`, where a new tensor keeps its uninitialized values."""
    # A checkpoint's card must not be able to cause a download while the checkpoint is loaded.
    if not nn.init.constant_(torch.zeros((), device="cpu"), 1.0):
        raise ModelError(
            "pretrained cannot be combined with weights from a checkpoint: leave it out."
        )
