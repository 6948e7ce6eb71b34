"""A model of dense blocks on the canvas: layers in a line, a ribbon that widens above them, a triangle of cells below."""

from gui.graph import Graph, Node
from gui.layout.chains import DenseBlock, DenseChain
from gui.layout.geometry import (
    MARGIN,
    SHAPES,
    Arc,
    ConnectivityMatrix,
    GraphLayout,
    MatrixCell,
    NodeBox,
    Point,
    Rect,
    RibbonStrip,
    StageBand,
    Wire,
    bounding_rect,
    format_spatial_size,
    input_edges,
    text_width,
)

TITLE_HEIGHT, ARC_HEIGHT, RIBBON_HEIGHT = 38.0, 44.0, 46.0


FIRST, LAST = 1.9, 0.6  # lengths in columns


INSET = 7.0  # from the edge of a lane to its first column


END_WIDTH, TAIL_WIDTH, LANE_GAP = (
    46.0,
    78.0,
    12.0,
)  # in units: a lone node of the spine, the column at the end, the gap between lanes


class DenseLayout:
    """Collects places while it walks from left to right; `p` is the side of a cell."""

    def __init__(self, diagram: Graph, chain: DenseChain, room: Point) -> None:
        self.diagram, self.chain = diagram, chain
        self.nodes = {node.name: node for node in diagram.nodes}
        self.links = input_edges(diagram)
        sizes = [len(block.merges) for block in chain.blocks]
        inner = {name for block in chain.blocks for name in (*block.sources, *block.merges)}
        self.ends = [name for name in chain.order if name not in inner]
        last = chain.order.index(chain.blocks[-1].merges[-1])
        self.tail = chain.order[last + 1 :]
        columns = sum(FIRST + size + LAST for size in sizes)
        high = TITLE_HEIGHT + ARC_HEIGHT + RIBBON_HEIGHT + 90
        lanes = LANE_GAP * (len(sizes) + 1) + INSET * len(sizes)
        spent = 2 * MARGIN + lanes + END_WIDTH * (len(self.ends) - len(self.tail)) + TAIL_WIDTH
        wide = (room[0] - spent) / columns
        self.p = max(11.0, min(44.0, wide, (room[1] - high) / max(sizes)))
        self.tall = min(34.0, max(22.0, self.p))
        self.base = TITLE_HEIGHT + ARC_HEIGHT  # top of the ribbon
        self.spine = self.base + RIBBON_HEIGHT + 14 + self.tall / 2
        self.grid = self.spine + self.tall / 2 + 14
        self.bottom = self.grid + max(sizes) * self.p + 30
        most = max(self.channels(block.merges[-1]) for block in chain.blocks)
        self.thick = RIBBON_HEIGHT / most
        self.places: dict[str, NodeBox] = {}
        self.wires: list[Wire] = []
        self.strips: list[RibbonStrip] = []
        self.matrices: list[ConnectivityMatrix] = []
        self.bands: list[StageBand] = []

    def channels(self, name: str) -> int:
        return self.nodes[name].shape[0]

    def placement(self) -> GraphLayout:
        x, row = 0.0, 0
        todo = {block.sources[0]: block for block in self.chain.blocks}
        inner = {
            name for block in self.chain.blocks for name in (*block.sources[1:], *block.merges)
        }
        for name in self.chain.order:
            if name in todo:
                x = self.set_block(todo[name], x + LANE_GAP / 2, row) + LANE_GAP / 2
                row += 1
            elif name not in inner and name not in self.tail:
                self.place_node(name, x + END_WIDTH / 2, END_WIDTH - 10, max(0, row - 1))
                x += END_WIDTH
        self.set_tail(x + 10, row - 1)
        self.set_wires()
        places = tuple(self.places[node.name] for node in self.diagram.nodes)
        rects = [band.rect for band in self.bands] + [place.rect for place in places]
        return GraphLayout(
            "dense",
            places,
            tuple(self.wires),
            (),
            tuple(self.matrices),
            tuple(self.strips),
            tuple(self.bands),
            bounding_rect(rects, MARGIN),
        )

    def set_tail(self, x: float, row: int) -> None:
        """What follows the last block, one under the other beside its triangle."""
        free = self.bottom - self.spine - self.tall * 0.8
        step = min(self.tall + 18, max(self.tall + 8, free / max(len(self.tail), 1)))
        for i, name in enumerate(self.tail):
            self.place_node(name, x + TAIL_WIDTH / 2, TAIL_WIDTH - 10, row, i * step)

    def place_node(
        self, name: str, middle: float, width: float, row: int, down: float = 0.0
    ) -> None:
        node = self.nodes[name]
        rect = Rect(middle - width / 2, self.spine - self.tall / 2 + down, width, self.tall)
        self.places[name] = NodeBox(
            name, rect, SHAPES.get(node.kind, "box"), (self.node_lines(node, width),), row
        )

    def node_lines(self, node: Node, width: float) -> str:
        last = node.label.rpartition(".")[2]
        if text_width(last, 8) <= width:
            return last
        digits = last[len(last.rstrip("0123456789")) :]
        return digits if node.kind == "block" and digits and "layer" in last else last

    def column(self, left: float, j: int) -> float:
        """The middle of column j of a block that starts at `left`; the first column is wider."""
        return left + self.p * (FIRST / 2 if j == 0 else FIRST + j - 0.5)

    def set_block(self, block: DenseBlock, left: float, row: int) -> float:
        count = len(block.merges)
        edge, left = left, left + INSET
        right = left + self.p * (FIRST + count + LAST)
        for j, source in enumerate(block.sources):
            width = self.p * FIRST * 0.88 if j == 0 else self.p * 0.7
            self.place_node(source, self.column(left, j), width, row)
        self.set_merges(block, left, right, row)
        self.set_strips(block, right)
        self.set_matrix(block, left)
        first, last = self.nodes[block.sources[0]], self.nodes[block.merges[-1]]
        note = f"{first.shape[0]} → {last.shape[0]} channels"
        roomy = text_width(note, 10) <= right - edge - 10
        if not roomy:
            note = f"{first.shape[0]}→{last.shape[0]}"
        rect = Rect(edge, 0, right - edge, self.bottom)
        self.bands.append(StageBand(rect, format_spatial_size(first), note, (left + 2, 8.0), True))
        return right

    def set_merges(self, block: DenseBlock, left: float, right: float, row: int) -> None:
        """Each concat as a bar across the ribbon, just before the layer that reads it; the last one ends the ribbon."""
        width = min(5.0, self.p * 0.2)
        for k, merge in enumerate(block.merges, 1):
            last = k == len(block.merges)
            x = right - self.p * LAST * 0.75 if last else self.column(left, k + 1) - self.p * 0.5
            deep = sum(self.channels(source) for source in block.sources[: k + 1]) * self.thick
            rect = Rect(x - width / 2, self.base - 4, width, deep + 8)
            self.places[merge] = NodeBox(merge, rect, "bar", (), row)

    def set_strips(self, block: DenseBlock, right: float) -> None:
        end, y = self.places[block.merges[-1]].rect, self.base
        for j, source in enumerate(block.sources):
            rect, deep = self.places[source].rect, self.channels(source) * self.thick
            x = rect.center[0]
            strip = Rect(x, y, end.center[0] - x, deep)
            self.strips.append(
                RibbonStrip(source, j, len(block.sources), strip, (x, rect.y), block.merges[-1])
            )
            y += deep

    def set_matrix(self, block: DenseBlock, left: float) -> None:
        order = self.chain.order
        cells: list[MatrixCell] = []
        for k, merge in enumerate(block.merges):
            for link, source in zip(self.links[merge], block.sources, strict=False):
                j, y = block.sources.index(source), self.grid + k * self.p
                wide = self.p * (1 if j else FIRST * 0.92)
                rect = Rect(self.column(left, j) - wide / 2, y, wide, self.p)
                cells.append(MatrixCell(k, j, source, merge, link.operand, j <= k, rect))
        readers = tuple(
            order[min(order.index(merge) + 1, len(order) - 1)] for merge in block.merges
        )
        count = len(block.merges)
        x = self.column(left, 0) - self.p * FIRST * 0.46
        rect = Rect(x, self.grid, self.column(left, count) + self.p / 2 - x, count * self.p)
        skips = sum(cell.skip for cell in cells)
        caption = f"{count} layers · {skips} skips"
        if text_width(caption, 10) > rect.w + 4:
            caption = f"{skips} skips"
        self.matrices.append(
            ConnectivityMatrix(block.merges, block.sources, readers, tuple(cells), rect, caption)
        )

    def set_wires(self) -> None:
        """What is no strip: from a bar down to the layer that reads it, and along the spine between blocks."""
        for name in self.chain.order:
            links, place = self.links[name], self.places[name]
            if place.shape == "bar" or not links:
                continue
            source = self.places[links[0].source]
            start, end = (source.rect.right, self.spine), (place.rect.x, self.spine)
            if source.name in self.tail:
                start, end = (
                    (source.rect.center[0], source.rect.bottom),
                    (place.rect.center[0], place.rect.y),
                )
            if source.shape == "bar":
                x = source.rect.center[0]
                start, bend = (x, source.rect.bottom), (x, self.spine)
                radius = min(6.0, max(end[0] - x, 0.1))
                self.wires.append(
                    Wire(source.name, name, links[0].operand, (start, bend, end), "spine", radius)
                )
            else:
                self.wires.append(
                    Wire(source.name, name, links[0].operand, (start, end), "spine", 0.0)
                )


