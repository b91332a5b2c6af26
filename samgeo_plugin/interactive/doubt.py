# SPDX-License-Identifier: GPL-2.0-or-later
"""How doubtful a polygon is, from its attributes, its shape and its neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from qgis.core import QgsFeature, QgsGeometry, QgsRectangle

from .. import field_types

SCORES = ("score", "stability")
PROBABILITIES = ("class_prob", "class_probability", "probability", "label_probability")

_WEIGHTS = {
    "score": 0.9,
    "stability": 0.6,
    "probability": 0.9,
    "change": 0.6,
    "edge": 0.5,
    "overlap": 0.9,
    "shape": 0.5,
}
"""How much of a doubt counts when it is as large as can be."""


@dataclass(frozen=True)
class Facts:
    """What the review knows of a feature, by whose id it is kept: a save may change that.

    Args:
        doubt: From 0 to 1.
        reasons: Each doubt by its name, from 0 to 1.
        area: In square metres; in the square of the layer's units where it has no CRS.
        label: Its class; empty for none.
        status: "", "accepted" or "rejected".
        at: Its centre, for ties and for order.
    """

    doubt: float
    reasons: dict[str, float]
    area: float
    label: str
    status: str
    at: tuple[float, float]


def doubts(
    values: dict[str, Any],
    geometry: QgsGeometry,
    neighbours: Sequence[QgsGeometry],
    raster: Optional[QgsRectangle],
) -> dict[str, float]:
    """Each reason for doubt, from 0 to 1.

    Args:
        values: Attributes by their names in small letters.
        geometry: The polygon.
        neighbours: Polygons whose boxes meet its own.
        raster: Extent of the raster that it was made from, in the layer's CRS.
    """
    found: dict[str, float] = {}
    for name in SCORES:
        value = _share(_named(values, name))
        if value is not None:
            found[name] = 1.0 - value
    known = (_share(_named(values, name)) for name in PROBABILITIES)
    sure = next((value for value in known if value is not None), None)
    if sure is not None:
        found["probability"] = 1.0 - sure
    area = geometry.area()
    if area > 0:
        covered = 0.0
        for other in neighbours:
            covered += geometry.intersection(other).area()
        found["overlap"] = min(1.0, covered / area)
        found["shape"] = _oddness(geometry, area)
    else:
        found["shape"] = 1.0
    box = geometry.boundingBox()
    if raster is not None:
        margin = 0.002 * min(raster.width(), raster.height())
        inner = raster.buffered(-margin)
        found["edge"] = 0.0 if inner.contains(box) else 1.0
    return found


def together(reasons: dict[str, float]) -> float:
    """One number: the chance that at least one of the doubts holds, as if they were independent."""
    sure = 1.0
    for name, value in reasons.items():
        sure *= 1.0 - _WEIGHTS.get(name, 0.5) * min(max(value, 0.0), 1.0)
    return 1.0 - sure


def _oddness(geometry: QgsGeometry, area: float) -> float:
    """Raggedness (what the convex hull has more) and thinness; several parts are odd too."""
    hull = geometry.convexHull().area()
    ragged = 1.0 - area / hull if hull > 0 else 1.0
    length = geometry.length()
    compact = 4 * math.pi * area / (length * length) if length > 0 else 0.0
    thin = max(0.0, 1.0 - compact / 0.5)
    many = 0.5 if geometry.isMultipart() and geometry.constGet().partCount() > 1 else 0.0
    return min(1.0, max(ragged, thin, many))


def _named(values: dict[str, Any], name: str) -> Any:
    """An attribute, which a Shapefile calls by the first ten letters of its name."""
    return values.get(name, values.get(name[:10]))


def _share(value: Any) -> Optional[float]:
    try:
        share = float(value)
    except (TypeError, ValueError):
        return None
    return min(max(share, 0.0), 1.0) if math.isfinite(share) else None


def facts_of(
    feature: QgsFeature,
    area: float,
    neighbours: Sequence[QgsGeometry] = (),
    raster: Optional[QgsRectangle] = None,
    status_field: str = "status",
    class_field: str = "",
    update: bool = False,
) -> Facts:
    """Everything that the review needs of one feature.

    Args:
        feature: With its attributes.
        area: In square metres.
        neighbours: Polygons whose boxes meet its own.
        raster: Extent of the raster that it was made from, in the layer's CRS.
        status_field: With the decision.
        class_field: With the class; empty where there is none.
        update: Whether the layer says what became of old polygons.
    """
    names = [field.name().lower() for field in feature.fields()]
    values = dict(zip(names, feature.attributes()))  # noqa: B905 - Python 3.9
    geometry = feature.geometry()
    reasons = doubts(values, geometry, neighbours, raster)
    centre = geometry.boundingBox().center()
    if update:  # what has changed comes first
        changed = text_of(values.get("status")) not in ("confirmed", "unseen")
        sure = _share(_named(values, "probability"))  # of the change: a class has one of its own
        reasons = {
            "change": 1.0 if changed else 0.0,
            "probability": 0.0 if sure is None else 1.0 - sure,
        }
    return Facts(
        together(reasons),
        reasons,
        area,
        text_of(values.get(class_field.lower())),
        text_of(values.get(status_field.lower())),
        (centre.x(), centre.y()),
    )


def text_of(value: Any) -> str:
    """An attribute as text; QGIS's NULL is empty, and so is what the source fills in later."""
    if value is None or field_types.is_left_to_source(value):
        return ""
    if hasattr(value, "isNull") and value.isNull():
        return ""
    return str(value)
