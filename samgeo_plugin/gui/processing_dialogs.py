# SPDX-License-Identifier: GPL-2.0-or-later
"""Processing's dialogs, filled in with what the panel says."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsVectorLayer

from ..interactive.controller import Controller
from ..interactive.decisions import decision_field
from ..processing.parameters import DEVICES


def open_segment_raster(controller: Controller) -> None:
    """The dialog that segments a whole raster, with the panel's raster, model and bands."""
    from qgis import processing

    choice = controller.choice
    parameters: dict[str, Any] = {"MODEL": choice.model}
    if choice.device in DEVICES:
        parameters["DEVICE"] = DEVICES.index(choice.device)
    layer = controller.raster_layer()
    if layer is not None:
        parameters["INPUT"] = choice.rendered or layer.id()
    if choice.bands and not choice.rendered:
        parameters["BANDS"] = list(choice.bands)
    processing.execAlgorithmDialog("samgeo:segmentraster", parameters)


def open_improve_model(controller: Controller, layer: Optional[QgsVectorLayer]) -> None:
    """The dialog for training, with the panel's raster and model.

    Args:
        controller: What the panel says.
        layer: The layer in review.
    """
    from qgis import processing

    parameters: dict[str, Any] = {"MODEL": controller.choice.model}
    raster = controller.raster_layer()
    if raster is not None:
        parameters["INPUT"] = controller.choice.rendered or raster.id()
    if layer is not None:
        parameters["LABELS"] = layer.id()
        field = decision_field(layer)
        if field is not None and layer.fields().lookupField(field) >= 0:
            parameters["STATUS_FIELD"] = field
    processing.execAlgorithmDialog("samgeo:improvemodel", parameters)
