# SPDX-License-Identifier: GPL-2.0-or-later
"""What a search has found, by id and by place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qgis.core import QgsFeature, QgsGeometry, QgsPointXY, QgsRectangle, QgsSpatialIndex

from ..geojson import to_geometry


@dataclass(frozen=True)
class Found:
    """An object that the engine has found.

    Args:
        id: The engine's.
        geometry: In the collection's CRS.
        score: Predicted IoU.
        stability: Likewise.
        area_m2: On the ground.
        label: The word that it was found for; empty where there was none.
    """

    id: str
    geometry: QgsGeometry
    score: float
    stability: float
    area_m2: float
    label: str = ""

    @classmethod
    def read(cls, value: dict[str, Any]) -> Found:
        """An object of the engine's answer.

        Raises:
            MessageError, KeyError, TypeError, ValueError: It is not what it should be.
        """
        return cls(
            str(value["id"]),
            to_geometry(value["geometry"]),
            float(value["score"]),
            float(value["stability"]),
            float(value["area_m2"] or 0.0),
            str(value.get("class") or ""),
        )


class FoundObjects:
    """The objects of one search."""

    def __init__(self) -> None:
        self.by_id: dict[str, Found] = {}
        """To be read only: :meth:`add` and :meth:`drop` keep their places, too."""
        self._index = QgsSpatialIndex()
        self._numbers: dict[str, int] = {}
        self._keys: dict[int, str] = {}

    def add(self, one: Found) -> None:
        """An object whose id is not there."""
        self.by_id[one.id] = one
        number = self._numbers.setdefault(one.id, len(self._numbers))
        self._keys[number] = one.id
        self._index.addFeature(_box(number, one))

    def drop(self, key: str) -> bool:
        """Forget an object; False where there is none of this id."""
        one = self.by_id.pop(key, None)
        if one is None:
            return False
        self._index.deleteFeature(_box(self._numbers[key], one))
        return True

    def at(self, point: QgsPointXY) -> list[Found]:
        """The objects that hold a place."""
        numbers = self._index.intersects(QgsRectangle(point, point))
        near = (self.by_id[self._keys[number]] for number in numbers)
        spot = QgsGeometry.fromPointXY(point)
        return [one for one in near if one.geometry.contains(spot)]


def _box(number: int, one: Found) -> QgsFeature:
    feature = QgsFeature(number)
    feature.setGeometry(QgsGeometry.fromRect(one.geometry.boundingBox()))
    return feature
