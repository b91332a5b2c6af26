# SPDX-License-Identifier: GPL-2.0-or-later
"""What a review reads from the layer: the facts of each polygon, and the decisions in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Optional

from qgis.core import (
    QgsCsException,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsRectangle,
    QgsSpatialIndex,
    QgsVectorLayer,
)

from . import reading
from .decisions import ACCEPTED, OPEN
from .doubt import Facts, facts_of
from .review_fields import ReviewFields
from .tidy import ruler
from .update_review import UpdateReview


class ReviewReading:
    """Reads one layer.

    Args:
        layer: That is reviewed.
        fields: Its fields with decisions and classes.
        update: Of a layer of changes; it is told which of them are accepted already.
        raster: Extent of the raster that it was made from, in the layer's CRS.
    """

    def __init__(
        self,
        layer: QgsVectorLayer,
        fields: ReviewFields,
        update: Optional[UpdateReview],
        raster: Optional[QgsRectangle],
    ) -> None:
        self._layer = layer
        self._fields = fields
        self._update = update
        self._raster = raster
        self._ruler = ruler(layer.crs())

    def read(self, facts: dict[int, Facts], progress: Callable[[int, int], None]) -> Iterator[None]:
        """Read all features, then measure each against its neighbours; yields often.

        Args:
            facts: Gets what is known of each feature, by its id.
            progress: Told how many are measured, and of how many.

        Raises:
            ReadError: The layer could not be read as a whole.
        """
        if self._update is not None:
            yield from self._update.polygons.find()
        features = {}
        index = QgsSpatialIndex()
        for feature in reading.features(self._layer):
            if feature.hasGeometry():
                features[feature.id()] = feature
                index.addFeature(feature)
            yield
        for number, (feature_id, feature) in enumerate(features.items()):
            near: list[QgsGeometry] = [
                features[other].geometry()
                for other in index.intersects(feature.geometry().boundingBox())
                if other != feature_id
            ]
            known = facts[feature_id] = self.facts_of(feature, near, self._raster)
            if self._update is not None and known.status == ACCEPTED:
                self._update.taken_over(feature)
            if number % 50 == 0:
                progress(number, len(features))
            yield

    def read_decisions(self, facts: dict[int, Facts]) -> None:
        """Bring the decisions in ``facts`` up to date.

        Raises:
            ReadError: The layer could not be read as a whole.
        """
        index = self._fields.status
        request = QgsFeatureRequest().setFlags(QgsFeatureRequest.Flag.NoGeometry)
        for feature in list(reading.features(self._layer, request)):
            known = facts.get(feature.id())
            if known is not None:
                status = OPEN
                if index >= 0:
                    status = self._fields.text(index, feature.attribute(index))
                facts[feature.id()] = replace(known, status=status)

    def facts_of(
        self,
        feature: QgsFeature,
        near: Sequence[QgsGeometry] = (),
        raster: Optional[QgsRectangle] = None,
    ) -> Facts:
        """What is known of one feature.

        Args:
            feature: With its attributes, which are filled in as they are after the save.
            near: Polygons whose boxes meet its own.
            raster: Extent of the raster that it was made from, where its edge is a doubt.
        """
        fields, update = self._fields, self._update is not None
        fields.fill_in(feature)
        area = self._measured(feature.geometry())  # a field may be older than the outline
        return facts_of(feature, area, near, raster, fields.status_name, fields.label_name, update)

    def with_outline(self, facts: Facts, geometry: QgsGeometry) -> Facts:
        """The facts of a feature that has another outline: area and place are those of it, whether
        or not a field follows; doubt and order stay."""
        centre = geometry.boundingBox().center()
        return replace(facts, area=self._measured(geometry), at=(centre.x(), centre.y()))

    def _measured(self, geometry: QgsGeometry) -> float:
        """The area in square metres; in the square of the layer's units where it has no CRS, or one
        that does not reach there."""
        try:
            area = float(self._ruler.measureArea(geometry))
        except QgsCsException:
            area = math.nan
        return area if math.isfinite(area) else float(geometry.area())
