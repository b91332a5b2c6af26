# SPDX-License-Identifier: GPL-2.0-or-later
"""An existing feature that is being corrected."""

from __future__ import annotations

from dataclasses import dataclass

from qgis.core import QgsGeometry


@dataclass(frozen=True)
class Place:
    """Where a corrected polygon is written back to.

    Args:
        layer_id: Of the layer in the project.
        feature_id: Of the feature in the layer's edit buffer or its source.
        geometry: As it was when it was taken up, in the map's CRS.
    """

    layer_id: str
    feature_id: int
    geometry: QgsGeometry
