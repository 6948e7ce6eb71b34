"""An engine that answers at once with made-up but consistent numbers, and small diagrams: for tests
of the views.
"""

import threading
import time

import numpy as np

from gui.details import AddDetail, ConcatDetail, ConcatPart, Detail, FeatureMaps, GateDetail
from gui.graph import Edge, Graph, Node, SkipConnection
from gui.state import Catalog, CatalogEntry, ImageInput, ModelInfo, Request, Result

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def diagram() -> Graph:
    """One residual block with a gate in it, then a concatenation: every kind of merge once."""
    shape = (16, 8, 8)
    return Graph(
        nodes=(
            Node("input", "input", "input", "input", (3, 8, 8), 0, 0, ""),
            Node("conv1", "conv1", "block", "conv 3x3", shape, 464, 442368, "relu"),
            Node(
                "layer1.0", "layer1.0", "block", "2 conv 3x3", shape, 4672, 4718592, "layer1.0.bn2"
            ),
            Node(
                "layer1.0.se",
                "layer1.0.se",
                "block",
                "squeeze",
                (16, 1, 1),
                132,
                128,
                "layer1.0.se.sigmoid",
            ),
            Node(
                "layer1.0.se.gate", "layer1.0.se", "gate", "gate", shape, 0, 0, "layer1.0.se.gate"
            ),
            Node("layer1.0.add", "layer1.0", "add", "add", shape, 0, 0, "layer1.0.add"),
            Node("side", "side", "block", "conv 1x1", (4, 8, 8), 64, 4096, "side"),
            Node("join.concat", "join", "concat", "concat", (20, 8, 8), 0, 0, "join.concat"),
            Node("fc", "fc", "head", "linear", (10,), 650, 640, "fc"),
            Node("output", "output", "output", "output", (10,), 0, 0, ""),
        ),
        edges=(
            Edge("input", "conv1", 0),
            Edge("conv1", "layer1.0", 0),
            Edge("layer1.0", "layer1.0.se", 0),
            Edge("layer1.0", "layer1.0.se.gate", 0),
            Edge("layer1.0.se", "layer1.0.se.gate", 1),
            Edge("conv1", "layer1.0.add", 0),
            Edge("layer1.0.se.gate", "layer1.0.add", 1),
            Edge("layer1.0.add", "side", 0),
            Edge("layer1.0.add", "join.concat", 0),
            Edge("side", "join.concat", 1),
            Edge("join.concat", "fc", 0),
            Edge("fc", "output", 0),
        ),
        skips=(
            SkipConnection("gate", "layer1.0", "layer1.0.se.gate", 0, None),
            SkipConnection("add", "conv1", "layer1.0.add", 0, "16→16, conv 1x1"),
            SkipConnection("concat", "layer1.0.add", "join.concat", 0, None),
        ),
    )


def detail(node: Node, seed: int = 0) -> Detail:
    """What the inspector shows of a node, from random numbers."""
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    shape = node.shape if len(node.shape) == 3 else (*node.shape, 1, 1)
    if node.kind == "add":
        shortcut, branch = some(*shape), some(*shape)
        return AddDetail(node.name, shortcut, branch, shortcut + branch)
    if node.kind == "gate":
        before, weight = some(*shape), 1 / (1 + np.exp(-some(shape[0])))
        return GateDetail(node.name, weight, before, before * weight[:, None, None])
    if node.kind == "concat":
        return ConcatDetail(
            node.name,
            some(*shape),
            (ConcatPart("layer1.0.add", 0, 16, 0, 2), ConcatPart("side", 16, 20, 1, 2)),
        )
    return FeatureMaps(node.name, some(*shape))


def pixels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)


class FakeEngine:
    """Records what it was asked; `slow` seconds an answer; refuses models whose name begins with
    "bad".
    """

    def __init__(self, slow: float = 0.0) -> None:
        self.slow = slow
        self.asked: list[tuple[str, object]] = []
        self.threads: set[str] = set()

    def handle(self, kind: str, request: object) -> object:
        self.asked.append((kind, request))
        self.threads.add(threading.current_thread().name)
        time.sleep(self.slow)
        if kind == "catalog":
            samples = tuple(ImageInput(CLASSES[i], pixels=pixels(i)) for i in range(6))
            photographs = tuple(ImageInput(name, pixels=pixels(9)) for name in ("cat", "rocket"))
            entry = CatalogEntry("resnet20", "resnet20", "CIFAR-10 · 91.24 % test accuracy")
            return Catalog((entry,), samples, photographs=photographs)
        assert isinstance(request, Request)
        if (
            request.checkpoint
            and request.checkpoint.startswith("own")
            and request.architecture != "mine:model"
        ):
            return Result(needs_code_permission="mine:model")
        if request.checkpoint and request.checkpoint.startswith("bad"):
            raise ValueError(f"'{request.checkpoint}' is not a checkpoint: choose a .ckpt file.")
        return self.run(request)

    def run(self, request: Request) -> Result:
        is_large = (request.checkpoint or "").startswith("large")
        model = ModelInfo(
            request.checkpoint or "",
            "resnet20",
            "resnet20",
            CLASSES,
            diagram(),
            (("data", "CIFAR-10"),),
            input_size=(3, 224, 224) if is_large else (3, 32, 32),
        )
        if request.image is None:
            return Result(model=model)
        before = softmax(np.arange(10, dtype=float)[::-1])
        gain = sum(edit.value for edit in request.edits)
        now = softmax(np.arange(10, dtype=float)[::-1] * (0.2 + gain)) if request.edits else before
        node = model.diagram.node(request.selected)
        return Result(
            model=model,
            image=request.image,
            input_pixels=pixels(1),
            probabilities=now,
            probabilities_without_edits=before,
            edits=request.edits,
            detail=detail(node) if node else None,
            changes={"layer1.0.add": 0.5} if request.edits else {},
            seconds=0.001,
        )


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum()