def layout_dense(diagram: Graph, chain: DenseChain, room: Point) -> GraphLayout:
    """Places a chain of dense blocks; `room` (width, height) is what the drawing should fill at zoom 1."""
    return DenseLayout(diagram, chain, room).placement()


def selected_arcs(placement: GraphLayout, name: str | None) -> tuple[Arc, ...]:
    """The arcs of what `name` (a layer, or the concat before it) reads in its dense block, () for anything else."""
    for matrix in placement.matrices:
        for merge, reader in zip(matrix.rows, matrix.consumers, strict=True):
            if name in (merge, reader):
                return tuple(_rib(placement, cell) for cell in matrix.cells if cell.merge == merge)
    return ()


def _rib(placement: GraphLayout, cell: MatrixCell) -> Arc:
    source, merge = placement.box(cell.source), placement.box(cell.merge)
    assert source, f"{cell.source} has no place"
    assert merge, f"{cell.merge} has no place"
    a, b, y = source.rect.center[0], merge.rect.center[0], merge.rect.y
    rise = min(ARC_HEIGHT - 14, 8 + (b - a) * 0.3)
    points = (a, y + 4), (a, y - rise), (b, y - rise), (b, y)
    return Arc(
        "concat", cell.source, cell.merge, cell.operand, None, points, min(rise, (b - a) / 2)
    )
