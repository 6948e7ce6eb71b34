"""What `analyse` looks at: a net by its file or name, the plain twin beside it, both at initialisation, pictures."""

import re
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from lightning_resnets import zoo
from lightning_resnets.analysis.every import Subject
from lightning_resnets.analysis.result import AnalysisError, Pictures
from lightning_resnets.checkpoint.card import Card, CheckpointError
from lightning_resnets.checkpoint.labels import labels
from lightning_resnets.checkpoint.origin import index
from lightning_resnets.checkpoint.origin.finding import Input
from lightning_resnets.checkpoint.read import Opened, open_checkpoint
from lightning_resnets.checkpoint.shipped import find, shipped
from lightning_resnets.data.folder import batches
from lightning_resnets.evaluate import DATA, rooted, thinned
from lightning_resnets.exports.command import shown, unknown
from lightning_resnets.lens import zoo_net

USUAL = Input(size=(3, 224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
SMALL = Input(size=(3, 32, 32), mean=(0.4914, 0.4822, 0.4465), std=(0.247, 0.2435, 0.2616))


def opened(name: str, net: str | None = None, seed: int = 0) -> tuple[Opened, str]:
    """What is looked at and a word for its files: a shipped net, a file, or an untrained net by its name.

    Names are those that `lightning-resnets graph` takes: of the zoo, torchvision/NAME, timm/NAME, module:function.
    """
    built = name in zoo.NETS or (
        not Path(name).exists() and (":" in name or name.startswith(("torchvision/", "timm/")))
    )
    if net is None and built and not _ships(name):
        return untrained(name, seed), re.sub(r"[/:]", "-", name)
    if not _ships(name) and not Path(name).expanduser().exists() and "/" not in name and not Path(name).suffix:
        unknown(name)
    path = find(name)
    found = open_checkpoint(path, **({"net": net} if net else {}))
    if zoo_net(found.card.arch):
        return found, path.stem
    return replace(found, net=shown(found.net, found.card.size)), path.stem


def _ships(name: str) -> bool:
    return name in shipped() or sum(file.startswith(f"{name}-") for file in shipped()) == 1


def untrained(name: str, seed: int = 0) -> Opened:
    """A net as it is before its first step, with a card that says how it wants its pictures."""
    entry = zoo.NETS.get(name)
    size = entry.size if entry else index.names().get(name, USUAL).size
    seen = index.names().get(name) or (USUAL if size[1] >= 64 else SMALL)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = zoo.build(name, entry.classes if entry else 1000).eval().requires_grad_(False)
    classes, data = labels(entry.classes if entry else 1000, "", size)
    card = Card(
        arch=name, classes=classes, size=size, mean=seen.mean, std=seen.std, channels=seen.channels, crop=seen.crop,
        resample=seen.resample, data=data,
    )  # fmt: skip
    note = f"No file of '{name}' ships, so it is untrained, its weights those of seed {seed}."
    return Opened(net if zoo_net(name) else shown(net, size), card, (note,))


def subject(
    found: Opened, twin: Opened | None, pictures: Pictures | None, seed: int = 0, names: tuple[str, str] = ("", "")
) -> Subject:
    """What the analyses look at: the net, its plain twin, and both at initialisation where they can be built.

    `names` are what the files are called, for two nets of one kind.
    """
    card = found.card
    plain = twin.card.arch if twin else plain_twin(card.arch)
    name, beside = card.arch, twin.card.arch if twin else ""
    if name == beside and all(names) and names[0] != names[1]:
        name, beside = names
    return Subject(
        net=fast(found.net),
        size=card.size,
        classes=card.classes,
        pictures=pictures,
        twin=fast(twin.net) if twin else None,
        fresh=fresh(card, card.arch, seed),
        fresh_twin=fresh(card, plain, seed) if plain else None,
        seed=seed,
        name=name,
        twin_name=beside,
        fresh_twin_name=plain or "",
        error=error(card),
    )


def error(card: Card) -> float | None:
    """The error in % that a card tells, of the data set that the comparison of nets is about."""
    if card.data != ("cifar10" if card.size[1] < 64 else "imagenet"):
        return None
    if (accuracy := card.metrics.get("test_accuracy")) is not None:
        return 100 * (1 - accuracy)
    wrong = card.metrics.get("test_error")
    return None if wrong is None else 100 * wrong


def fresh(card: Card, arch: str, seed: int) -> nn.Module | None:
    """A net of that name as it is before its first step; None for one that is not the zoo's."""
    if arch not in zoo.names():
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = zoo.build(arch, len(card.classes), **(card.options if arch == card.arch else {}))
    return net.eval().requires_grad_(False)


def plain_twin(arch: str) -> str | None:
    """The plain net of the same depth, as plain20 is seresnet20's; None where there is none."""
    depth = re.fullmatch(r"(?:se|pre|sepre)?resnet(\d+)", arch)
    name = f"plain{depth[1]}" if depth else ""
    return name if name in zoo.names() else None


def opened_twin(card: Card, asked: str | None) -> Opened | None:
    """The net to see beside this one: the file asked for, else the plain twin that ships for the same data."""
    if asked == "none":
        return None
    if asked is None:
        name = plain_twin(card.arch)
        path = shipped().get(f"{name}-{card.data}") if name else None
        if path is None:
            return None
        asked = str(path)
    twin = opened(asked)[0]
    if (len(twin.card.classes), twin.card.size) != (len(card.classes), card.size):
        raise CheckpointError(
            f"'{asked}' tells {len(twin.card.classes)} classes apart in pictures of {sides(twin.card)} and this net "
            f"{len(card.classes)} in {sides(card)}: a twin sees the same pictures (--twin FILE, or --twin none)."
        )
    return twin


def fast(net: nn.Module) -> nn.Module:
    """The net with its weights in the layout of `looked_at`'s pictures."""
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload] - its stubs know tensors alone


def sides(card: Card) -> str:
    return "×".join(map(str, card.size))


def looked_at(card: Card, data: str | None, root: Path | None, limit: int) -> Pictures:
    """Pictures as the net takes them; of themselves those of the CIFAR-10 sample that ships."""
    if data is None and card.data != "cifar10":
        raise AnalysisError(
            f"The pictures that ship are CIFAR-10's and this net was made for {card.data or 'others'}: say which to "
            "look at, with --data imagenet|folder --root DIR."
        )
    name = data or "sample"
    pictures, places = thinned(DATA[name](rooted(name, root), card), limit)
    images = torch.cat(list(batches(pictures, card, 64)))
    return Pictures(images.contiguous(memory_format=torch.channels_last), torch.tensor(places))  # the faster layout
