"""`lightning-resnets convert FILE OUT`: the weights under torchvision's names (timm's for SE), with their card."""

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


def serialize(model: nn.Module, card: ModelCard, ending: str, half: bool = False) -> bytes:
    """The file's bytes for an ending of `FORMS`; raises CheckpointError where weights do not fit float16."""
    state = {
        name: weight.detach().cpu().contiguous() for name, weight in model.state_dict().items()
    }
    return WRITERS[ending](to_half(state) if half else state, card)


def to_half(state: StateDict) -> StateDict:
    """The weights in float16, counts as they are."""
    small = {
        name: weight.half() if weight.is_floating_point() else weight
        for name, weight in state.items()
    }
    for name, weight in small.items():
        if bool((weight.isinf() & ~state[name].isinf()).any()):
            raise CheckpointError(
                f"'{name}' holds numbers too large for half precision: leave --half out."
            )
    return small


def to_safetensors(state: StateDict, card: ModelCard) -> bytes:
    apart = {
        name: weight.clone() for name, weight in state.items()
    }  # weights may share memory; the format forbids it
    return safetensors.torch.save(
        apart, {"format": "pt", "card": json.dumps(card.to_dict(), ensure_ascii=False)}
    )


def to_lightning_checkpoint(state: StateDict, card: ModelCard) -> bytes:
    weights = {MODEL_PREFIX + name: weight for name, weight in state.items()}
    return to_torch_save({"state_dict": weights, "card": card.to_dict()}, card)


def to_torch_save(values: object, _: ModelCard) -> bytes:
    file = io.BytesIO()
    torch.save(values, file)
    return file.getvalue()


WRITERS: dict[str, Callable[[StateDict, ModelCard], bytes]] = {
    ".safetensors": to_safetensors,
    ".ckpt": to_lightning_checkpoint,
    ".pth": to_torch_save,
    ".pt": to_torch_save,
}


BARE_SUFFIXES = (".pth", ".pt")


OPTIONS_WITHOUT_WEIGHTS = (
    "stride_in",
    "stem_pool",
    "se_placement",
    "se_pool",
    "se_pre_relu",
    "share_first",
)  # options that no weight shows


def compatibility_warnings(card: ModelCard, out: Path) -> list[str]:
    """A sentence where a bare file's names promise another program more than they hold."""
    if out.suffix.lower() not in BARE_SUFFIXES or not (differs := behavior_differences(card)):
        return []
    owner = "timm" if card.arch.startswith(("timm/", "se")) else "torchvision"
    sentence = (
        f"'{out.name}' has the names of {owner}'s models and no card, which would say where this model differs from them "
        f"({'; '.join(differs)})."
    )
    return [sentence]


def behavior_differences(card: ModelCard) -> list[str]:
    """What another program's model under the same names would do otherwise."""
    found = [f"batch norm's epsilon is {card.bn_eps:g}"] if card.bn_eps is not None else []
    found += [
        f"{name} is {json.dumps(value)}"
        for name, value in card.model_kwargs.items()
        if name in OPTIONS_WITHOUT_WEIGHTS
    ]
    return [*found, "its images are BGR"] if card.channel_order == "BGR" else found
