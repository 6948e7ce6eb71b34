"""Color scale of a figure for the nodes of the graph."""

from gui.colormaps import blend
from gui.graph import short_name
from gui.measures import MEASURE_BY_NAME, MeasureValues, format_value, scale_of
from gui.theme import Theme

MAX_SHARE = 0.62  # of the accent; text on it stays legible


class NodeScale:
    """Maps the values of one measure to colors: from the ground to an accent.

    Signed measures have one accent below zero and another above.

    Args:
        values: the measure and its values by name of the node.
    """

    def __init__(self, values: MeasureValues) -> None:
        self.measure = MEASURE_BY_NAME[values.name]
        self.values = values.values
        self.notes = values.notes
        # A block without a value of its own has that of the merge at its end.
        self._node_by_block = {short_name(name): name for name in values.values}
        self.low, self.high = scale_of(self.measure, values.values)

    def color(self, name: str, theme: Theme) -> str | None:
        """Return the color of a node.

        Args:
            name: name of the node.
            theme: the colors of the app.

        Returns:
            "#RRGGBB"; None for a node without a value.
        """
        value = self.values.get(self.node_with_value(name))
        if value is None:
            return None
        return self.color_of(value, theme)

    def node_with_value(self, name: str) -> str:
        """Return the node whose value stands for a node: itself, or the merge of its block.

        Args:
            name: name of the node.

        Returns:
            Name of a node, which may have no value either.
        """
        if name in self.values:
            return name
        return self._node_by_block.get(short_name(name), name)

    def color_of(self, value: float, theme: Theme) -> str:
        """Return the color of a value.

        Args:
            value: any value; those outside the scale get the color of its end.
            theme: the colors of the app.

        Returns:
            "#RRGGBB".
        """
        end = self.low if value < 0 else self.high
        # Not a number is drawn like zero; the tooltip has it.
        share = min(abs(value / end), 1.0) if end and value == value else 0.0
        accent = theme.concat if value < 0 else theme.add
        return blend(theme.panel, accent, MAX_SHARE * share)

    def samples(self, count: int, theme: Theme) -> list[str]:
        """Return colors at equal steps over the whole scale.

        Args:
            count: number of colors, at least 2.
            theme: the colors of the app.

        Returns:
            "#RRGGBB" each, the lowest value first.
        """
        step = (self.high - self.low) / (count - 1)
        return [self.color_of(self.low + i * step, theme) for i in range(count)]

    def legend_text(self) -> str:
        """Return the name of the measure and the ends of the scale."""
        low = format_value(self.measure, self.low)
        return f"{self.measure.title}: {low} to {format_value(self.measure, self.high)}"

    def describe(self, name: str) -> list[str]:
        """Describe the value of a node.

        Args:
            name: name of the node.

        Returns:
            The value, and the note on it if there is one; nothing for a node without a value.
        """
        name = self.node_with_value(name)
        value = self.values.get(name)
        if value is None:
            return []
        texts = [f"{self.measure.title} {format_value(self.measure, value)}"]
        if name in self.notes:
            texts.append(self.notes[name])
        return texts
