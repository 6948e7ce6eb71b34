"""Published ImageNet weights at run time: fetched once, read without running anything, and put into our models."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_resnets.models.pretrained_weights import TIMM_TAGS, PretrainedWeights, get_pretrained
from lightning_resnets.preprocessing import Preprocessing
from lightning_resnets.utils.download import download_cached

NUM_CLASSES = 1000


DOTTED = re.compile(
    r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\.\w+)$"
)  # DenseNet's names before PyTorch 0.4


AUXILIARY = re.compile(
    r"^(aux[12]|AuxLogits)\."
)  # classifiers half way up, which serve training only


def load_pretrained_weights(
    model: str, name: str | bool = True
) -> tuple[dict[str, Tensor], Preprocessing, str]:
    """Weights under our names, how they want their images, and whose they are in words; fetched where not yet here.

    Files lie where torch.hub keeps its own, so what is there already is found. Raises DownloadError (a ValueError)
    where the file cannot be had, CheckpointError where it cannot be read.
    """
    weights = get_pretrained(model, name)
    return renamed(_read(_local(weights))), weights.preprocessing, weights.description


def load_into_model(model: nn.Module, weights: PretrainedWeights) -> None:
    """Load weights into their model; a last layer of another number of classes stays as it is, and a line says so.

    Raises ValueError where the model was built with options that the weights do not fit.
    """
    if not _filled():
        raise ValueError(
            "Published weights are not for a model whose weights a file brings: leave pretrained away."
        )
    state, _, words = load_pretrained_weights(weights.model, weights.name)
    own = model.state_dict()
    head = list(own)[-1].rpartition(".")[0]
    fresh = [
        key
        for key in own
        if key.rpartition(".")[0] == head and _shape(own, key) != _shape(state, key)
    ]
    wrong = sorted(
        key for key in {*own, *state} - set(fresh) if _shape(own, key) != _shape(state, key)
    )
    wrong = [
        key for key in wrong if not key.endswith("num_batches_tracked")
    ]  # which old files do not have
    if wrong:
        raise ValueError(
            f"{words} do not fit the options given ({wrong[0]}): leave the options away."
        )
    model.load_state_dict(
        {**own, **{key: value for key, value in state.items() if key not in fresh}}, strict=True
    )
    note = (
        f"; its last layer is fresh, for {len(own[fresh[0]])} classes instead of {NUM_CLASSES}"
        if fresh
        else ""
    )
    print(f"{words}{note}", file=sys.stderr)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names of our models; without auxiliary classifiers."""
    legacy = any(".se_module." in key for key in state)
    return {_ours(key, legacy): value for key, value in state.items() if not AUXILIARY.match(key)}


def _ours(key: str, legacy: bool) -> str:
    if legacy:
        key = (
            key.removeprefix("layer0.")
            .replace(".se_module.", ".se.")
            .replace("last_linear.", "fc.")
        )
    return DOTTED.sub(r"\1\2", key)


def _local(weights: PretrainedWeights) -> Path:
    """The file on this machine: from Hugging Face's own cache where it lies there, else from ours."""
    if weights.package == "timm" and weights.name in TIMM_TAGS.get(weights.model, "").split():
        home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache/huggingface")
        hub = (
            Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
            / f"models--timm--{weights.model}.{weights.name}"
        )
        if found := sorted(hub.glob("snapshots/*/model.safetensors")):
            return found[-1]
    return download_cached(weights.file, Path(torch.hub.get_dir()) / "checkpoints")


def _read(path: Path) -> dict[str, Tensor]:
    from lightning_resnets.formats.read import read_checkpoint

    return read_checkpoint(path).state_dict


def _shape(state: Mapping[str, Tensor], key: str) -> tuple[int, ...] | None:
    return tuple(state[key].shape) if key in state else None


def _filled() -> bool:
    """Whether new weights are filled here; not so while a file is read, whose card must not cause a download."""
    return bool(nn.init.constant_(torch.zeros((), device="cpu"), 1.0))
