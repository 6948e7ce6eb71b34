"""Graphs built by hand, so that layout tests run without models."""

from gui.graph import Edge, Graph, MergeKind, Node, NodeKind, SkipConnection, short_name

Shape = tuple[int, ...]


class Sketch:
    """Build a graph by hand, node by node, in execution order."""

    def __init__(self, size: int) -> None:
        self.nodes: list[Node] = []
        self.links: list[Edge] = []
        self.skips: list[SkipConnection] = []
        self.add("input", "input", (3, size, size))

    def add(
        self, name: str, kind: NodeKind, shape: Shape, *sources: str, op: str = "conv 3x3"
    ) -> str:
        self.nodes.append(
            Node(name, short_name(name), kind, op if kind == "block" else kind, shape, 9, 9, name)
        )
        self.links += [Edge(source, name, i) for i, source in enumerate(sources)]
        return name

    def skip(
        self,
        kind: MergeKind,
        source: str,
        merge: str,
        operand: int = 0,
        projected: str | None = None,
    ) -> None:
        self.skips.append(SkipConnection(kind, source, merge, operand, projected))

    def finished(self, last: str, pooled: int) -> Graph:
        self.add("avgpool", "block", (pooled,), last, op="avg pool, flatten")
        self.add("fc", "head", (10,), "avgpool")
        self.add("output", "output", (10,), "fc")
        return Graph(tuple(self.nodes), tuple(self.links), tuple(self.skips))


def resnet(
    counts: tuple[int, ...], width: int = 16, size: int = 32, se: bool = False, plain: bool = False
) -> Graph:
    """Build a residual graph whose stages begin with a parameter-free projection.

    With `se` every block has a gate; with `plain` there are no skips.
    """
    sketch = Sketch(size)
    channels = width
    last = sketch.add("conv1", "block", (width, size, size), "input")
    for stage, count in enumerate(counts, 1):
        for k in range(count):
            before = channels
            first = stage > 1 and k == 0
            if first:
                channels *= 2
                size //= 2
            shape = (channels, size, size)
            name = f"layer{stage}.{k}"
            branch = sketch.add(name, "block", shape, last, op="2 × conv 3x3")
            if se:
                weight = sketch.add(
                    f"{name}.se", "block", (channels, 1, 1), branch, op="2 × conv 1x1"
                )
                gate = sketch.add(f"{name}.se.gate", "gate", shape, branch, weight)
                sketch.skip("gate", branch, gate)
                branch = gate
            if plain:
                last = branch
                continue
            shortcut = last
            projection = None
            if first:
                shortcut = sketch.add(f"{name}.downsample", "block", shape, last, op="pad")
                projection = f"{before}→{channels} /2, pad"
            add = sketch.add(f"{name}.add", "add", shape, shortcut, branch)
            sketch.skip("add", last, add, 0, projection)
            last = add
    return sketch.finished(last, channels)


def densenet(counts: tuple[int, ...], first: int = 24, growth: int = 12, size: int = 32) -> Graph:
    """Build a dense graph; every operand of a concatenation but the last is a skip."""
    sketch = Sketch(size)
    channels = first
    last = sketch.add("features.conv0", "block", (channels, size, size), "input")
    for b, count in enumerate(counts, 1):
        block = f"features.denseblock{b}"
        sources = [last]
        for k in range(1, count + 2):
            if k > 1:
                name = f"{block}.denselayer{k}.concat" if k <= count else f"{block}.concat"
                last = sketch.add(name, "concat", (channels, size, size), *sources)
                for i, source in enumerate(sources[:-1]):
                    sketch.skip("concat", source, last, i)
            if k <= count:
                sources.append(
                    sketch.add(f"{block}.denselayer{k}", "block", (growth, size, size), last)
                )
                channels += growth
        if b < len(counts):
            channels //= 2
            size //= 2
            last = sketch.add(f"features.transition{b}", "block", (channels, size, size), last)
    return sketch.finished(
        sketch.add("features.norm5", "block", (channels, size, size), last), channels
    )


def inception() -> Graph:
    """Build three concatenated branches with an addition around them, which is not a chain."""
    sketch = Sketch(64)
    last = sketch.add("stem", "block", (64, 32, 32), "input")
    for k in range(3):
        side = 32 >> k
        branches = [
            sketch.add(f"mixed{k}.{i}.0", "block", (32, side, side), last) for i in range(3)
        ]
        branches[1] = sketch.add(f"mixed{k}.1.1", "block", (32, side, side), branches[1])
        branches[2] = sketch.add(f"mixed{k}.2.1", "block", (32, side, side), branches[2])
        branches[2] = sketch.add(f"mixed{k}.2.2", "block", (32, side, side), branches[2])
        joined = sketch.add(f"mixed{k}.concat", "concat", (96, side, side), *branches)
        sketch.skip("concat", branches[0], joined)
        add = sketch.add(f"mixed{k}.add", "add", (96, side, side), last, joined)
        sketch.skip("add", last, add)
        last = add
    return sketch.finished(last, 96)


MODELS = {
    "resnet20": resnet((3, 3, 3)),
    "plain20": resnet((3, 3, 3), plain=True),
    "seresnet20": resnet((3, 3, 3), se=True),
    "resnet110": resnet((18, 18, 18)),
    "resnet152": resnet((3, 8, 36, 3), 256, 56),
    "seresnet110": resnet((18, 18, 18), se=True),
    "densenet_bc_40_12": densenet((6, 6, 6)),
    "densenet121": densenet((6, 12, 24, 16), 64, 32, 56),
    "inception": inception(),
}
