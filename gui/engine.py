"""The worker's side: a wish in, what was seen out; all it knows of torch is `lightning_resnets.lens`. No Qt."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from gui.state import (
    Detail,
    Diagram,
    Edit,
    Gates,
    Link,
    Maps,
    MergeKind,
    Net,
    Node,
    NodeKind,
    Part,
    Parts,
    Picture,
    Residual,
    Shelf,
    Shipped,
    Sight,
    SkipLine,
    Wish,
    short,
)
from lightning_resnets.blocks import Block, BlockGraph
from lightning_resnets.checkpoint import Card, shipped
from lightning_resnets.checkpoint.read import OwnNetError, read
from lightning_resnets.data import sample
from lightning_resnets.image import PictureError, read_picture
from lightning_resnets.lens import Lens, View
from lightning_resnets.surgery import Drop, Hold, Op, Scale

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

SAMPLES_A_CLASS = 4


class Engine:
    """Answers "shelf" with a Shelf and "see" with a Sight; a ValueError carries the sentence for the user."""

    def __init__(self) -> None:
        self._nets = Recent[tuple[str, str | None], tuple[Lens, Net]](3)
        self._pictures = Recent[Picture, np.ndarray](8)
        self._views = Recent[Hashable, View](12)

    def answer(self, kind: str, request: object) -> object:
        """One request of the window; `kind` is "shelf" or "see"."""
        if kind == "shelf":
            return shelf()
        assert isinstance(request, Wish), f"no such request: {kind}"
        return self.see(request)

    def see(self, wish: Wish) -> Sight:
        """Open, look, and describe the selected block; whatever was looked at before comes from memory.

        A net that cannot be opened raises; a picture that cannot be read leaves the net, and `refused` says why.
        """
        began = time.perf_counter()
        if wish.net is None:
            return Sight()
        key = wish.net
        try:
            lens, net = self._nets.get((key, wish.own), lambda: opened(key, wish.own))
        except OwnNetError as error:
            return Sight(asks=error.net)
        if wish.picture is None:
            return Sight(net=net)
        picture = wish.picture
        try:
            pixels = self._pictures.get(picture, lambda: open_picture(picture))
            before = self._look(lens, picture, pixels, net.diagram, ())
        except PictureError as error:
            return Sight(net=net, refused=str(error))
        edits = tuple(edit for edit in wish.edits if net.diagram.node(edit.target))
        now = self._look(lens, picture, pixels, net.diagram, edits) if edits else before
        return Sight(
            net=net,
            picture=picture,
            seen=now.input,
            probabilities=now.probabilities,
            before=before.probabilities,
            edits=edits,
            detail=detail(net.diagram, wish.selected, now),
            changes=changes(net.diagram, before, now) if edits else {},
            seconds=time.perf_counter() - began,
        )

    def _look(
        self, lens: Lens, picture: Picture, pixels: np.ndarray, diagram: Diagram, edits: tuple[Edit, ...]
    ) -> View:
        points = tuple(node.output for node in diagram.nodes if node.output)
        ops = tuple(operation(edit) for edit in edits)
        return self._views.get((lens, picture, edits), lambda: lens.look(pixels, points, ops))


class Recent(Generic[K, V]):
    """The last few values by key; the one not asked for longest is forgotten first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K, make: Callable[[], V]) -> V:
        if key not in self._values:
            self._values[key] = make()
        self._values.move_to_end(key)
        while len(self._values) > self._size:
            self._values.popitem(last=False)
        return self._values[key]


def shelf() -> Shelf:
    """The nets that ship and some pictures of each class of the sample."""
    nets = tuple(card_of(name, path) for name, path in shipped().items())
    pictures, labels = sample.pictures("test")
    order = [np.flatnonzero(labels == k)[:SAMPLES_A_CLASS] for k in range(len(sample.CLASSES))]
    chosen = np.stack(order, 1).ravel()
    return Shelf(
        nets=nets,
        samples=tuple(Picture(sample.CLASSES[labels[i]], pixels=pictures[i]) for i in chosen),
        note="" if nets else "No trained nets are in the folder checkpoints/ yet: train one with ./run demo.",
    )


def card_of(name: str, path: Path) -> Shipped:
    """A shipped net's card for the start page; one that cannot be read says so on its card."""
    try:
        card = read(path)
    except ValueError as error:
        return Shipped(str(path), name, str(error))
    return Shipped(str(path), card.arch, " · ".join(part for part in (card.data_name, accuracy(card)) if part))


def accuracy(card: Card) -> str:
    """The card's accuracy in words, empty where it has none."""
    return card.title.split(" · ")[-1] if "accuracy" in card.title else ""


def opened(key: str, own: str | None = None) -> tuple[Lens, Net]:
    """A checkpoint by its path or a shipped net by its name; `own` is the name that the user gave it himself."""
    lens = Lens.open(key, own)
    return lens, describe(key, lens)


