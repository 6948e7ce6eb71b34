"""`lightning-resnets convert FILE OUT`: the weights under torchvision's names (timm's for SE), with their card."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint.card import Card, CheckpointError
from lightning_resnets.checkpoint.read import PREFIX
from lightning_resnets.checkpoint.write import OutArguments, opened, ready, replacing, summary

State = Mapping[str, Tensor]


def main(args: list[str]) -> None:
    """`lightning-resnets convert FILE OUT [--net NAME] [--half] [--overwrite]`; raises ValueError, one sentence."""
    parser = OutArguments("convert", "Write the weights of FILE with their card, under torchvision's names.", FORMS)
    parser.add_argument("--half", action="store_true", help="store float16: half the size")
    parser.add_argument(
        "--bare", action="store_true", help="write .pth even where other programs' nets of these names answer otherwise"
    )
    options = parser.parse_args(args)
    out = ready(options, FORMS, "; `lightning-resnets export` writes .onnx and .pt2")
    source = opened(options)
    warned = differing(source.card, out)
    if warned and not options.bare:
        raise CheckpointError(
            f"{warned[0][:-1]}, so its answers there would be wrong: write .safetensors, or add --bare."
        )
    data = packed(source.net, source.card, out.suffix.lower(), options.half)
    with replacing(out) as part:
        part.write_bytes(data)
    print(summary(out, source.net, source.card.arch))
    for note in (*source.notes, *warned):
        print(f"Note: {note}")


def packed(net: nn.Module, card: Card, ending: str, half: bool = False) -> bytes:
    """The file's bytes for an ending of `FORMS`; raises CheckpointError where weights do not fit float16."""
    state = {name: weight.detach().cpu().contiguous() for name, weight in net.state_dict().items()}
    return FORMS[ending](halved(state) if half else state, card)


def halved(state: State) -> State:
    """The weights in float16, counts as they are."""
    small = {name: weight.half() if weight.is_floating_point() else weight for name, weight in state.items()}
    for name, weight in small.items():
        if bool((weight.isinf() & ~state[name].isinf()).any()):
            raise CheckpointError(f"'{name}' holds numbers too large for half precision: leave --half out.")
    return small


def as_safetensors(state: State, card: Card) -> bytes:
    apart = {name: weight.clone() for name, weight in state.items()}  # weights may share memory; the format forbids it
    return safetensors.torch.save(apart, {"format": "pt", "card": json.dumps(card.to_dict(), ensure_ascii=False)})


def as_checkpoint(state: State, card: Card) -> bytes:
    weights = {PREFIX + name: weight for name, weight in state.items()}
    return as_bare({"state_dict": weights, "card": card.to_dict()}, card)


def as_bare(values: object, _: Card) -> bytes:
    file = io.BytesIO()
    torch.save(values, file)
    return file.getvalue()


FORMS: dict[str, Callable[[State, Card], bytes]] = {
    ".safetensors": as_safetensors,
    ".ckpt": as_checkpoint,
    ".pth": as_bare,
    ".pt": as_bare,
}
BARE = (".pth", ".pt")
SILENT = ("stride_in", "pool", "se_place", "se_squeeze", "se_relu", "share_first")  # options that no weight shows


def differing(card: Card, out: Path) -> list[str]:
    """A sentence where a bare file's names promise another program more than they hold."""
    if out.suffix.lower() not in BARE or not (differs := differences(card)):
        return []
    owner = "timm" if card.arch.startswith(("timm/", "se")) else "torchvision"
    sentence = (
        f"'{out.name}' has the names of {owner}'s nets and no card, which would say where this net differs from them "
        f"({'; '.join(differs)})."
    )
    return [sentence]


def differences(card: Card) -> list[str]:
    """What another program's net under the same names would do otherwise."""
    found = [f"batch norm's epsilon is {card.epsilon:g}"] if card.epsilon is not None else []
    found += [f"{name} is {json.dumps(value)}" for name, value in card.options.items() if name in SILENT]
    return [*found, "its pictures are BGR"] if card.channels == "BGR" else found
