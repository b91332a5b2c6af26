# SPDX-License-Identifier: GPL-2.0-or-later
"""Where found objects lie."""

from __future__ import annotations

from qgis.core import QgsFeature, QgsGeometry, QgsPointXY, QgsRectangle, QgsSpatialIndex

from .candidate_layer import Found


class FoundIndex:
    """Finds objects by their boxes; whoever has them adds and drops them."""

    def __init__(self) -> None:
        self._index = QgsSpatialIndex()
        self._numbers: dict[str, int] = {}
        self._keys: dict[int, str] = {}

    def add(self, one: Found) -> None:
        number = self._numbers.setdefault(one.id, len(self._numbers))
        self._keys[number] = one.id
        self._index.addFeature(_box(number, one))

    def drop(self, one: Found) -> None:
        self._index.deleteFeature(_box(self._numbers[one.id], one))

    def near(self, point: QgsPointXY) -> list[str]:
        """Ids of the objects whose boxes hold a place."""
        return [self._keys[number] for number in self._index.intersects(QgsRectangle(point, point))]


def _box(number: int, one: Found) -> QgsFeature:
    feature = QgsFeature(number)
    feature.setGeometry(QgsGeometry.fromRect(one.geometry.boundingBox()))
    return feature
