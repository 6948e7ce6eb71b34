"""Painter of the stages: their grounds with titles."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter

from gui import layout
from gui.views.graph.painting import MIN_TEXT_ZOOM, GraphItem, PaintState
from gui.views.graph.strokes import scene_font, to_qrectf


class StageBandsItem(GraphItem):
    """Grounds of all stages, with their titles.

    Args:
        state: What all painters read.
        bands: The stages.
        bounds: Rectangle of the whole graph.
    """

    def __init__(
        self, state: PaintState, bands: tuple[layout.StageBand, ...], bounds: QRectF
    ) -> None:
        super().__init__(state, bounds, -10)  # below everything else
        self.bands = bands

    def draw(self, painter: QPainter, zoom: float) -> None:
        """Draw all grounds, and the titles where they can be read."""
        for band in self.bands:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.state.band_color())
            painter.drawRoundedRect(to_qrectf(band.rect), 12, 12)
            if zoom >= MIN_TEXT_ZOOM:
                self._draw_title(painter, band)

    def _draw_title(self, painter: QPainter, band: layout.StageBand) -> None:
        """Draw title and subtitle, one below the other or side by side."""
        if band.stacked:
            title_font = scene_font(13, bold=True)
            subtitle_font = scene_font(11)
            baseline = 13
            step = QPointF(0, 15)
        else:
            # A low stage has room for one line only.
            title_font = scene_font(11, bold=True)
            subtitle_font = scene_font(10)
            baseline = 10
            step = QPointF(QFontMetricsF(title_font).horizontalAdvance(band.title + "  "), 0)
        at = QPointF(band.at[0], band.at[1] + baseline)
        painter.setFont(title_font)
        painter.setPen(self.state.color("text"))
        painter.drawText(at, band.title)
        painter.setFont(subtitle_font)
        painter.setPen(self.state.color("secondary_text"))
        painter.drawText(at + step, band.subtitle)
