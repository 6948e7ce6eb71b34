"""Serialize weights under torchvision's names (timm's for SE models), with their model card."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint.load import MODEL_PREFIX
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.errors import CheckpointError

StateDict = Mapping[str, Tensor]

# Arguments of models that leave no trace in the weights.
KWARGS_WITHOUT_WEIGHTS = (
    "stride_in",
    "stem_pool",
    "se_placement",
    "se_pool",
    "se_pre_relu",
    "share_first",
)
SUFFIXES_WITHOUT_CARD = (".pth", ".pt")


def serialize(model: nn.Module, card: ModelCard, suffix: str, fp16: bool = False) -> bytes:
    """Serialize a model.

    Args:
        model: the model.
        card: its card.
        suffix: ending of the file, a key of `WRITERS`.
        fp16: store floating-point weights in half precision.

    Returns:
        The content of the file.

    Raises:
        CheckpointError: a weight is too large for float16.
    """
    state: StateDict = {}
    for name, weight in model.state_dict().items():
        # safetensors stores contiguous tensors only.
        state[name] = weight.detach().cpu().contiguous()
    if fp16:
        state = to_fp16(state)
    return WRITERS[suffix](state, card)


def to_fp16(state: StateDict) -> StateDict:
    """Convert floating-point weights to float16.

    Args:
        state: tensors by name.

    Returns:
        The same names; integers (batch norm's counters) are unchanged.

    Raises:
        CheckpointError: a finite weight becomes infinite.
    """
    half = dict[str, Tensor]()
    for name, weight in state.items():
        half[name] = weight
        if weight.is_floating_point():
            half[name] = weight.half()
        # Weights that were infinite before are kept.
        if bool((half[name].isinf() & ~weight.isinf()).any()):
            raise CheckpointError(f"'{name}' has values too large for float16. Omit --fp16.")
    return half


def to_safetensors(state: StateDict, card: ModelCard) -> bytes:
    """Serialize as safetensors, the card in its metadata.

    Args:
        state: tensors by name.
        card: the model card.

    Returns:
        The content of the file.
    """
    # The format forbids weights that share memory.
    unshared = {name: weight.clone() for name, weight in state.items()}
    # Values of the format's metadata are texts.
    text = json.dumps(card.to_dict(), ensure_ascii=False)
    return safetensors.torch.save(unshared, {"format": "pt", "card": text})


def to_lightning_checkpoint(state: StateDict, card: ModelCard) -> bytes:
    """Serialize as a .ckpt whose keys have the prefix of a LightningModule's `model`.

    Args:
        state: tensors by name.
        card: the model card.

    Returns:
        The content of the file.
    """
    # As Trainer.fit writes it, so that `test --ckpt_path` takes it.
    weights = {MODEL_PREFIX + name: weight for name, weight in state.items()}
    return to_torch_save({"state_dict": weights, "card": card.to_dict()}, card)


def to_torch_save(values: object, _: ModelCard) -> bytes:
    """Serialize with torch.save, without a card.

    Args:
        values: anything that torch.save takes.

    Returns:
        The content of the file.
    """
    file = io.BytesIO()
    torch.save(values, file)
    return file.getvalue()


WRITERS: dict[str, Callable[[StateDict, ModelCard], bytes]] = {
    ".safetensors": to_safetensors,
    ".ckpt": to_lightning_checkpoint,
    ".pth": to_torch_save,
    ".pt": to_torch_save,
}


def compatibility_warnings(card: ModelCard, out: Path) -> list[str]:
    """Warn if other libraries would compute other logits from a file without a card.

    Args:
        card: the model card.
        out: the file to be written.

    Returns:
        One sentence, or nothing.
    """
    differences = behavior_differences(card)
    if out.suffix.lower() not in SUFFIXES_WITHOUT_CARD or not differences:
        return []
    # torchvision has no SE models.
    library = "torchvision"
    if card.arch.startswith(("timm/", "se")):
        library = "timm"
    warning = (
        f"'{out.name}' has {library}'s key names but no model card to say where this model "
        f"differs from {library}'s ({'; '.join(differences)})."
    )
    return [warning]


def behavior_differences(card: ModelCard) -> list[str]:
    """List differences from another library's model of the same names and shapes.

    Args:
        card: the model card.

    Returns:
        Phrases such as "batch norm epsilon is 0.001".
    """
    differences = list[str]()
    if card.bn_eps is not None:
        differences.append(f"batch norm epsilon is {card.bn_eps:g}")
    for name, value in card.model_kwargs.items():
        if name in KWARGS_WITHOUT_WEIGHTS:
            differences.append(f"{name} is {json.dumps(value)}")
    if card.channel_order == "BGR":
        differences.append("its images are BGR")
    return differences
