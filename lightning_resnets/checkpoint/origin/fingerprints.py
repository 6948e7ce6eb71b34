"""Making the index of fingerprints ahead of time: `python -m lightning_resnets.checkpoint.origin.fingerprints [FILE]`.

Every classification net of the installed torchvision and timm is built blank, twice, with two numbers of classes: what
changes is its last layer. Nets with equal names and shapes share an entry. The same releases give the same bytes.
"""

import json
import lzma
import sys
import time
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from lightning_resnets import foreign
from lightning_resnets.blank import Blank
from lightning_resnets.checkpoint.origin import index
from lightning_resnets.checkpoint.origin.finding import Input
from lightning_resnets.checkpoint.origin.index import Head, Print, Shape

COUNTS = (7, 11)  # classes; no net has layers as narrow as both
INSIDE = Input(size=(3, 224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop=0.875)


@dataclass(frozen=True, slots=True)
class Known:
    """A net as it goes into the index; `rank` is lower for the likelier of two that are built alike."""

    name: str
    head: Head
    print: Print
    input: Input
    rank: tuple[int, int, str]


def installed() -> list[str]:
    """All that the installed torchvision and timm offer."""
    import timm
    from torchvision import models

    found = [f"torchvision/{name}" for name in models.list_models(module=models)]
    return found + [f"timm/{name}" for name in timm.list_models()]


def known(name: str) -> Known:
    """One net's entry; raises ValueError where it does not classify."""
    one, other = (_shapes(name, classes) for classes in COUNTS)
    if one.keys() != other.keys():
        raise ValueError(f"{name} has other weights for other classes.")
    changed = [(weight, _axis(one[weight], other[weight])) for weight in one if one[weight] != other[weight]]
    if not changed:
        raise ValueError(f"{name} has no last layer.")
    head = tuple(sorted(changed))
    return Known(name, head, index.reduce(one, head), _input(name), _rank(name))


def pack(nets: Iterable[Known]) -> bytes:
    """The index of these nets, as it is written to the file."""
    alike = dict[tuple[int, Head], list[Known]]()
    for net in sorted(nets, key=lambda net: net.rank):
        alike.setdefault((net.print.mark, net.head), []).append(net)
    groups = sorted(alike.values(), key=lambda group: group[0].name)
    heads = sorted({group[0].head for group in groups})
    inputs = sorted({astuple(net.input) for group in groups for net in group})
    data = {
        "made": releases(),
        "heads": heads,
        "inputs": [(size, mean, std, crop, resample) for size, mean, std, _, crop, resample in inputs],
        "entries": [_entry(group, heads, inputs) for group in groups],
        "sketches": b64encode(b"".join(group[0].print.sketch.tobytes() for group in groups)).decode(),
    }
    return lzma.compress(json.dumps(data, separators=(",", ":")).encode(), preset=9)


def _entry(group: list[Known], heads: list[Head], inputs: list[Any]) -> list[Any]:
    one = group[0]
    nets = [(net.name, inputs.index(astuple(net.input))) for net in group]
    return [nets, heads.index(one.head), f"{one.print.mark:x}", one.print.weights, one.print.numbers]


def _shapes(name: str, classes: int) -> dict[str, Shape]:
    with Blank():
        net = foreign.construct(name, classes)
    return {weight: tuple(value.shape) for weight, value in net.state_dict().items()}


def _axis(one: Shape, other: Shape) -> int:
    axes = [axis for axis, pair in enumerate(zip(one, other, strict=True)) if pair == COUNTS]
    if len(axes) != 1 or index.without(one, axes[0]) != index.without(other, axes[0]):
        raise ValueError(f"{one} for {COUNTS[0]} classes and {other} for {COUNTS[1]} are no shapes of a last layer.")
    return axes[0]


def _input(name: str) -> Input:
    package, _, net = name.partition("/")
    return _torchvision_input(net) if package == "torchvision" else _timm_input(net)


def _torchvision_input(net: str) -> Input:
    """As the newest weights want it that fit the net as it is built without options.

    GoogLeNet and Inception-v3 were trained on pictures in -1..1, and torchvision's nets change theirs to that where
    they are built together with published weights; here the picture comes so.
    """
    from torchvision import models

    kinds = models.get_model_weights(net)
    side = 224 if net.startswith("vit") else 0  # their position tables are of one size
    fitting = [kind for kind in (kinds["DEFAULT"], *kinds) if side in (0, kind.transforms().crop_size[0])]
    wish = fitting[0].transforms()
    size, crop = wish.crop_size[0], round(wish.crop_size[0] / wish.resize_size[0], 4)
    told = net in foreign.ALONE
    mean, std = (INSIDE.mean, INSIDE.std) if told else (tuple(wish.mean), tuple(wish.std))
    return Input(size=(3, size, size), mean=mean, std=std, crop=crop, resample=wish.interpolation.value)


def _timm_input(net: str) -> Input:
    """As the net's default weights want it; a crop of more than the picture is the picture."""
    import timm

    wish = timm.get_pretrained_cfg(net)
    if wish is None:
        return INSIDE
    channels, height, width = wish.input_size
    return Input(
        size=(channels, height, width),
        mean=tuple(round(value, 6) for value in wish.mean),
        std=tuple(round(value, 6) for value in wish.std),
        crop=min(wish.crop_pct or 0.875, 1.0),
        resample="bicubic" if wish.interpolation == "bicubic" else "bilinear",
    )


def _rank(name: str) -> tuple[int, int, str]:
    """torchvision's, which everybody has, then timm's with published weights, then others; shorter names first."""
    import timm

    package, _, net = name.partition("/")
    place = 0 if package == "torchvision" else 1 if timm.is_model_pretrained(net) else 2
    return place, len(net), net


def releases() -> dict[str, str]:
    import timm
    import torchvision

    return {"timm": timm.__version__, "torchvision": torchvision.__version__.partition("+")[0]}


def main() -> None:
    """Build the index and say what was left out."""
    target, start, nets = Path(sys.argv[1]) if len(sys.argv) > 1 else index.FILE, time.perf_counter(), list[Known]()
    for name in installed():
        try:
            nets.append(known(name))
        except Exception as error:  # noqa: BLE001 - one net that cannot be built must not cost the others
            print(f"left out: {name}: {error}", flush=True)
    data = pack(nets)
    target.write_bytes(data)
    print(f"{len(nets)} nets, {len(data)} bytes, {time.perf_counter() - start:.0f} s: {target}")


if __name__ == "__main__":
    main()
