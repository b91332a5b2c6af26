# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading a layer in small steps, between which others may read it, too.

While a layer is edited in QGIS's automatic transaction groups, all its readers share one connection
and, in a GeoPackage, one cursor: whatever reads the layer between two steps, as a look under the
mouse does, ends the other readings or begins them anew. A drawing of the map does so in its own
thread, even within one step.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Optional, Union

from qgis.core import (
    NULL,
    QgsFeature,
    QgsFeatureRequest,
    QgsVectorDataProvider,
    QgsVectorLayer,
)

from ..i18n import tr
from .editing import EditError

Source = Union[QgsVectorLayer, QgsVectorDataProvider]

TRIES = 20
_PAUSE = 0.02
"""Seconds between two tries, in which a drawing of the map may end."""


class ReadError(EditError):
    """A layer could not be read as a whole."""


def features(
    layer: QgsVectorLayer,
    request: Optional[QgsFeatureRequest] = None,
    source: Optional[Source] = None,
) -> Iterator[QgsFeature]:
    """A layer's features, one by one; within a transaction all are read before the first one.

    Args:
        layer: The layer.
        request: Which ones, and what of them; all where nothing is said.
        source: Where they are read: the layer, or its provider for those without the edit buffer.

    Raises:
        ReadError: Something else reads the layer all the time.
    """
    request = request or QgsFeatureRequest()
    source = source or layer
    if in_transaction(layer):
        yield from _whole(layer, request, source)
    else:
        yield from source.getFeatures(request)


def in_transaction(layer: QgsVectorLayer) -> bool:
    """Whether a layer is read and written in a transaction that is open."""
    return layer.dataProvider().transaction() is not None


def _whole(layer: QgsVectorLayer, request: QgsFeatureRequest, source: Source) -> list[QgsFeature]:
    """What two readings in a row agree on: a disturbed one lacks features or values."""
    before = None
    for _ in range(TRIES):
        found = list(source.getFeatures(request))
        read = [_what_was_read(each) for each in found]
        if read == before:
            return found
        if before is not None:
            time.sleep(_PAUSE)
        before = read
    raise ReadError(
        tr(
            "{name} cannot be read, as something else reads it all the time; wait until the map "
            "is drawn, and try again."
        ).format(name=layer.name())
    )


def _what_was_read(feature: QgsFeature) -> tuple:
    return feature.id(), feature.hasGeometry(), [each == NULL for each in feature.attributes()]