def describe(key: str, lens: Lens) -> Net:
    """A net for the screen: its folded graph and what its card says."""
    graph, card = lens.graph, lens.card
    folded = graph.fold()
    facts = [("parameters", f"{graph.parameters:,}"), ("multiply-adds", f"{graph.macs / 1e6:,.1f} M")]
    if card.data_name:
        facts.insert(0, ("data", card.data_name))
    if known := accuracy(card):
        facts.insert(1, ("accuracy", known.replace(" test accuracy", " on the test set")))
    if card.dialect:  # a file without a card, recognised
        facts.append(("names", f"{card.dialect}'s names"))
    untold = lens.notes[0] if lens.notes else "" if known or card.dialect else "its card names no accuracy"
    return Net(key, card.arch, card.arch, card.classes, diagram(folded), tuple(facts), untold)


def diagram(graph: BlockGraph) -> Diagram:
    """A folded graph as the screen's plain data."""
    kinds: dict[str, MergeKind] = {"add": "add", "concat": "concat", "gate": "gate"}
    return Diagram(
        nodes=tuple(
            Node(
                block.name,
                short(block.name),
                node_kind(block),
                block.op,
                block.shape,
                block.parameters,
                block.macs,
                block.output,
            )
            for block in graph.blocks
        ),
        links=tuple(Link(*flow) for flow in graph.flow),
        skips=tuple(
            SkipLine(kinds[skip.kind], skip.source, skip.merge, skip.operand, skip.projected) for skip in graph.skips
        ),
    )


def node_kind(block: Block) -> NodeKind:
    merges: dict[str, NodeKind] = {"add": "add", "concat": "concat", "gate": "gate"}
    if block.kind:
        return merges[block.kind]
    if block.op in ("input", "output"):
        return "input" if block.op == "input" else "output"
    return "head" if block.op == "linear" else "block"


def operation(edit: Edit) -> Op:
    """An edit of the screen as surgery."""
    match edit.kind:
        case "drop":
            return Drop(edit.target)
        case "hold":
            return Hold(edit.target, edit.operand, edit.value)
        case "scale":
            return Scale(edit.target, edit.operand, edit.value)


def open_picture(picture: Picture) -> np.ndarray:
    """Pixels (H, W, 3) uint8 of a picture, wherever it came from."""
    if picture.pixels is not None:
        return picture.pixels
    source = picture.path if picture.data is None else picture.data
    assert source is not None, "a picture needs a path, bytes or pixels"
    return np.array(read_picture(source))  # a copy that torch may read without a warning


def maps(values: np.ndarray) -> np.ndarray:
    """Any output as maps (C, H, W): a vector becomes maps of one element, groups (R, C, H, W) stand in a row."""
    return values.reshape(len(values), 1, -1) if values.ndim < 3 else values.reshape(-1, *values.shape[-2:])


def detail(shown: Diagram, name: str | None, view: View) -> Detail | None:
    """What the inspector shows of the selected block."""
    node = shown.node(name)
    if node is None:
        return None
    operands = view.operands.get(node.output, ())
    if node.kind == "add" and len(operands) == 2:
        return Residual(node.name, *operands, view.outputs[node.output])
    if node.kind == "gate" and len(operands) == 2 and operands[1].shape[1:][-2:] in ((), (1, 1)):
        return Gates(node.name, operands[1].reshape(-1), maps(operands[0]), maps(view.outputs[node.output]))
    if node.kind == "concat" and operands:
        return Parts(node.name, view.outputs[node.output], parts(shown, node.name, [len(part) for part in operands]))
    if node.kind == "input":
        return Maps(node.name, view.input.transpose(2, 0, 1).astype(np.float32))
    if node.kind == "output":
        return Maps(node.name, maps(view.logits))
    return Maps(node.name, maps(view.outputs[node.output])) if node.output in view.outputs else None


def parts(shown: Diagram, merge: str, widths: list[int]) -> tuple[Part, ...]:
    """Who made which channels of a concatenation: its operands in order, each as wide as it is."""
    into: dict[str, dict[int, str]] = {}
    for link in shown.links:
        into.setdefault(link.target, {})[link.operand] = link.source
    own = into.get(merge, {})
    merges = [node.name for node in shown.nodes if node.kind == "concat" and into[node.name].get(0) == own.get(0)]
    block = list(dict.fromkeys(source for name in merges for _, source in sorted(into[name].items())))
    ends = np.cumsum(widths)
    return tuple(
        Part(own[i], int(end - width), int(end), block.index(own[i]), len(block))
        for i, (end, width) in enumerate(zip(ends, widths, strict=True))
    )


def changes(shown: Diagram, before: View, now: View) -> dict[str, float]:
    """How far each block's output has moved, |now - before| / |before|, by the node's name."""
    moved: dict[str, float] = {}
    for node in shown.nodes:
        old, new = before.outputs.get(node.output), now.outputs.get(node.output)
        if old is not None and new is not None and old.shape == new.shape:
            norm = float(np.linalg.norm(old))
            moved[node.name] = float(np.linalg.norm(new - old)) / norm if norm else 0.0
    return moved
