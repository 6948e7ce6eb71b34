"""What an addition does: shortcut, branch and sum side by side on one contrast scale, with norms and cosine."""

import math

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QWidget

from gui.feature_maps import ResidualStats, residual_stats, robust_range
from gui.state import AddDetail
from gui.theme import LIGHT, Theme
from gui.views import qt_style
from gui.views.tiled_image import TiledImage, draw_colorbar

HEADER_HEIGHT, FOOTER_HEIGHT, SIGN_WIDTH, PANEL_WIDTH = 24.0, 26.0, 44.0, 190.0


TITLES = ("shortcut  x", "branch  F(x)", "sum  x + F(x)")


class ResidualView(QWidget):
    """Three columns on one scale; a hover reads a value in all three, a click enlarges its channel in all three."""

    hovered = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Shortcut, branch and sum of the selected addition")
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumHeight(130)
        self._theme: Theme = LIGHT
        self._residual: AddDetail | None = None
        self._measure: ResidualStats | None = None
        self._plates = (TiledImage(), TiledImage(), TiledImage())
        self._span = 1.0
        self._enlarged: int | None = None
        self._under: int | None = None

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._lay()

    def set_residual(self, residual: AddDetail | None) -> None:
        """Three tensors of one shape (C, H, W); the enlarged channel stays while the addition is the same."""
        if residual is None or self._residual is None or residual.name != self._residual.name:
            self._enlarged = None
        self._residual = residual
        self._measure = (
            residual_stats(residual.shortcut, residual.branch, residual.total) if residual else None
        )
        if residual:
            self._span = robust_range(*self._arrays())
        self.setAccessibleDescription(self.summary())
        self._lay()

    @property
    def value_range(self) -> float:
        """All three columns are painted on -span to span."""
        return self._span

    @property
    def images(self) -> tuple[TiledImage, TiledImage, TiledImage]:
        return self._plates

    def sizeHint(self) -> QSize:
        return QSize(800, 240)

    def summary(self) -> str:
        """Share and cosine in words."""
        if self._measure is None:
            return ""
        share, cosine = format_stats(self._measure)
        return f"|F| / |x| = {share}   ·   cosine of F and x = {cosine}"

    def describe_value(self, found: tuple[int, int, int] | None) -> str:
        """One element of all three tensors: the sum can be checked by eye."""
        if found is None or self._residual is None:
            return ""
        channel, y, x = found
        a, b, total = (float(array[channel, y, x]) for array in self._arrays())
        return f"channel {channel} · y {y}, x {x} · {a:.5g} + {b:.5g} = {total:.5g}"

    def enlarge(self, channel: int | None) -> None:
        """Show one channel alone in all three columns, or all channels."""
        self._enlarged = channel
        self._lay()

    # events

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._lay()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        found = self._hit(event.position())
        self._under = found[0] if found else None
        self.hovered.emit(self.describe_value(found))
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._under = None
        self.hovered.emit("")
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self._hit(event.position())
        self.enlarge(found[0] if found and self._enlarged is None else None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self._residual is None:
            return
        step = {Qt.Key.Key_Right: 1, Qt.Key.Key_Left: -1}.get(Qt.Key(event.key()))
        if event.key() == Qt.Key.Key_Escape and self._enlarged is not None:
            self.enlarge(None)
        elif step is not None:
            now = -1 if self._enlarged is None else self._enlarged
            self.enlarge(int(np.clip(now + step, 0, len(self._residual.total) - 1)))
        else:
            super().keyPressEvent(event)

    # painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self._residual is None or self._measure is None:
            return
        norms = (self._measure.shortcut, self._measure.branch, self._measure.total)
        for plate, title, norm in zip(self._plates, TITLES, norms, strict=True):
            self._draw_title(painter, plate.room, title, f"norm {norm:.4g}")
            plate.draw(painter)
            if self._under is not None and self._enlarged is None:
                plate.draw_tile_frame(painter, self._under, self._theme.focus)
        for plate, sign in zip(self._plates[1:], "+=", strict=True):
            self._draw_sign(painter, plate.room.left() - SIGN_WIDTH / 2, sign)
        self._draw_foot(painter)
        if self._panel().width() > 0:
            self._draw_panel(painter, self._measure)

    def _draw_panel(self, painter: QPainter, measured: ResidualStats) -> None:
        """Norms as bars on one scale, then the two numbers that say what the branch did."""
        panel, theme = self._panel(), self._theme
        left, right = (
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
            Qt.AlignmentFlag.AlignRight,
        )
        most = max(measured.shortcut, measured.branch, measured.total, 1e-12)
        rows = (("|x|", measured.shortcut), ("|F|", measured.branch), ("|x + F|", measured.total))
        painter.setFont(qt_style.make_font(relative=0.9))
        for i, (name, norm) in enumerate(rows):
            row = QRectF(panel.x(), panel.y() + 22 * i, panel.width(), 18)
            painter.setPen(QColor(theme.secondary_text))
            painter.drawText(row, left, name)
            painter.drawText(row, right | Qt.AlignmentFlag.AlignVCenter, f"{norm:.4g}")
            track = row.adjusted(52, 5, -52, -5)
            painter.fillRect(track, QColor(theme.hairline))
            painter.fillRect(
                QRectF(
                    track.x(), track.y(), track.width() * bar_fraction(norm, most), track.height()
                ),
                QColor(theme.add),
            )
        numbers = zip(
            ("branch to shortcut, |F| / |x|", "cosine of F and x"),
            format_stats(measured),
            strict=True,
        )
        for i, (name, number) in enumerate(numbers):
            top = panel.y() + 78 + 50 * i
            if top + 44 > self.height() - FOOTER_HEIGHT:
                break
            painter.setFont(qt_style.make_font(relative=0.9))
            painter.setPen(QColor(theme.secondary_text))
            painter.drawText(QRectF(panel.x(), top, panel.width(), 16), left, name)
            painter.setFont(qt_style.make_font(relative=1.5, bold=True))
            painter.setPen(QColor(theme.text))
            painter.drawText(QRectF(panel.x(), top + 16, panel.width(), 26), left, number)

    def _draw_title(self, painter: QPainter, room: QRectF, title: str, norm: str) -> None:
        where = QRectF(room.x(), 0, room.width(), HEADER_HEIGHT - 4)
        painter.setFont(qt_style.make_font(bold=True))
        painter.setPen(QColor(self._theme.text))
        painter.drawText(where, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, title)
        used = painter.fontMetrics().horizontalAdvance(title) + 12
        painter.setFont(qt_style.make_font(relative=0.9))
        painter.setPen(QColor(self._theme.secondary_text))
        if used + painter.fontMetrics().horizontalAdvance(norm) <= where.width():
            left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(where.adjusted(used, 0, 0, 0), left, norm)

    def _draw_sign(self, painter: QPainter, x: float, sign: str) -> None:
        center = QPointF(x, HEADER_HEIGHT + self._plates[0].covered_rect().height() / 2)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(QColor(self._theme.add), 2.4)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        arm = 6.0
        if sign == "+":
            painter.drawEllipse(center, 12, 12)
            painter.drawLine(center - QPointF(arm, 0), center + QPointF(arm, 0))
            painter.drawLine(center - QPointF(0, arm), center + QPointF(0, arm))
        else:
            for dy in (-3.5, 3.5):
                painter.drawLine(center + QPointF(-arm, dy), center + QPointF(arm, dy))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _draw_foot(self, painter: QPainter) -> None:
        atlas = self._plates[0].atlas
        if atlas is None:
            return
        foot = QRectF(0, self.height() - FOOTER_HEIGHT + 8, self.width(), FOOTER_HEIGHT - 8)
        draw_colorbar(painter, QRectF(0, foot.y() + 4, 64, 9), atlas, self._theme)
        painter.setPen(QColor(self._theme.secondary_text))
        painter.setFont(qt_style.make_font(relative=0.9))
        only = f"channel {self._enlarged} · " if self._enlarged is not None else ""
        text = f"{only}shared color scale, −{self._span:.2g} to {self._span:.2g}"
        if self._panel().width() == 0:
            text = f"{text}   ·   {self.summary()}"
        painter.drawText(
            foot.adjusted(74, 0, 0, 0),
            Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft,
            text,
        )

    # geometry

    def _panel(self) -> QRectF:
        """Where the numbers stand, at the right; no width where the window is narrow."""
        width = PANEL_WIDTH if self.width() > 680 else 0.0
        return QRectF(
            self.width() - width,
            HEADER_HEIGHT,
            width,
            self.height() - HEADER_HEIGHT - FOOTER_HEIGHT,
        )

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        assert self._residual
        return self._residual.shortcut, self._residual.branch, self._residual.total

    def _hit(self, at: QPointF) -> tuple[int, int, int] | None:
        return next(
            (found for plate in self._plates if (found := plate.locate(at)) is not None), None
        )

    def _lay(self) -> None:
        if self._residual is not None:
            column = (self._panel().x() - 2 * SIGN_WIDTH - (28 if self._panel().width() else 0)) / 3
            for i, (plate, values) in enumerate(zip(self._plates, self._arrays(), strict=True)):
                room = QRectF(
                    i * (column + SIGN_WIDTH) + 1,
                    HEADER_HEIGHT,
                    column - 2,
                    self.height() - HEADER_HEIGHT - FOOTER_HEIGHT,
                )
                plate.enlarged = self._enlarged
                plate.set_maps(values, room, self._theme, span=self._span)
        self.update()


def bar_fraction(norm: float, most: float) -> float:
    """The share of a track that a norm fills; none where a model that diverged gives no numbers."""
    return norm / most if math.isfinite(norm) and math.isfinite(most) and most else 0.0


def format_stats(measured: ResidualStats) -> tuple[str, str]:
    """Share and cosine as shown; a dash where a side is zero and they mean nothing."""
    share = f"{measured.branch_to_shortcut:.2f}" if measured.shortcut else "—"
    return share, f"{measured.cosine:+.2f}" if measured.shortcut and measured.branch else "—"
