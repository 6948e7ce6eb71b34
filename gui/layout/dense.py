"""Layout of dense blocks: layers in a row, a widening ribbon above, a matrix of cells below."""

from gui.graph import Graph
from gui.layout.chains import DenseBlock, DenseChain
from gui.layout.dense_sizes import (
    ARC_HEIGHT,
    END_WIDTH,
    FIRST,
    INSET,
    LANE_GAP,
    LAST,
    TAIL_WIDTH,
    DenseSizes,
    fit_dense_sizes,
)
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
from gui.layout.labels import shorten_node_label


class DenseLayout:
    """Collect the boxes and lines of a drawing from left to right.

    Args:
        diagram: The folded graph.
        chain: Its dense blocks.
        room: The width and height in units that the drawing should fill at zoom 1.
    """

    def __init__(self, diagram: Graph, chain: DenseChain, room: Point) -> None:
        self.diagram = diagram
        self.chain = chain
        self.nodes = {node.name: node for node in diagram.nodes}
        self.links = input_edges(diagram)
        last = chain.order.index(chain.blocks[-1].merges[-1])
        self.tail = chain.order[last + 1 :]
        self.sizes = self._choose_sizes(room)
        self.places: dict[str, NodeBox] = {}
        self.wires: list[Wire] = []
        self.strips: list[RibbonStrip] = []
        self.matrices: list[ConnectivityMatrix] = []
        self.bands: list[StageBand] = []

    def _choose_sizes(self, room: Point) -> DenseSizes:
        """Choose the sizes for a room from the numbers of layers and channels."""
        blocks = self.chain.blocks
        depths = [len(block.merges) for block in blocks]
        columns = sum(FIRST + depth + LAST for depth in depths)
        lanes = LANE_GAP * (len(blocks) + 1) + INSET * len(blocks)
        inside = sum(len({*block.sources, *block.merges}) for block in blocks)
        end_count = len(self.chain.order) - inside - len(self.tail)
        fixed_width = 2 * MARGIN + lanes + END_WIDTH * end_count + TAIL_WIDTH
        channels = max(self.channels(block.merges[-1]) for block in blocks)
        return fit_dense_sizes(columns, fixed_width, max(depths), channels, room)

    def channels(self, name: str) -> int:
        """Return the number of output channels of a node.

        Args:
            name: The name of the node.
        """
        return self.nodes[name].shape[0]

    def placement(self) -> GraphLayout:
        """Build the layout."""
        self._place_all()
        self._set_wires()
        boxes = tuple(self.places[node.name] for node in self.diagram.nodes)
        rects = [band.rect for band in self.bands] + [box.rect for box in boxes]
        return GraphLayout(
            style="dense",
            boxes=boxes,
            wires=tuple(self.wires),
            matrices=tuple(self.matrices),
            strips=tuple(self.strips),
            bands=tuple(self.bands),
            bounds=bounding_rect(rects, MARGIN),
        )

    def _place_all(self) -> None:
        """Place blocks and single nodes from left to right, then the tail."""
        x = 0.0
        row = 0
        pending = {block.sources[0]: block for block in self.chain.blocks}
        # The tail has a column of its own, and a block places all of its nodes at once.
        skipped = set(self.tail)
        for block in self.chain.blocks:
            skipped.update(block.sources[1:], block.merges)
        for name in self.chain.order:
            if name in pending:
                x = self._set_block(pending[name], x + LANE_GAP / 2, row) + LANE_GAP / 2
                row += 1
            elif name not in skipped:
                self._place_node(name, x + END_WIDTH / 2, END_WIDTH - 10, max(0, row - 1))
                x += END_WIDTH
        self._set_tail(x + 10, row - 1)

    def _set_tail(self, x: float, row: int) -> None:
        """Place the nodes after the last block below each other, beside its matrix."""
        tall = self.sizes.tall
        free = self.sizes.bottom - self.sizes.spine - tall * 0.8
        step = min(tall + 18, max(tall + 8, free / max(len(self.tail), 1)))
        for i, name in enumerate(self.tail):
            self._place_node(name, x + TAIL_WIDTH / 2, TAIL_WIDTH - 10, row, i * step)

    def _place_node(
        self, name: str, middle: float, width: float, row: int, down: float = 0.0
    ) -> None:
        """Place a node around the x of its middle, `down` units below the spine."""
        node = self.nodes[name]
        top = self.sizes.spine - self.sizes.tall / 2 + down
        rect = Rect(middle - width / 2, top, width, self.sizes.tall)
        lines = (shorten_node_label(node, width),)
        self.places[name] = NodeBox(name, rect, SHAPES.get(node.kind, "box"), lines, row)

    def _column(self, left: float, j: int) -> float:
        """Return the middle of column j of a block that starts at `left`."""
        if j == 0:
            return left + self.sizes.cell * (FIRST / 2)
        return left + self.sizes.cell * (FIRST + j - 0.5)

    def _set_block(self, block: DenseBlock, edge: float, row: int) -> float:
        """Place a block whose lane starts at `edge`, and return where it ends."""
        left = edge + INSET
        cell = self.sizes.cell
        right = left + cell * (FIRST + len(block.merges) + LAST)
        for j, source in enumerate(block.sources):
            width = cell * 0.7 if j else cell * FIRST * 0.88
            self._place_node(source, self._column(left, j), width, row)
        self._set_merges(block, left, right, row)
        self._set_strips(block)
        self._set_matrix(block, left)
        self.bands.append(self._band(block, Rect(edge, 0, right - edge, self.sizes.bottom)))
        return right

    def _band(self, block: DenseBlock, rect: Rect) -> StageBand:
        """Build the background of a block, titled by resolution and channels."""
        first = self.nodes[block.sources[0]]
        last = self.nodes[block.merges[-1]]
        note = f"{first.shape[0]} → {last.shape[0]} channels"
        if text_width(note, 10) > rect.w - 10:
            note = f"{first.shape[0]}→{last.shape[0]}"
        corner = (rect.x + INSET + 2, 8.0)
        return StageBand(rect, format_spatial_size(first), note, corner, True)

    def _set_merges(self, block: DenseBlock, left: float, right: float, row: int) -> None:
        """Place each concat as a bar across the ribbon, just before the layer that reads it."""
        sizes = self.sizes
        width = min(5.0, sizes.cell * 0.2)
        for k, merge in enumerate(block.merges, 1):
            if k == len(block.merges):  # the last one ends the ribbon
                x = right - sizes.cell * LAST * 0.75
            else:
                x = self._column(left, k + 1) - sizes.cell * 0.5
            channels = sum(self.channels(source) for source in block.sources[: k + 1])
            # 4 units above and below the ribbon make the bar visible.
            depth = channels * sizes.per_channel
            rect = Rect(x - width / 2, sizes.base - 4, width, depth + 8)
            self.places[merge] = NodeBox(merge, rect, "bar", (), row)

    def _set_strips(self, block: DenseBlock) -> None:
        """Stack one strip per layer, as high as its channels, up to the last concat."""
        last = block.merges[-1]
        end = self.places[last].rect.center[0]
        y = self.sizes.base
        for j, source in enumerate(block.sources):
            rect = self.places[source].rect
            depth = self.channels(source) * self.sizes.per_channel
            x = rect.center[0]
            # Each strip runs to the end of the block: all later layers read it.
            strip = Rect(x, y, end - x, depth)
            root = (x, rect.y)
            self.strips.append(RibbonStrip(source, j, len(block.sources), strip, root, last))
            y += depth  # the next strip lies below

    def _set_matrix(self, block: DenseBlock, left: float) -> None:
        """Place the connectivity matrix of a block below its layers."""
        count = len(block.merges)
        cells: list[MatrixCell] = []
        for k in range(count):
            cells += self._matrix_row(block, k, left)
        x = self._column(left, 0) - self.sizes.cell * FIRST * 0.46
        width = self._column(left, count) + self.sizes.cell / 2 - x
        rect = Rect(x, self.sizes.grid, width, count * self.sizes.cell)
        skips = sum(cell.skip for cell in cells)
        caption = f"{count} layers · {skips} skips"
        if text_width(caption, 10) > rect.w + 4:
            caption = f"{skips} skips"
        readers = tuple(self._reader(merge) for merge in block.merges)
        self.matrices.append(
            ConnectivityMatrix(block.merges, block.sources, readers, tuple(cells), rect, caption)
        )

    def _matrix_row(self, block: DenseBlock, k: int, left: float) -> list[MatrixCell]:
        """Build the cells of concat k, one for each layer that it reads."""
        merge = block.merges[k]
        cell = self.sizes.cell
        y = self.sizes.grid + k * cell
        cells: list[MatrixCell] = []
        # A concat reads the first k + 2 sources, so the lists differ in length.
        for j, (edge, source) in enumerate(zip(self.links[merge], block.sources, strict=False)):
            width = cell * (1 if j else FIRST * 0.92)
            rect = Rect(self._column(left, j) - width / 2, y, width, cell)
            cells.append(MatrixCell(k, j, source, merge, edge.operand, j <= k, rect))
        return cells

    def _reader(self, merge: str) -> str:
        """Return the node after a concat, or the concat at the end of the graph."""
        order = self.chain.order
        return order[min(order.index(merge) + 1, len(order) - 1)]

    def _set_wires(self) -> None:
        """Connect nodes along the spine; the inputs of concats are strips instead."""
        for name in self.chain.order:
            links = self.links[name]
            target = self.places[name]
            if target.shape == "bar" or not links:
                continue
            source = self.places[links[0].source]
            points, radius = self._wire_route(source, target)
            self.wires.append(Wire(source.name, name, links[0].operand, points, "spine", radius))

    def _wire_route(self, source: NodeBox, target: NodeBox) -> tuple[tuple[Point, ...], float]:
        """Return the corners of a wire and their radius."""
        spine = self.sizes.spine
        x = source.rect.center[0]
        y = source.rect.bottom
        if source.name in self.tail:  # nodes of the tail are below each other
            return ((x, y), (target.rect.center[0], target.rect.y)), 0.0
        end = (target.rect.x, spine)
        if source.shape == "bar":  # down from the ribbon, then along the spine
            radius = min(6.0, max(end[0] - x, 0.1))
            return ((x, y), (x, spine), end), radius
        return ((source.rect.right, spine), end), 0.0


