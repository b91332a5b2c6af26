# SPDX-License-Identifier: GPL-2.0-or-later
"""Candidates of the object in work, refinement settings, accepted objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY

from ..geojson import to_geometry
from ..job import MessageError
from .tidy import largest_part, with_few_vertices


@dataclass(frozen=True)
class Candidate:
    """One mask that the model offers, as a polygon in the map's CRS."""

    geometry: QgsGeometry
    score: float
    stability: float
    area_m2: float
    perimeter_m: float
    tiles: int

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Candidate:
        """Raises MessageError where the engine's answer is not what it should be."""
        geometry = to_geometry(values.get("geometry"))
        try:
            return cls(
                geometry,
                float(values.get("score") or 0.0),
                float(values.get("stability") or 0.0),
                float(values.get("area_m2") or 0.0),
                float(values.get("perimeter_m") or 0.0),
                int(values.get("tiles") or 1),
            )
        except (TypeError, ValueError) as error:
            raise MessageError(f"The engine's candidate is malformed: {error}.") from error


@dataclass(frozen=True)
class Refinement:
    """What is done to a polygon after the model; lengths and areas on the ground."""

    simplify: float = 0.0
    min_area: float = 0.0
    min_hole: float = 0.0
    outlines: str = "contour"
    largest_part: bool = True
    max_vertices: int = 16

    @property
    def needs_engine(self) -> bool:
        """Something is wanted that only the engine does."""
        wanted = (self.simplify, self.min_area, self.min_hole, self.outlines)
        return wanted != (0.0, 0.0, 0.0, "contour")

    def tidy(self, geometry: QgsGeometry) -> QgsGeometry:
        """What is done in QGIS itself: the largest part, and the limit on vertices (0: none)."""
        if self.largest_part:
            geometry = largest_part(geometry)
        return with_few_vertices(geometry, self.max_vertices)


@dataclass(frozen=True)
class Accepted:
    """A finished object on its way into the target layer.

    Args:
        geometry: As it is written.
        raw: As the engine made it.
        crs: Of both.
        attributes: The engine's.
        place: The existing feature that it corrects (:class:`.place.Place`); None for a new one.
        inside: Where the user clicked or drew that the object is.
        target_id: The layer that a new one goes into; None where none was chosen.
    """

    geometry: QgsGeometry
    raw: QgsGeometry
    crs: QgsCoordinateReferenceSystem
    attributes: dict[str, Any]
    place: Any = None
    inside: tuple[QgsPointXY, ...] = ()
    target_id: Optional[str] = None
