# SPDX-License-Identifier: GPL-2.0-or-later
"""Extent and area of interest: parameters of several algorithms."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsRasterLayer,
    QgsRectangle,
)

from ..i18n import tr
from ..session import crs_text
from .base import EngineAlgorithm


class AreaAlgorithm(EngineAlgorithm):
    """An algorithm that can be confined to a part of its raster."""

    EXTENT = "EXTENT"
    AREA = "AREA"

    def add_extent(self) -> None:
        self.declare(QgsProcessingParameterExtent(self.EXTENT, tr("Extent"), None, optional=True))

    def add_area(self) -> None:
        self.declare(
            QgsProcessingParameterFeatureSource(
                self.AREA,
                tr("Area of interest"),
                [QgsProcessing.SourceType.TypeVectorPolygon],
                None,
                True,
            )
        )

    def extent_of(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[Optional[QgsRectangle], QgsCoordinateReferenceSystem]:
        """The extent in the raster's CRS; None where none was given.

        Raises:
            QgsProcessingException: It misses the raster.
        """
        layer = self._layer
        crs = layer.crs() if isinstance(layer, QgsRasterLayer) else QgsCoordinateReferenceSystem()
        if parameters.get(self.EXTENT) in (None, ""):
            return None, crs
        extent = self.parameterAsExtent(parameters, self.EXTENT, context, crs)
        if extent.isNull():
            return None, crs
        if layer is not None and not layer.extent().intersects(extent):
            raise QgsProcessingException(
                tr("The extent misses the raster {name}; choose one that overlaps it.").format(
                    name=layer.name()
                )
            )
        return extent, crs

    def confine(
        self,
        params: dict[str, Any],
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> None:
        """Write extent and area of interest into the engine's parameters."""
        extent, crs = self.extent_of(parameters, context)
        if extent is not None:
            params["extent"] = [
                extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum(),
            ]  # fmt: skip
            params["extent_crs"] = crs_text(crs)
        if self.parameterDefinition(self.AREA) is not None:
            area = self.parameterAsSource(parameters, self.AREA, context)
            if area is not None:
                params["area"] = self.save_source(area, "area", context, feedback)