def layout_dense(diagram: Graph, chain: DenseChain, room: Point) -> GraphLayout:
    """Lay out a chain of dense blocks.

    Args:
        diagram: The folded graph.
        chain: Its dense blocks.
        room: The width and height in units that the drawing should fill at zoom 1.

    Returns:
        The layout in units.
    """
    return DenseLayout(diagram, chain, room).placement()


def selected_arcs(placement: GraphLayout, name: str | None) -> tuple[Arc, ...]:
    """Build the arcs of the inputs of one layer in its dense block.

    Args:
        placement: The layout.
        name: The name of a layer, or of the concat before it.

    Returns:
        One arc per input, none for any other node.
    """
    for matrix in placement.matrices:
        for merge, reader in zip(matrix.rows, matrix.consumers, strict=True):
            if name in (merge, reader):
                cells = [cell for cell in matrix.cells if cell.merge == merge]
                return tuple(_cell_arc(placement, cell) for cell in cells)
    return ()


def _cell_arc(placement: GraphLayout, cell: MatrixCell) -> Arc:
    """Build the arc of one connection, above the ribbon."""
    source = placement.box(cell.source)
    merge = placement.box(cell.merge)
    assert source, f"{cell.source} is not in the layout"
    assert merge, f"{cell.merge} is not in the layout"
    start = source.rect.center[0]
    end = merge.rect.center[0]
    y = merge.rect.y
    # Longer arcs rise higher, so that they do not hide shorter ones.
    rise = min(ARC_HEIGHT - 14, 8 + (end - start) * 0.3)
    points = ((start, y + 4), (start, y - rise), (end, y - rise), (end, y))
    radius = min(rise, (end - start) / 2)
    return Arc("concat", cell.source, cell.merge, cell.operand, None, points, radius)
