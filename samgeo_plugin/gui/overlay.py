# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tool draws over the map: the object, the hover, the prompts, the box and the stroke."""

from __future__ import annotations

from typing import Optional

from qgis.core import QgsGeometry, QgsPointXY, QgsWkbTypes
from qgis.gui import QgsMapCanvas, QgsRubberBand, QgsVertexMarker
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QColor

from ..job import Prompt

OBJECT = QColor(255, 112, 20)
HOVER = QColor(0, 190, 220)
POSITIVE = QColor(30, 170, 70)
NEGATIVE = QColor(214, 39, 60)
HALO = QColor(255, 255, 255, 210)

_POLYGON = QgsWkbTypes.GeometryType.PolygonGeometry
_LINE = QgsWkbTypes.GeometryType.LineGeometry


def _faint(colour: QColor, alpha: int) -> QColor:
    faint = QColor(colour)
    faint.setAlpha(alpha)
    return faint


class Overlay:
    """Rubber bands and markers of one canvas; :meth:`remove` takes them all away.

    A white halo under each outline keeps it readable on bright roofs and on dark forest.
    """

    def __init__(self, canvas: QgsMapCanvas) -> None:
        self._canvas = canvas
        self._object = self._band(_POLYGON, OBJECT, 2, fill=60)
        self._hover = self._band(_POLYGON, HOVER, 2, fill=35, style=Qt.PenStyle.DashLine)
        self._box = self._band(_POLYGON, POSITIVE, 1, fill=20)
        self._stroke = self._band(_LINE, POSITIVE, 3)
        self._done: list[QgsRubberBand] = []
        self._markers: list[QgsVertexMarker] = []
        self._prompts: tuple[Prompt, ...] = ()

    def _band(
        self,
        kind: QgsWkbTypes.GeometryType,
        colour: QColor,
        width: int,
        fill: int = 0,
        style: Qt.PenStyle = Qt.PenStyle.SolidLine,
    ) -> QgsRubberBand:
        band = QgsRubberBand(self._canvas, kind)
        band.setStrokeColor(colour)
        band.setSecondaryStrokeColor(HALO)
        band.setFillColor(_faint(colour, fill))
        band.setWidth(width)
        band.setLineStyle(style)
        return band

    def show_object(self, geometry: Optional[QgsGeometry], colour: Optional[QColor] = None) -> None:
        """The object in work, in the colour of its class where it has one."""
        wanted = colour if colour is not None else OBJECT
        if self._object.strokeColor() != wanted:
            self._object.setStrokeColor(wanted)
            self._object.setFillColor(_faint(wanted, 60))
        _put(self._object, geometry)

    def show_hover(self, geometry: Optional[QgsGeometry]) -> None:
        _put(self._hover, geometry)

    def show_box(self, start: Optional[QgsPointXY], end: Optional[QgsPointXY]) -> None:
        """A box along the screen's axes; in a rotated map its four corners are given anyway."""
        self._box.reset(_POLYGON)
        if start is None or end is None:
            return
        for x, y in (
            (start.x(), start.y()),
            (end.x(), start.y()),
            (end.x(), end.y()),
            (start.x(), end.y()),
        ):
            self._box.addPoint(QgsPointXY(x, y))

    def start_stroke(self, positive: bool) -> None:
        self._stroke.reset(_LINE)
        self._stroke.setStrokeColor(POSITIVE if positive else NEGATIVE)

    def extend_stroke(self, point: QgsPointXY) -> None:
        self._stroke.addPoint(point)

    def end_stroke(self) -> None:
        self._stroke.reset(_LINE)

    def show_prompts(self, prompts: tuple[Prompt, ...]) -> None:
        """Points as marks, boxes and strokes as outlines."""
        if prompts == self._prompts:
            return
        self._prompts = prompts
        for item in [*self._markers, *self._done]:
            self._canvas.scene().removeItem(item)
        self._markers, self._done = [], []
        for prompt in prompts:
            points = [QgsPointXY(x, y) for x, y in prompt.coordinates]
            colour = POSITIVE if prompt.positive else NEGATIVE
            if prompt.type == "point":
                for halo in (True, False):
                    self._markers.append(self._marker(points[0], colour, prompt.positive, halo))
                continue
            if prompt.type == "stroke":
                band = self._band(_LINE, colour, 2)
                band.setToGeometry(QgsGeometry.fromPolylineXY(points), None)
            else:
                if prompt.type == "box":
                    (x0, y0), (x1, y1) = prompt.coordinates
                    points = [QgsPointXY(*xy) for xy in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
                band = self._band(_POLYGON, colour, 1, style=Qt.PenStyle.DotLine)
                band.setToGeometry(QgsGeometry.fromPolygonXY([[*points, points[0]]]), None)
            self._done.append(band)

    def _marker(
        self, point: QgsPointXY, colour: QColor, positive: bool, halo: bool
    ) -> QgsVertexMarker:
        marker = QgsVertexMarker(self._canvas)
        marker.setCenter(point)
        kinds = QgsVertexMarker.IconType
        marker.setIconType(kinds.ICON_CROSS if positive else kinds.ICON_X)
        marker.setIconSize(13 if halo else 11)
        marker.setPenWidth(5 if halo else 3)
        marker.setColor(HALO if halo else colour)
        return marker

    def clear(self) -> None:
        self.show_object(None)
        self.show_hover(None)
        self.show_box(None, None)
        self.end_stroke()
        self.show_prompts(())

    def remove(self) -> None:
        """Take everything off the canvas for good."""
        self.clear()
        for band in (self._object, self._hover, self._box, self._stroke):
            self._canvas.scene().removeItem(band)


def _put(band: QgsRubberBand, geometry: Optional[QgsGeometry]) -> None:
    if geometry is None or geometry.isNull():
        band.reset(_POLYGON)
    else:
        band.setToGeometry(geometry, None)
