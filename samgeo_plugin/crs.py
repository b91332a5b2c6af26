# SPDX-License-Identifier: GPL-2.0-or-later
"""A CRS as the engine's protocol writes it."""

from __future__ import annotations

from typing import Optional

from qgis.core import QgsCoordinateReferenceSystem


def crs_text(crs: QgsCoordinateReferenceSystem) -> Optional[str]:
    """An authority's code where there is one, else WKT; None for plain pixels."""
    if not crs.isValid():
        return None
    code = crs.authid()
    if code and not code.startswith("USER:"):  # those numbers mean something in this QGIS only
        return str(code)
    return str(crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT2_2019))
