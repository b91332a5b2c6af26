# SPDX-License-Identifier: GPL-2.0-or-later
"""An existing feature that is being corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from qgis.core import QgsGeometry, QgsPointXY


@dataclass(frozen=True)
class Place:
    """Where a corrected polygon is written back to.

    Args:
        layer_id: Of the layer in the project.
        feature_id: Of the feature in the layer's edit buffer or its source.
        geometry: As it was when it was taken up, in the map's CRS.
        part: Number of the part that is corrected; the feature's other parts stay, and so do holes
            of this one. None: the whole shape is replaced.
    """

    layer_id: str
    feature_id: int
    geometry: QgsGeometry
    part: Optional[int] = None

    @property
    def ring(self) -> Optional[list[list[float]]]:
        """The outer ring of the part that is corrected; None where there is none."""
        parts = parts_of(self.geometry)
        number = self.part if self.part is not None else largest_part_number(self.geometry)
        if number is None or number >= len(parts) or not parts[number]:
            return None
        return [[p.x(), p.y()] for p in parts[number][0]]

    @property
    def keeps(self) -> bool:
        """Something of the feature stays beside what is corrected: other parts, or holes."""
        parts = parts_of(self.geometry)
        return self.part is not None and (len(parts) > 1 or any(len(part) > 1 for part in parts))


def parts_of(geometry: QgsGeometry) -> list[list[list[QgsPointXY]]]:
    """The parts of a polygon, each as its rings, the outer one first."""
    return geometry.asMultiPolygon() if geometry.isMultipart() else [geometry.asPolygon()]


def part_at(geometry: QgsGeometry, point: QgsPointXY) -> Optional[int]:
    """The part on which a point lies; the largest one where it lies on none."""
    mark = QgsGeometry.fromPointXY(point)
    for number, part in enumerate(parts_of(geometry)):
        if part and QgsGeometry.fromPolygonXY(part).intersects(mark):
            return number
    return largest_part_number(geometry)


def largest_part_number(geometry: QgsGeometry) -> Optional[int]:
    """The part whose outer ring has the largest area."""
    areas = [
        (QgsGeometry.fromPolygonXY(part[:1]).area(), -number)
        for number, part in enumerate(parts_of(geometry))
        if part
    ]
    return -max(areas)[1] if areas else None


def put_back(
    old: QgsGeometry, part: int, answer: QgsGeometry, inside: Sequence[QgsPointXY]
) -> QgsGeometry:
    """A shape one of whose parts has been corrected: the others stay as they are, and so do holes.

    Args:
        old: The shape as it is.
        part: Number of the part that was corrected.
        answer: What it is now, in the CRS of ``old``.
        inside: Where somebody said that the object is: a hole in which one of these lies is filled.

    Returns:
        The whole shape, flat: what writes it takes heights from the old one (``editing.fitted``).
    """
    old = QgsGeometry(old)
    old.get().dropZValue()
    old.get().dropMValue()
    for ring in parts_of(old)[part][1:]:
        hole = QgsGeometry.fromPolygonXY([ring])
        if not any(hole.contains(QgsGeometry.fromPointXY(point)) for point in inside):
            left = answer.difference(hole)
            answer = answer if left.isNull() or left.isEmpty() else left
    parts = [QgsGeometry(each.clone()) for each in old.constParts()]
    touched = [n for n, each in enumerate(parts) if n != part and each.intersects(answer)]
    if touched:
        joined = QgsGeometry.unaryUnion([answer, *(parts[n] for n in touched)])
        answer = answer if joined.isNull() else joined
    made = []
    for number, each in enumerate(parts):
        if number == part:
            made += [QgsGeometry(piece.clone()) for piece in answer.constParts()]
        elif number not in touched:
            made.append(each)
    return QgsGeometry.collectGeometry(made)
